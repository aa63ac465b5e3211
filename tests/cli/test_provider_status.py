"""`check-config --connect`: each provider, and whether it accepts its key."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aibridged.cli.provider_status import as_text
from aibridged.config.options import ProviderSettings
from aibridged.config.proxy_url import read_proxy_url
from aibridged.config.secret import Secret
from aibridged.daemon.provider_probe import ProviderCheck

Run = Callable[..., subprocess.CompletedProcess[str]]
KEY = "sk-good-0123456789-abcdefghijklmnop"
BAD = "sk-bad-0123456789-abcdefghijklmnopq"


class Handler(BaseHTTPRequestHandler):
    """Lists models for the right key, sent the vendor's own way."""

    def do_GET(self) -> None:
        self.send_response(self._status())
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def _status(self) -> int:
        own = {
            "/anthropic/v1/models?limit=1": "anthropic-version" in self.headers
            and self.headers.get("X-Api-Key"),
            "/openai/v1/models": self.headers.get("Authorization", "").removeprefix("Bearer "),
        }
        if self.path == "/local/v1/models":
            return 200
        if self.path not in own:
            return 404
        return 200 if own[self.path] == KEY else 401

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


Connect = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def connect(run: Run) -> Connect:
    """Asks providers, each given as type, base URL and key."""

    def connect(
        *providers: tuple[str, str, str], output: str = "text"
    ) -> subprocess.CompletedProcess[str]:
        environ = {}
        for number, (kind, url, key) in enumerate(providers):
            prefix = f"CODER_AIBRIDGE_PROVIDER_{number}_"
            environ |= {f"{prefix}TYPE": kind, f"{prefix}BASE_URL": url}
            environ |= {f"{prefix}NAME": f"p{number}", f"{prefix}KEY": key}
        return run("check-config", "--connect", "--output", output, environ=environ)

    return connect


def test_keys_that_are_accepted_and_a_server_that_needs_none(connect: Connect, server: str) -> None:
    shown = connect(
        ("anthropic", f"{server}/anthropic", KEY),
        ("openai", f"{server}/openai/v1", KEY),
        ("openai", f"{server}/local/v1", ""),
        ("openai", f"{server}/openai/v1", ""),
        ("openai", f"{server}/elsewhere", KEY),
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    told = " ".join(shown.stdout.rpartition("Providers\n")[2].split())
    assert f"p0: reachable, and accepts the key sk-g…mnop ({server}/anthropic, directly)" in told
    assert "p1: reachable, and accepts the key sk-g…mnop" in told
    assert "p2: reachable, and needs no key" in told
    assert "p3: reachable, without a key (status 401): callers need one of their own" in told
    assert "p4: reachable, but it lists no models (status 404), so the key sk-g…mnop is" in told
    assert KEY not in shown.stdout


def test_a_key_that_is_refused_exits_1_and_names_its_setting(connect: Connect, server: str) -> None:
    shown = connect(("openai", f"{server}/openai/v1", BAD))
    assert shown.returncode == 1
    told = " ".join(shown.stdout.split())
    assert "p0: REFUSES the key sk-b…nopq (status 401): check CODER_AIBRIDGE_PROVIDER_0_KEY" in told
    assert BAD not in shown.stdout


def test_a_provider_that_cannot_be_reached_exits_1(connect: Connect, unused_tcp_port: int) -> None:
    shown = connect(("openai", f"http://127.0.0.1:{unused_tcp_port}/v1", KEY))
    assert shown.returncode == 1
    assert "  p0: FAILED: connection refused (http://127.0.0.1:" in shown.stdout


def test_the_same_as_json(connect: Connect, server: str) -> None:
    shown = connect(("openai", f"{server}/openai/v1", KEY), output="json")
    [provider] = json.loads(shown.stdout)["providers"]
    assert provider["connection"] == {
        "reachable": True,
        "status": 200,
        "key": "accepted",
        "error": None,
    }


def test_the_proxy_on_the_way_is_named_without_its_password() -> None:
    proxy = read_proxy_url("http://user:canary@proxy.test:3128")
    provider = ProviderSettings("openai", "p", Secret(KEY), "https://o.example/v1", proxy=proxy)
    told = as_text([ProviderCheck(provider, None, "no such host", "unknown")])
    assert "through http://****@proxy.test:3128" in " ".join(told.split())
    assert "canary" not in told


def test_one_that_is_there_by_default_fails_nothing() -> None:
    usual = ProviderSettings("openai", "openai", None, "https://api.openai.com/v1")
    assert ProviderCheck(usual, None, "no such host", "unknown").is_well
    keyed = ProviderSettings("openai", "openai", Secret(KEY), "https://api.openai.com/v1")
    assert not ProviderCheck(keyed, None, "no such host", "unknown").is_well
