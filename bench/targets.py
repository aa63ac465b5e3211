"""The processes that are measured, and the provider behind them."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

EVENTS = 300
"""Text deltas in a stream; half a dozen other events surround them."""

DELAY = "5ms"
"""Between events: long enough that a relay sees each by itself, as in real streams."""
MODEL = "claude-sonnet-4-5"
"""One with a price."""
_START_S = 60.0
_STOP_S = 5.0

Prepare = Callable[[Path, Mapping[str, str]], None]

_AS_IT_IS: Mapping[str, str] = {}
_METRICS = {"CODER_PROMETHEUS_ENABLE": "true", "CODER_PROMETHEUS_ADDRESS": "127.0.0.1:0"}

_LITELLM = """
model_list:
- model_name: {model}
  litellm_params: {{model: anthropic/{model}, api_base: "{upstream}", api_key: bench}}
litellm_settings: {{telemetry: false}}
"""
_LITELLM_KEY = f"sk-{secrets.token_hex(32)}"
_LITELLM_SETTINGS = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MASTER_KEY": _LITELLM_KEY,
}

# The pool of connections upstream is larger than any load needs, as aiohttp's is.
_NGINX = """
master_process off;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_buffer_size 1m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 100;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


class CannotStartError(Exception):
    """A process of the bench didn't start; the message has its output."""


@dataclass(frozen=True)
class Target:
    """A relay; `path` is that of the Messages API, for clients with `token`.

    The daemon is measured against those that are `yardstick`. It listened `start_s` seconds after
    it was run.
    """

    name: str
    path: str
    pid: int
    port: int
    token: str = "none"
    yardstick: bool = False
    start_s: float = 0.0


@contextmanager
def provider(folder: Path, delay: str = DELAY) -> Iterator[Target]:
    """The fake provider, with so much time between events."""
    port = _free_port()
    command = [*_aibridged("fake-provider"), "--address", f"127.0.0.1:{port}", "--keep", "0"]
    command += ["--events", str(EVENTS), "--delay", delay]
    with _process(command, port, folder / "provider.log") as pid:
        yield Target("provider", "/v1/messages", pid, port)


@contextmanager
def daemon(
    upstream: int,
    folder: Path,
    name: str = "aibridged",
    more: Mapping[str, str] = _AS_IT_IS,
    prepare: Prepare | None = None,
    module: str = "aibridged",
) -> Iterator[Target]:
    """The daemon as it is: tokens, records, logs, the breaker, and limits out of reach.

    `more` settings make it another one, with another `name`, which its user has, too; `prepare`
    gets its state directory and the settings, and `module` is run.
    """
    port, user = _free_port(), name.replace(" ", "-").replace(",", "").lower()
    folder = folder / user
    folder.mkdir()
    settings = {
        "CODER_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": f"http://127.0.0.1:{upstream}",
        "CODER_AIBRIDGE_ANTHROPIC_KEY": "bench",
        "CODER_AIBRIDGE_MAX_CONCURRENCY": "10000",
        "CODER_AIBRIDGE_RATE_LIMIT": "1000000",
        "CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED": "true",
        **more,
    }
    state = ["--state-dir", str(folder)]
    _run([*_aibridged("users", "create", user), *state], settings)
    token = _run([*_aibridged("tokens", "create", "--user", user), *state], settings).strip()
    if prepare is not None:
        prepare(folder, settings)
    command = [sys.executable, "-m", module, "serve", *state]
    began = time.monotonic()
    with _process(command, port, folder / "daemon.log", settings) as pid:
        start_s = time.monotonic() - began
        yield Target(name, "/anthropic/v1/messages", pid, port, token, start_s=start_s)


@contextmanager
def traced(upstream: int, folder: Path) -> Iterator[Target]:
    """The daemon with every request traced, and a receiver of the spans."""
    port = _free_port()
    settings = {
        "CODER_TRACE_ENABLE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    with (
        _module("span_receiver", port, folder),
        daemon(upstream, folder, "traces", settings) as target,
    ):
        yield target


@contextmanager
def with_tools(upstream: int, folder: Path) -> Iterator[Target]:
    """The daemon with an MCP server, whose tool is offered to the model."""
    port = _free_port()
    settings = {
        "CODER_AIBRIDGE_MCP_SERVER_0_ID": "bench",
        "CODER_AIBRIDGE_MCP_SERVER_0_URL": f"http://127.0.0.1:{port}/mcp",
    }
    with (
        _module("mcp_server", port, folder),
        daemon(upstream, folder, "mcp", settings) as target,
    ):
        yield target


def with_budget(
    upstream: int, folder: Path, name: str = "budget", more: Mapping[str, str] = _AS_IT_IS
) -> AbstractContextManager[Target]:
    """The daemon with spend limits that are out of reach."""
    return daemon(upstream, folder, name, more, prepare=_limit)


def _limit(state: Path, settings: Mapping[str, str]) -> None:
    command = [*_aibridged("budgets", "set"), "--state-dir", str(state), "--organization"]
    _run([*command, "--daily", "1000000", "--monthly", "1000000"], settings)


@contextmanager
def litellm(upstream: int, folder: Path, program: str, workers: int) -> Iterator[Target]:
    """LiteLLM's proxy, without a database."""
    port = _free_port()
    file = folder / f"litellm-{workers}.yaml"
    place = f"http://127.0.0.1:{upstream}"
    file.write_text(_LITELLM.format(model=MODEL, upstream=place), encoding="utf-8")
    command = [program, "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--num_workers", str(workers)]
    with _process(command, port, file.with_suffix(".log"), _LITELLM_SETTINGS) as pid:
        yield Target(f"LiteLLM, {workers} workers", "/v1/messages", pid, port, _LITELLM_KEY)


@contextmanager
def bare_relay(upstream: int, folder: Path) -> Iterator[Target]:
    """The smallest relay on the daemon's stack."""
    port = _free_port()
    with _module("bare_relay", port, folder, f"http://127.0.0.1:{upstream}") as pid:
        yield Target("bare aiohttp", "/v1/messages", pid, port, yardstick=True)


@contextmanager
def nginx(upstream: int, folder: Path) -> Iterator[Target]:
    """nginx as a plain reverse proxy, in one process."""
    port = _free_port()
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, upstream=upstream, port=port), encoding="utf-8")
    command = [_nginx_program() or "nginx", "-p", str(folder), "-c", str(file)]
    with _process(command, port, folder / "nginx.log") as pid:
        yield Target("nginx", "/v1/messages", pid, port, yardstick=True)


Start = Callable[[int, Path], AbstractContextManager[Target]]


def available() -> dict[str, Start]:
    """The targets that can be measured on this machine, by name."""
    found: dict[str, Start] = {
        "aibridged": daemon,
        "unrecorded": partial(daemon, name="unrecorded", module="bench.unrecorded"),
        "no-logs": partial(daemon, name="no logs", more={"CODER_LOGGING_HUMAN": os.devnull}),
        "metrics": partial(daemon, name="metrics", more=_METRICS),
        "traces": traced,
        "mcp": with_tools,
        "budget": with_budget,
        "bare": bare_relay,
    }
    if _nginx_program():
        found["nginx"] = nginx
    return found


def _nginx_program() -> str | None:
    # Debian keeps it out of an ordinary user's path.
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _aibridged(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aibridged", *arguments]


def _environment() -> dict[str, str]:
    """The bench's own environment, without settings of the daemon."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CODER_")}


def _run(command: list[str], settings: Mapping[str, str]) -> str:
    environment = {**_environment(), **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise CannotStartError(f"{command!r} failed:\n{done.stderr}")
    return done.stdout


def _module(name: str, port: int, folder: Path, *arguments: str) -> AbstractContextManager[int]:
    """Run a module of the bench at `port`; yields its pid."""
    command = [sys.executable, "-m", f"bench.{name}", "127.0.0.1", str(port), *arguments]
    return _process(command, port, folder / f"{name}.log")


@contextmanager
def _process(
    command: list[str], port: int, log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a command until it listens on `port`; yields its pid, and always ends it."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, env={**_environment(), **(settings or {})}, stdout=output, stderr=output
        )
    try:
        _await_listener(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_listener(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise CannotStartError(f"{process.args!r} does not listen:\n{log.read_text(encoding='utf-8')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
