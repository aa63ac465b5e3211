"""Listening sockets: passed by systemd (socket activation), or bound to the addresses."""

import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from aibridged.config.kinds import Address, is_loopback
from aibridged.config.options import Settings
from aibridged.config.resolution import StartError
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.transport.acceptor import BACKLOG, Acceptor, MakeProtocol, bind

_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

Name = str | bytes | tuple[str, int]
"""An address as `getsockname` returns it."""

# Each with its family, an address for documentation (RFC 5737, RFC 3849), and its loopback address.
_EVERY_INTERFACE = {
    "0.0.0.0": (socket.AF_INET, "192.0.2.1", "127.0.0.1"),
    "::": (socket.AF_INET6, "2001:db8::1", "::1"),
}

Shortage = Callable[[str, BaseException], None]
"""Called when the system had no descriptor for something, with the error."""


class CannotListenError(StartError):
    """The address is in use or not local, or the certificate is bad; the message has the remedy.

    `in_use` says that a process listens there, which may be this daemon's own.
    """

    in_use = False


class CertificateFiles(msgspec.Struct, frozen=True):
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
                f" {error}.",
                "Use PEM files of one key pair; the key must be unencrypted.",
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
    `tcp_only`. Of those passed, some may not listen yet: they were bound to the address for this
    process, one of several, which listens when it is ready. `outlive` says that the others are held
    open by systemd, so that connections queue there for the next process once this one has stopped
    accepting.
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
        self._bound = [each for each in passed if not listens(each)]
        self._passed = [each for each in passed if each not in self._bound]
        self._certificate = certificate
        self._callers_unknown = callers_unknown
        self._tcp_only = tcp_only
        self._tls: ssl.SSLContext | None = None
        self._acceptors: list[Acceptor] = []
        self.outlive = bool(self._passed)
        self.urls: list[str] = []
        """All its addresses, once open, with the port that the system chose for port 0."""
        self.client_url = ""
        """The first of them as clients can use it: none of them can connect to `0.0.0.0`."""

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
        names = [each.getsockname() for each in sockets]
        self.urls = [_url(scheme, name) for name in names]
        self.client_url = _url(scheme, _reachable(names[0], named=self._tls is not None))

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
        """Stop accepting. Accepted connections go on, and those that were queued."""
        for acceptor in self._acceptors:
            acceptor.close(is_held=self.outlive)

    async def settled(self) -> None:
        """Return once each accepted connection has its protocol, or has failed."""
        for acceptor in self._acceptors:
            await acceptor.settled()

    def _check_passed(self, passed: socket.socket) -> None:
        """Check the address of a passed socket, as the settings' check can't."""
        if passed.family == socket.AF_UNIX:
            if self._tcp_only:
                raise CannotListenError(
                    f"The socket that was passed in place of {self._flag} is not a TCP socket.",
                    "Change its unit: ListenStream=127.0.0.1:8888.",
                )
            return
        host, port = passed.getsockname()[:2]
        if self._callers_unknown and not is_loopback(host):
            raise CannotListenError(
                f"The socket {host} port {port} that was passed in place of {self._flag} is "
                "reachable from other machines, and authentication is disabled.",
                "Change its unit to listen on 127.0.0.1 or [::1], or set --aibridge-auth to token.",
            )

    async def try_address(self) -> list[tuple[int, Name]]:
        """Listen for a moment, where sockets aren't passed: the address can be used.

        Returns the family and the address of each, with the port that the system chose for port 0.

        Raises:
            CannotListenError: as `open`.
        """
        names = []
        if not self._passed:
            for each in await self._bind():
                names.append((int(each.family), each.getsockname()))
                each.close()
        return names

    async def _bind(self) -> list[socket.socket]:
        try:
            for each in self._bound:
                each.listen(BACKLOG)
            if self._bound:
                return self._bound
            return await bind(self._address.host or None, self._address.port)
        except OSError as error:
            raise cannot_listen(self._address, self._flag, error) from None


def listens(passed: socket.socket) -> bool:
    """Whether the socket listens already."""
    return bool(passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def gateway_listener(settings: Settings, passed: Sequence[socket.socket] = ()) -> Listener:
    """The listener for the gateway's clients."""
    return Listener(
        settings.http_address,
        "--http-address",
        passed,
        _files(settings.tls_cert_file, "--tls-cert-file", settings.tls_key_file, "--tls-key-file"),
        callers_unknown=settings.auth == "none",
    )


def page_listener(
    address: Address, settings: Settings, passed: Sequence[socket.socket] = ()
) -> Listener:
    """The web page's own listener, with the gateway's certificate."""
    return Listener(
        address,
        "--aibridge-ui-address",
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


def cannot_listen(address: Address, flag: str, error: OSError) -> CannotListenError:
    """The error of bind(2) or getaddrinfo(3), with the remedy of its kind."""
    if isinstance(error, socket.gaierror):
        reason = f"the name {address.host} has no address"
        remedy = f"Set {flag} to an address of this machine, such as 127.0.0.1:{address.port}"
    else:
        reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = _BIND_REMEDIES.get(error.errno or 0, "Choose another {flag}")
    known = CannotListenError(
        f"Cannot listen on {address}: {reason}.",
        f"{remedy.format(flag=flag, port=address.port, least=_least_port())}.",
    )
    known.in_use = error.errno == errno.EADDRINUSE
    return known


_BIND_REMEDIES = {
    errno.EADDRINUSE: "Stop the process that listens there (ss -ltnp sport = :{port} names it), or "
    "choose another {flag}",
    errno.EACCES: "Ports below {least} need a privilege: choose a higher one with {flag}, give the "
    "daemon CAP_NET_BIND_SERVICE (AmbientCapabilities= in its unit), or have systemd pass the "
    "socket",
    errno.EADDRNOTAVAIL: "This machine has no such address: set {flag} to one that `ip address` "
    "lists, to 127.0.0.1:{port}, or to :{port} for every interface",
    errno.EAFNOSUPPORT: "This machine has no IPv6: set {flag} to an IPv4 address, such as "
    "127.0.0.1:{port}",
}


def _least_port() -> int:
    """The first port that needs no privilege."""
    try:
        return int(_UNPRIVILEGED.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 1024


def _reachable(name: Name, *, named: bool) -> Name:
    """The address that clients can connect to where the socket's means every interface.

    With `named`, the host's name: certificates are for names.
    """
    if not isinstance(name, tuple) or name[0] not in _EVERY_INTERFACE:
        return name
    return (socket.gethostname() if named else _own_address(name[0])), name[1]


def _own_address(every: str) -> str:
    """This machine's address on the way to others; loopback, if there is no such way."""
    family, elsewhere, loopback = _EVERY_INTERFACE[every]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # Nothing is sent: the system only chooses the interface.
            probe.connect((elsewhere, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return loopback


def _url(scheme: str, name: Name) -> str:
    if isinstance(name, bytes):  # in the abstract namespace, with a leading NUL
        return f"unix:@{os.fsdecode(name[1:])}"
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
