"""Listening sockets: passed by systemd (socket activation), or bound to the addresses."""

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aibridged.config.kinds import Address, is_loopback
from aibridged.config.options import Settings
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.transport.acceptor import Acceptor, MakeProtocol, bind

Shortage = Callable[[str, BaseException], None]
"""Called when the system had no descriptor for something, with the error."""


class CannotListenError(Exception):
    """The address is in use or not local, or the certificate is bad; the message has the remedy."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with its key, and the flags that name them."""

    certificate: Path
    certificate_flag: str
    key: Path
    key_flag: str

    def load_into(self, context: ssl.SSLContext) -> None:
        """Use this certificate for new connections.

        Raises:
            CannotListenError: the files aren't a certificate and its key.
        """
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise CannotListenError(
                f"{self.certificate_flag} and {self.key_flag} are not a certificate and its key:"
                f" {error}."
            ) from None

    def context(self) -> ssl.SSLContext:
        """The server's TLS context.

        Raises:
            CannotListenError: see `load_into`.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        self.load_into(context)
        return context


class Listener:
    """The listening sockets of one server: at `address`, which `flag` names, or those `passed`.

    With `callers_unknown` there is no authentication, and only loopback may connect: the address is
    checked with the settings, passed sockets are checked here; so is that they are TCP with
    `tcp_only`. `outlive` says that the sockets were passed and are held open by systemd, so that
    connections queue there for the next process once this one has stopped accepting.
    """

    def __init__(
        self,
        address: Address,
        flag: str,
        passed: Sequence[socket.socket] = (),
        certificate: CertificateFiles | None = None,
        *,
        callers_unknown: bool = False,
        tcp_only: bool = False,
    ) -> None:
        self._address = address
        self._flag = flag
        self._passed = passed
        self._certificate = certificate
        self._callers_unknown = callers_unknown
        self._tcp_only = tcp_only
        self._tls: ssl.SSLContext | None = None
        self._acceptors: list[Acceptor] = []
        self.outlive = bool(passed)
        self.urls: list[str] = []
        """All its addresses, once open, with the port that the system chose for port 0."""

    @property
    def is_local_only(self) -> bool:
        """Whether all its addresses are loopback addresses."""
        if not self._passed:
            return is_loopback(self._address.host)
        return all(
            passed.family != socket.AF_UNIX and is_loopback(passed.getsockname()[0])
            for passed in self._passed
        )

    async def open(
        self,
        make: MakeProtocol,
        limiter: ConnectionLimiter,
        shortage: Shortage,
        handshake_timeout: float | None = None,
    ) -> None:
        """Listen, with a protocol from `make` for each connection that `limiter` lets in.

        Raises:
            CannotListenError: an address or the certificate can't be used.
        """
        for each in self._passed:
            self._check_passed(each)
        self._tls = self._certificate.context() if self._certificate is not None else None
        sockets = self._passed or await self._bind()
        self._acceptors = [
            Acceptor(each, make, limiter, shortage, self._tls, handshake_timeout)
            for each in sockets
        ]
        scheme = "https" if self._tls else "http"
        self.urls = [_url(scheme, each.getsockname()) for each in sockets]

    def set_handshake_timeout(self, seconds: float) -> None:
        """Set the deadline of TLS handshakes, for new connections."""
        for acceptor in self._acceptors:
            acceptor.handshake_timeout = seconds

    def check_certificate(self) -> None:
        """Read the certificate files without using them yet.

        Raises:
            CannotListenError: they aren't a certificate and its key.
        """
        if self._certificate is not None:
            # On another context: one with half of a bad pair couldn't serve any client.
            self._certificate.context()

    def renew_certificate(self) -> None:
        """Reload the certificate files, which have been checked, for new connections."""
        if self._tls is not None and self._certificate is not None:
            self._certificate.load_into(self._tls)

    def close(self) -> None:
        """Stop accepting. Accepted connections go on."""
        for acceptor in self._acceptors:
            acceptor.close()

    def _check_passed(self, passed: socket.socket) -> None:
        """Check the address of a passed socket, as the settings' check can't."""
        if passed.family == socket.AF_UNIX:
            if self._tcp_only:
                raise CannotListenError(
                    f"The socket that was passed in place of {self._flag} is not a TCP socket."
                )
            return
        host, port = passed.getsockname()[:2]
        if self._callers_unknown and not is_loopback(host):
            raise CannotListenError(
                f"The socket {host} port {port} that was passed in place of {self._flag} is "
                "reachable from other machines, and authentication is disabled."
                " Change its unit to listen on 127.0.0.1 or [::1], or set --aibridge-auth to token."
            )

    async def _bind(self) -> list[socket.socket]:
        address = self._address
        try:
            return await bind(address.host or None, address.port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotListenError(
                f"Cannot listen on {address}: {reason}."
                f" Stop the process that listens there, or choose another {self._flag}."
            ) from None


def gateway_listener(settings: Settings, passed: Sequence[socket.socket] = ()) -> Listener:
    """The listener for the gateway's clients."""
    return Listener(
        settings.http_address,
        "--http-address",
        passed,
        _files(settings.tls_cert_file, "--tls-cert-file", settings.tls_key_file, "--tls-key-file"),
        callers_unknown=settings.auth == "none",
    )


def metrics_listener(settings: Settings, passed: Sequence[socket.socket] = ()) -> Listener:
    """The listener for Prometheus, without TLS."""
    return Listener(settings.prometheus_address, "--prometheus-address", passed)


def proxy_listener(settings: Settings, passed: Sequence[socket.socket] = ()) -> Listener:
    """The listener for the AI Proxy's clients."""
    return Listener(
        settings.proxy_listen_addr,
        "--aibridge-proxy-listen-addr",
        passed,
        _files(
            settings.proxy_tls_cert_file,
            "--aibridge-proxy-tls-cert-file",
            settings.proxy_tls_key_file,
            "--aibridge-proxy-tls-key-file",
        ),
        callers_unknown=settings.auth == "none",
        tcp_only=True,
    )


def _files(
    certificate: Path | None, certificate_flag: str, key: Path | None, key_flag: str
) -> CertificateFiles | None:
    if certificate is None or key is None:
        return None
    return CertificateFiles(certificate, certificate_flag, key, key_flag)


def _url(scheme: str, name: str | bytes | tuple[str, int]) -> str:
    if isinstance(name, bytes):  # in the abstract namespace, with a leading NUL
        return f"unix:@{os.fsdecode(name[1:])}"
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
