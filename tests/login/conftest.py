"""A gateway's sign-in, scripted, over a real socket; a clock to move; commands in this process."""

import argparse
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from aibridged.login import command_line
from aibridged.login.command_line import Terminal
from aibridged.login.store import Login, Logins

START = 1_800_000_000.0
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PENDING = (400, {"error": "authorization_pending"})


def secret(number: int) -> str:
    return f"aib_{number:010d}_{'s' * 43}"


def successor(number: int) -> str:
    return f"air_{number:010d}_{'r' * 43}"


class ManualClock:
    """Stands still but for those who sleep."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return START + self.elapsed

    def monotonic(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.elapsed += seconds


class OAuthServer:
    """Signs people in as a test tells it to.

    `answers` are what a path answers next, `(status, data)` each; without one, what a gateway
    answers to somebody who has said yes. `refreshes` counts the refreshes that gave a new pair.
    """

    def __init__(self) -> None:
        self.answers: dict[str, deque[tuple[int, Any]]] = {}
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.refreshes = 0
        self.lifetime = 3600
        self.email: str | None = "ann@example.com"
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.serve(self, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.serve(self, dict(parse_qsl(body.decode())))

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self.gate.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def next(self, path: str, *answers: tuple[int, Any]) -> None:
        self.answers.setdefault(path, deque()).extend(answers)

    def forms(self, path: str) -> list[dict[str, str]]:
        return [form for asked, form, _ in self.requests if asked == path]

    def serve(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        with self._lock:
            self.requests.append((handler.path, form, dict(handler.headers.items())))
            waiting = self.answers.get(handler.path)
            status, data = waiting.popleft() if waiting else self._usual(handler.path, form)
        self.gate.wait(10)
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        handler.send_response(status)
        if 300 <= status < 400:
            handler.send_header("Location", f"{self.url}/elsewhere")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _usual(self, path: str, form: Mapping[str, str]) -> tuple[int, Any]:
        match path:
            case "/.well-known/oauth-authorization-server":
                return 200, self.metadata()
            case "/oauth/device_authorization":
                return 200, self.device()
            case "/oauth/token" if form["grant_type"] == DEVICE_GRANT:
                return 200, self.pair(0)
            case "/oauth/token" if form["refresh_token"] == successor(self.refreshes):
                self.refreshes += 1
                return 200, self.pair(self.refreshes)
            case "/oauth/token":
                return 401, {"error": "invalid_grant"}
            case "/oauth/revoke":
                return 200, {}
            case "/api/v2/users/me":
                return 200, {"username": "ann", "email": "ann@example.com", "groups": ["team"]}
        return 404, {}

    def metadata(self, **changes: Any) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "device_authorization_endpoint": f"{self.url}/oauth/device_authorization",
            "token_endpoint": f"{self.url}/oauth/token",
            "revocation_endpoint": f"{self.url}/oauth/revoke",
            **changes,
        }

    def device(self, **changes: Any) -> dict[str, Any]:
        return {
            "device_code": "d" * 43,
            "user_code": "BCDF-GHJK",
            "verification_uri": f"{self.url}/device",
            "verification_uri_complete": f"{self.url}/device?user_code=BCDF-GHJK",
            "expires_in": 600,
            "interval": 5,
            **changes,
        }

    def pair(self, number: int, **changes: Any) -> dict[str, Any]:
        return {
            "access_token": secret(number),
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "refresh_token": successor(number),
            "email": self.email,
            **changes,
        }


@pytest.fixture
def oauth_server() -> Iterator[OAuthServer]:
    server = OAuthServer()
    yield server
    server.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def logins(tmp_path: Path, clock: ManualClock) -> Logins:
    return Logins(tmp_path / ".config" / "aibridged", clock)


@pytest.fixture
def stored(logins: Logins, oauth_server: OAuthServer, clock: ManualClock) -> Callable[..., Login]:
    """Stores a sign-in at the server, whose bearer lasts an hour from now on."""

    def stored(**changes: Any) -> Login:
        login = Login(
            **{
                "url": oauth_server.url,
                "access_token": secret(0),
                "expires_at": clock.now() + 3600,
                "lifetime": 3600.0,
                "token_endpoint": f"{oauth_server.url}/oauth/token",
                "refresh_token": successor(0),
                "revocation_endpoint": f"{oauth_server.url}/oauth/revoke",
                "email": "ann@example.com",
                **changes,
            }
        )
        logins.save(login)
        logins.make_default(login.url)
        return login

    return stored


@pytest.fixture
def terminal(tmp_path: Path, clock: ManualClock) -> Terminal:
    """Somebody's machine, whose home is the test's folder; nobody sits in front of it."""
    return Terminal({}, tmp_path, ["/opt/bin/aibridged"], clock, is_interactive=False)


@pytest.fixture
def command(terminal: Terminal) -> Callable[..., None]:
    """Runs a command of sign-in in this process."""

    def command(name: str, *words: str, at: Terminal = terminal) -> None:
        known = command_line.BY_NAME[name]
        parser = argparse.ArgumentParser()
        known.add_arguments(parser)
        known.run(at, parser.parse_args(words))

    return command
