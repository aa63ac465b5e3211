"""The AI Proxy in real processes, on their event loop: in the daemon, and alone."""

import asyncio
import base64
import gc
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network

import pytest

from aibridged.config.options import Settings
from aibridged.config.proxy_url import read_proxy_url
from aibridged.daemon.ai_proxy import AiProxyError
from aibridged.daemon.standalone_proxy import StandaloneProxy

BODY = json.dumps(
    {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi there"}]}
)
URL = "https://api.anthropic.com/v1/messages"
OPENED = (
    "intercepts (MITM) api.anthropic.com, api.business.githubcopilot.com,"
    " api.enterprise.githubcopilot.com, api.individual.githubcopilot.com, api.openai.com\n"
)


@pytest.fixture
def curl(program, ca) -> Callable:
    """What curl prints through a proxy, and the status of the answer."""

    async def curl(proxy: str, *options: str) -> tuple[str, int]:
        process = await asyncio.create_subprocess_exec(
            program("curl"),
            *("--silent", "--proxy", proxy, "--proxy-insecure", "--cacert", str(ca[0])),
            *("--write-out", "\n%{http_code} %{http_connect}", *options),
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()
        text, _, codes = out.decode().rpartition("\n")
        status, connect = (int(code) for code in codes.split())
        return text, status or connect

    return curl


@pytest.fixture
def variables(ca) -> dict[str, str]:
    return {
        "CODER_AIBRIDGE_PROXY_CERT_FILE": str(ca[0]),
        "CODER_AIBRIDGE_PROXY_KEY_FILE": str(ca[1]),
        "CODER_AIBRIDGE_PROXY_LISTEN_ADDR": "127.0.0.1:0",
    }


async def address(daemon) -> str:
    await daemon.until("The AI Proxy listens on")
    return re.search(r"AI Proxy listens on (\S+),", "".join(daemon.log))[1]


async def test_in_the_daemon_with_tls_of_its_own(start_daemon, variables, own_pair, curl, fake):
    daemon = await start_daemon(
        **variables,
        CODER_AIBRIDGE_PROXY_ENABLED="true",
        CODER_AIBRIDGE_PROXY_TLS_CERT_FILE=str(own_pair[0]),
        CODER_AIBRIDGE_PROXY_TLS_KEY_FILE=str(own_pair[1]),
    )
    proxy = await address(daemon)
    assert proxy.startswith("https://")
    assert any(OPENED in line for line in daemon.log)
    text, status = await curl(proxy, URL, "--header", "X-Api-Key: sk-canary", "--json", BODY)
    assert status == 200
    assert "You said: hi there" in text
    assert fake.requests[0].header("X-Api-Key") == "sk-canary"
    for url in ("https://127.0.0.1/", "https://localhost/", "https://[::1]/"):
        assert (await curl(proxy, url))[1] == 403
    daemon.process.send_signal(signal.SIGTERM)
    assert await daemon.process.wait() == 0
    assert not any("sk-canary" in line for line in daemon.log)


async def test_a_tunnel_does_not_hold_up_the_end(start_daemon, variables, listen):
    async def handle(reader, writer):
        await reader.read()
        writer.close()

    upstream = await listen(_upstream_proxy(handle))
    daemon = await start_daemon(
        **variables,
        CODER_AIBRIDGE_PROXY_ENABLED="true",
        CODER_AIBRIDGE_PROXY_UPSTREAM="http://{}:{}".format(*upstream),
    )
    proxy_host, proxy_port = (await address(daemon)).rpartition("//")[2].split(":")
    reader, writer = await asyncio.open_connection(proxy_host, int(proxy_port))
    writer.write(b"CONNECT a.invalid:443 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    daemon.process.send_signal(signal.SIGTERM)
    assert await daemon.process.wait() == 0
    assert await reader.read() == b""
    writer.close()


def _upstream_proxy(handle):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await handle(reader, writer)

    return answer


@asynccontextmanager
async def alone(target: str, variables: dict[str, str]) -> AsyncIterator[tuple[str, list[str]]]:
    """`aibridged proxy` as a process; its address and its log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CODER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aibridged", "proxy", "--aibridge-proxy-target", target),
        env={**kept, **variables},
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    log: list[str] = []
    while not log or "AI Proxy listens on" not in log[-1]:
        line = await process.stderr.readline()
        assert line, log
        log.append(line.decode())
    try:
        yield re.search(r"listens on (\S+),", log[-1])[1], log
    finally:
        process.send_signal(signal.SIGTERM)
        log.append((await process.stderr.read()).decode())
        assert await process.wait() == 0


async def test_alone_in_front_of_a_gateway_elsewhere(
    start_proxied, variables, curl, fake, tmp_path, command
):
    """The gateway knows the token, keeps the record, and calls the request as the proxy does."""

    proxied = await start_proxied(
        proxy_enabled=False, proxy_trusted_origins=(ip_network("127.0.0.1"),)
    )
    variables = {**variables, "CODER_STATE_DIR": str(tmp_path)}
    async with alone(proxied.gateway.url, variables) as (proxy, log):
        assert log[-1].endswith(OPENED)
        asked = await command("proxy", "status", "-o", "json", "--state-dir", str(tmp_path))
        said = json.loads(asked.out)
        assert said["listeners"] == [{"what": "AI Proxy", "url": proxy}]
        assert said["forwards_to"] == proxied.gateway.url
        assert said["database"] is None
        daemons = await command("status", "--state-dir", str(tmp_path))
        nothing = f"No daemon is running with the state directory {tmp_path}."
        assert daemons.err.startswith(nothing)
        mine = proxy.replace("//", f"//token:{proxied.token}@")
        for stream in (False, True):
            body = json.dumps({**json.loads(BODY), "stream": stream})
            text, status = await curl(mine, URL, "--header", "X-Api-Key: sk-own", "--json", body)
            assert status == 200
            assert "hi" in text
            assert fake.requests[-1].header("X-Api-Key") == "sk-own"
        guess = proxied.token[:-1] + ("x" if proxied.token[-1] != "x" else "y")
        others = proxy.replace("//", f"//token:{guess}@")
        assert (await curl(others, URL, "--json", BODY))[1] == 407
        assert (await curl(proxy, URL, "--json", BODY))[1] == 407
        assert (await curl(proxy.replace("//", "//token:sk-ant-key@"), URL))[1] == 407
    asked = await command("proxy", "status", "--state-dir", str(tmp_path))
    assert (asked.status, asked.out) == (1, "")
    assert "No standalone AI Proxy is running" in asked.err
    assert fake.seen == 2
    assert not any(proxied.token in line or "sk-own" in line for line in log)
    everything = b"".join(b"".join(pair) for each in fake.requests for pair in each.raw_headers)
    assert proxied.token.encode() not in everything


async def test_a_gateway_elsewhere_tells_its_callers_apart(
    start_proxied, variables, curl, fake, log
):
    proxied = await start_proxied(
        proxy_enabled=False,
        proxy_trusted_origins=(ip_network("127.0.0.1"),),
        proxy_trusted_headers=("X-Forwarded-For", "X-Coder-Forwarded-For"),
        allow_byok=False,
    )
    async with alone(proxied.gateway.url, variables) as (proxy, _):
        # Wrong tokens that come through the proxy lock nobody out, and count where they are from.
        assert {await _guess(proxy, number) for number in range(70)} == {407}
        told = [line for line in log if "openapi.json 401" in line]
        assert told
        assert all("127.0.0.9" in line for line in told)
        mine = proxy.replace("//", f"//token:{proxied.token}@")
        lies = [
            *("--header", "X-Forwarded-For: 192.0.2.1", "--header", "Forwarded: for=192.0.2.1"),
            *("--header", "X-Real-Ip: 192.0.2.1", "--header", "X-Coder-Forwarded-For: 192.0.2.1"),
            *("--header", "Connection: keep-alive, X-Coder-Forwarded-For, X-Coder-Token"),
            *("--interface", "127.0.0.8", "--json", BODY),
        ]
        assert (await curl(mine, URL, *lies))[1] == 200
        told = {name.lower() for name, _ in fake.requests[-1].raw_headers}
        assert not told & {b"x-forwarded-for", b"forwarded", b"x-real-ip", b"x-coder-forwarded-for"}
        assert (await curl(mine, URL, "--header", "X-Api-Key: sk-own", *lies))[1] == 403
    [refused] = [line for line in log if "byok_disabled" in line]
    assert "127.0.0.8" in refused


async def _guess(proxy: str, number: int) -> int:
    """The status for a token that is nobody's, from an address of its own."""
    host, port = proxy.rpartition("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.9", 0))
    token = base64.b64encode(f"token:aib_{number:010}_{number:043}".encode()).decode()
    head = (
        f"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic {token}\r\n\r\n"
    )
    writer.write(head.encode())
    status = int((await reader.readuntil(b"\r\n"))[9:12])
    writer.close()
    return status


async def test_alone_without_what_it_needs_nothing_is_left_open(ca, tmp_path):
    settings = replace(
        Settings(),
        proxy_target="http://127.0.0.1:9",
        proxy_cert_file=ca[0],
        proxy_key_file=ca[1],
        proxy_upstream=read_proxy_url("https://127.0.0.1:9"),
        proxy_upstream_ca=tmp_path / "gone.pem",
    )
    with pytest.raises(AiProxyError, match="upstream-ca"):
        await StandaloneProxy(settings).start()
    gc.collect()  # which would tell of sessions that were not closed
