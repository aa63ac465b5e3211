"""Where the daemon is reached: on the sockets that were passed to it, else on its addresses."""

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence

from aibridged.clock import Clock
from aibridged.config.kinds import Address, is_loopback
from aibridged.config.options import Settings
from aibridged.core.room import Room
from aibridged.transport.acceptor import Acceptor, bind
from aibridged.transport.server import Server

Shortage = Callable[[str, BaseException], None]
"""Is told that the system had no descriptor for something, and why."""

# Whoever scrapes more at a time waits until one has its answer.
_METRICS_PLACES = 8


class CannotListenError(Exception):
    """The address is taken or not here, or the certificate is bad; the message says what to do."""


class Listeners:
    """The listening sockets of one server.

    `outlive` says that the sockets were passed: whoever passed them holds them open, so that
    connections wait there for the next process once this one has stopped to accept.
    """

    def __init__(self, settings: Settings, passed: Sequence[socket.socket] = ()) -> None:
        self._settings = settings
        self._passed = passed
        self._tls: ssl.SSLContext | None = None
        self._acceptors: list[Acceptor] = []
        self.outlive = bool(passed)
        self.urls: list[str] = []

    async def open(self, server: Server, shortage: Shortage) -> None:
        """Make a connection of `server` from whatever connects.

        Raises:
            CannotListenError: see there.
        """
        self._tls = _make_tls(self._settings)
        sockets = self._passed
        if self.outlive:
            for passed in self._passed:
                self._refuse_strangers(passed)
        else:
            sockets = await _bind(self._settings.http_address, "--http-address")
        within = self._settings.http_read_timeout
        self._acceptors = [
            Acceptor(each, server, server.room, shortage, self._tls, within) for each in sockets
        ]
        scheme = "https" if self._tls else "http"
        self.urls = [_url(scheme, each.getsockname()) for each in sockets]

    def _refuse_strangers(self, passed: socket.socket) -> None:
        """Without authentication only this machine may reach the organisation's keys."""
        if self._settings.auth != "none" or passed.family == socket.AF_UNIX:
            return
        host, port = passed.getsockname()[:2]
        if not ipaddress.ip_address(host).is_loopback:
            raise CannotListenError(
                f"The socket {host} port {port} that was passed can be reached from other"
                " machines, and callers are not authenticated."
                " Let its unit listen on 127.0.0.1 or [::1], or leave --aibridge-auth at token."
            )

    def reconfigure(self, settings: Settings) -> None:
        """Put settings in force, and read the files of the certificate again.

        That is for the connections to come.

        Raises:
            CannotListenError: the files hold no pair; all stays as it was.
        """
        if self._tls is not None:
            # Tried apart first: a context that takes half of a bad pair would serve nobody.
            _make_tls(settings)
            _load_pair(self._tls, settings)
        self._settings = settings
        for acceptor in self._acceptors:
            acceptor.handshake_timeout = settings.http_read_timeout

    def close(self) -> None:
        """Stop accepting. What has been accepted goes on."""
        for acceptor in self._acceptors:
            acceptor.close()


class MetricsListener:
    """Where Prometheus asks, without TLS; `passed` as for `Listeners`.

    `room` is its own: whoever asks there takes none of the gateway's clients' places.
    """

    def __init__(
        self, settings: Settings, clock: Clock, passed: Sequence[socket.socket] = ()
    ) -> None:
        self._address = settings.prometheus_address
        self._passed = passed
        self._acceptors: list[Acceptor] = []
        self._server: Server | None = None
        self.room = Room(clock, _METRICS_PLACES)
        self.urls: list[str] = []
        """Everywhere that it listens."""

    @property
    def is_local_only(self) -> bool:
        """Whether all that it listens on is at loopback addresses."""
        if not self._passed:
            return is_loopback(self._address.host)
        return all(
            passed.family != socket.AF_UNIX and is_loopback(passed.getsockname()[0])
            for passed in self._passed
        )

    async def open(self, server: Server, shortage: Shortage) -> None:
        """Make a connection of `server` from whatever connects.

        Raises:
            CannotListenError: see there.
        """
        self._server = server
        sockets = self._passed or await _bind(self._address, "--prometheus-address")
        self._acceptors = [Acceptor(each, server, self.room, shortage) for each in sockets]
        self.urls = [_url("http", each.getsockname()) for each in sockets]

    def close(self) -> None:
        """Answer nobody any more."""
        for acceptor in self._acceptors:
            acceptor.close()
        if self._server is not None:
            self._server.abort()


async def _bind(address: Address, flag: str) -> list[socket.socket]:
    try:
        return await bind(address.host or None, address.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListenError(
            f"Cannot listen on {address}: {reason}."
            f" Stop what listens there, or choose another {flag}."
        ) from None


def _url(scheme: str, name: str | bytes | tuple[str, int]) -> str:
    if isinstance(name, bytes):  # in the abstract namespace, with a NUL in front
        return f"unix:@{os.fsdecode(name[1:])}"
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _make_tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, settings)
    return context


def _load_pair(context: ssl.SSLContext, settings: Settings) -> None:
    assert settings.tls_cert_file is not None
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise CannotListenError(
            f"--tls-cert-file and --tls-key-file are no certificate with its key: {error}."
        ) from None
