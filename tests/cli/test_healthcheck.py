"""`aibridged healthcheck`, against servers that answer as the daemon does, or don't."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tls_files import CERT, KEY

Run = Callable[..., subprocess.CompletedProcess[str]]


class Daemon(BaseHTTPRequestHandler):
    """Lives, and takes no requests."""

    def do_GET(self) -> None:
        status, said = {"/healthz": (200, b"ok\n"), "/readyz": (503, b"shutting down\n")}[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Daemon) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0"])
def test_it_lives(host: str, run: Run) -> None:
    with listening() as port:
        asked = run("healthcheck", environ={"CODER_HTTP_ADDRESS": f"{host}:{port}"})
    shown = host.replace("0.0.0.0", "127.0.0.1")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout == f"http://{shown}:{port}/healthz: 200 ok\n"


def test_it_lives_and_is_not_ready(run: Run) -> None:
    with listening() as port:
        asked = run("healthcheck", "--ready", "--http-address", f"127.0.0.1:{port}")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert asked.stderr == f"http://127.0.0.1:{port}/readyz: 503 shutting down\n"


def test_it_is_gone(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    asked = run("healthcheck", "--http-address", address)
    assert (asked.returncode, asked.stdout) == (1, "")
    said = " ".join(asked.stderr.split())
    assert said.startswith(f"http://{address}/healthz: no answer, connection refused. → No daemon")
    assert said.endswith("`systemctl start aibridged`), or correct --http-address.")


def test_its_host_is_not_known(run: Run) -> None:
    asked = run("healthcheck", environ={"CODER_HTTP_ADDRESS": "gateway.invalid:4001"})
    assert asked.returncode == 1
    assert " no such host.\n  → Correct CODER_HTTP_ADDRESS.\n" in asked.stderr


def test_it_is_another_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Daemon, "do_GET", lambda self: self.send_error(404))
    with listening() as port:
        asked = run("healthcheck", "--http-address", f"127.0.0.1:{port}")
    assert asked.returncode == 1
    assert "404" in asked.stderr
    assert "not the daemon's answer: check the address." in asked.stderr


def test_it_does_not_answer(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = run("healthcheck", "--http-address", f"127.0.0.1:{server.getsockname()[1]}")
    assert asked.returncode == 1
    assert "no answer within 3 s" in asked.stderr
    assert "`aibridged status`" in asked.stderr


def test_it_speaks_tls_and_the_settings_do_not_say_so(run: Run) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERT, KEY)
    with listening(tls) as port:
        asked = run("healthcheck", "--http-address", f"127.0.0.1:{port}")
    assert asked.returncode == 1
    assert "doesn't answer in HTTP." in asked.stderr
    assert "(--config): it may be one with TLS." in " ".join(asked.stderr.split())


def test_it_speaks_something_else(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-x\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        asked = run("healthcheck", "--http-address", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert asked.returncode == 1
    assert "what listens there doesn't answer in HTTP." in asked.stderr


def test_over_tls_where_the_settings_say_so(run: Run) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERT, KEY)
    with listening(tls) as port:
        files = {"CODER_TLS_CERT_FILE": str(CERT), "CODER_TLS_KEY_FILE": str(KEY)}
        asked = run("healthcheck", "--http-address", f"127.0.0.1:{port}", environ=files)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.startswith("https://")


def test_mistakes_elsewhere_are_not_its_business(run: Run, tmp_path: Path) -> None:
    """The daemon serves on what the file said before it was spoilt."""
    file = tmp_path / "aibridged.yaml"
    with listening() as port:
        file.write_text(
            f"aibridge: {{rate_limit: many}}\nnetworking: {{http: {{httpAddress: ':{port}'}}}}\n"
        )
        asked = run("healthcheck", "--config", str(file))
    assert (asked.returncode, asked.stderr) == (0, "")


def test_an_address_that_is_none_is_named(run: Run) -> None:
    asked = run("healthcheck", environ={"CODER_HTTP_ADDRESS": "nowhere"})
    assert asked.returncode == 1
    assert "CODER_HTTP_ADDRESS" in asked.stderr
