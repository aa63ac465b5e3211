"""Requests are bounded, go nowhere else, and fail in words."""

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest

from aibridged.login.failure import LoginError, UnreachableError
from aibridged.login.requests import MAX_BYTES, ask
from tests.tls_files import CERT, KEY


def test_an_answer_is_its_status_and_its_object(oauth_server):
    oauth_server.next("/x", (400, {"error": "slow_down"}), (200, b"[1]"), (500, b"no JSON"))
    answers = [ask(f"{oauth_server.url}/x", form={"a": "b c&d"}) for _ in range(3)]
    assert [(each.status, dict(each.data), each.error) for each in answers] == [
        (400, {"error": "slow_down"}, "slow_down"),
        (200, {}, ""),
        (500, {}, ""),
    ]
    assert oauth_server.forms("/x")[0] == {"a": "b c&d"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(oauth_server, status):
    oauth_server.next("/x", (status, {}), (status, {}))
    assert ask(f"{oauth_server.url}/x", form={"token": "t"}).status == status
    assert ask(f"{oauth_server.url}/x", bearer="t").status == status
    assert [path for path, _, _ in oauth_server.requests] == ["/x", "/x"]


def test_loopback_goes_through_no_proxy(oauth_server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(f"{oauth_server.url}/oauth/revoke").status == 200


def test_a_large_answer_is_refused(oauth_server):
    oauth_server.next("/x", (200, b"{" + b" " * MAX_BYTES))
    with pytest.raises(UnreachableError, match="64 KiB"):
        ask(f"{oauth_server.url}/x")


def test_a_server_that_says_nothing_is_given_up(oauth_server):
    oauth_server.gate.clear()
    with pytest.raises(UnreachableError, match="answer"):
        ask(f"{oauth_server.url}/x", timeout=0.2)


@contextmanager
def listening(serve, host="127.0.0.1"):
    """A server whose one connection `serve` has."""
    with socket.create_server((host, 0)) as server:

        def run():
            with server.accept()[0] as connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"{host}:{server.getsockname()[1]}"
        thread.join(5)


def test_a_server_that_never_ends_is_given_up():
    over = threading.Event()

    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.05):
            connection.sendall(b"X-More: 1\r\n")

    with listening(drip) as address:
        with pytest.raises(UnreachableError, match="complete"):
            ask(f"http://{address}/", timeout=0.3)
        over.set()


def test_what_is_no_http_is_said():
    def talk(connection):
        connection.recv(1000)
        connection.sendall(b"220 mail.example.com ESMTP\r\n")

    with listening(talk) as address, pytest.raises(UnreachableError, match="isn't HTTP"):
        ask(f"http://{address}/")


def test_nobody_there_is_said():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnreachableError, match="refuses connections"):
        ask(f"http://127.0.0.1:{port}/")


def over_tls(connection):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1000)
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    except OSError:
        return


def test_a_certificate_of_nobody_known_is_said_with_the_mend():
    with listening(over_tls) as address, pytest.raises(LoginError) as raised:
        ask(f"https://localhost:{address.split(':')[1]}/")
    assert "certificate isn't trusted" in raised.value.what
    assert "--ca-file" in raised.value.mend
    assert not isinstance(raised.value, UnreachableError)


def test_a_certificate_of_a_named_authority_is_trusted():
    with listening(over_tls) as address:
        port = address.split(":")[1]
        assert ask(f"https://localhost:{port}/", ca_file=str(CERT)).status == 200


def test_a_certificate_for_another_name_is_said():
    with (
        listening(over_tls, "127.0.0.2") as address,
        pytest.raises(LoginError, match=r"isn't trusted.*127\.0\.0\.2"),
    ):
        ask(f"https://{address}/", ca_file=str(CERT))


def test_authorities_that_cannot_be_read_are_said(tmp_path):
    with pytest.raises(LoginError, match=r"nothing\.pem"):
        ask("https://localhost:1/", ca_file=str(tmp_path / "nothing.pem"))


def test_what_a_proxy_says_cannot_steer_the_terminal(monkeypatch):
    def refuse(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 403 \x1b]0;mine\x07\x9b2Jno\r\n\r\n")

    with listening(refuse) as address:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        with pytest.raises(UnreachableError) as raised:
            ask("https://gateway.example")
    text = raised.value.text("aibridged login")
    assert "403" in text
    assert all(each.isprintable() for each in text.replace("\n", ""))
