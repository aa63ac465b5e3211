"""`aibridged fake-provider` as a process."""

import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "aibridged", "fake-provider"]
MESSAGE = b'{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *flags], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_says_where_it_listens_and_ends_on_a_signal(number):
    flags = ["--address", "127.0.0.1:0", "--events", "12", "--delay", "1ms"]
    with subprocess.Popen([*COMMAND, *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("fake provider listening on http://127.0.0.1:")
        request = urllib.request.Request(
            f"{line.split()[-1]}/v1/messages", MESSAGE, {"x-api-key": "any"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.read().count(b"text_delta") == 12
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == ""


def test_a_taken_port_is_one_clear_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("--address", address)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Cannot listen on {address}: Address already in use. Choose another --address; port 0 "
        "picks a free port.\n"
    )


@pytest.mark.parametrize("flags", [("--address", "nonsense"), ("--delay", "10"), ("--events", "0")])
def test_wrong_usage(flags):
    ended = run(*flags)
    assert ended.returncode == 2
    assert flags[0] in ended.stderr
