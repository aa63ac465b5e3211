"""Why a connection failed, in words: for log lines, records and callers.

Libraries' own texts name their classes, and may quote what was sent. These quote nothing but what
the operating system and OpenSSL say by number.
"""

import errno
import os
import re
import socket
import ssl
from typing import NamedTuple

_MAX_CAUSES = 8


class Cause(NamedTuple):
    """The reason as the end of a sentence, without its full stop; `mend` is for the operator."""

    words: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.words} ({self.mend})" if self.mend else self.words


_UNKNOWN_AUTHORITY = Cause(
    "its certificate is signed by an unknown authority",
    "set SSL_CERT_FILE to a file with the authority's certificate",
)
_ANOTHER_NAME = Cause("its certificate is for another name", "check the host in the URL")
_NO_TLS = Cause("it does not speak TLS at that port", "check the port, or use http://")

# Of X509_verify_cert(3).
_CERTIFICATES = {
    **dict.fromkeys((2, 18, 19, 20, 21), _UNKNOWN_AUTHORITY),
    9: Cause("its certificate is not valid yet", "check this machine's clock"),
    10: Cause("its certificate has expired"),
    **dict.fromkeys((62, 63, 64), _ANOTHER_NAME),
}
_HANDSHAKES = {
    **dict.fromkeys(
        (
            "HTTP_REQUEST",
            "PACKET_LENGTH_TOO_LONG",
            "RECORD_LAYER_FAILURE",
            "UNKNOWN_PROTOCOL",
            "WRONG_VERSION_NUMBER",
        ),
        _NO_TLS,
    ),
    **dict.fromkeys(
        ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"),
        Cause("it has no TLS version in common with this machine"),
    ),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": Cause("it requires a client certificate"),
    "TLSV1_UNRECOGNIZED_NAME": Cause("it does not know this host", "check the host in the URL"),
    "UNEXPECTED_EOF_WHILE_READING": Cause("it closed the connection within the TLS handshake"),
}
_NUMBERS = {
    errno.ECONNREFUSED: Cause("connection refused"),
    errno.ECONNRESET: Cause("connection reset"),
    errno.ECONNABORTED: Cause("connection aborted"),
    errno.EPIPE: Cause("connection reset"),
    errno.EHOSTUNREACH: Cause("no route to the host"),
    errno.ENETUNREACH: Cause("the network is unreachable"),
    errno.ETIMEDOUT: Cause("connecting timed out"),
    errno.EACCES: Cause("connecting is not permitted", "check this machine's firewall"),
    errno.EPERM: Cause("connecting is not permitted", "check this machine's firewall"),
}
_NO_SUCH_HOST = Cause("no such host")
_NAMES = {
    socket.EAI_NONAME: _NO_SUCH_HOST,
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): _NO_SUCH_HOST,
    socket.EAI_AGAIN: Cause("the name server did not answer", "check /etc/resolv.conf"),
}
# What asyncio joins, where a name has several addresses.
_SEVERAL = re.compile(r"\[Errno (\d+)\]")


def cause_of(error: BaseException) -> Cause:
    """Why a connection failed, by the error that a library raised, or by what caused it."""
    fallback = Cause("the connection failed")
    current: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if current is None:
            break
        if (found := _told_by(current)) is not None:
            return found
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[0]
        else:
            current = _inner(current) or current.__context__
    return fallback


def _inner(error: BaseException) -> BaseException | None:
    """What a library's error is made of."""
    return getattr(error, "os_error", None) or error.__cause__


def _told_by(error: BaseException) -> Cause | None:
    """What this error itself tells, None for a library's own with more behind it."""
    if _inner(error) is not None:
        return None
    match error:
        case ssl.SSLCertVerificationError():
            return _CERTIFICATES.get(error.verify_code, Cause("its certificate is not valid"))
        case ssl.SSLError():
            reason = getattr(error, "reason", None)
            return _HANDSHAKES.get(reason or "", Cause("the TLS handshake failed"))
        case socket.gaierror():
            return _NAMES.get(error.errno or 0, Cause("its name could not be resolved"))
        case TimeoutError():
            return _NUMBERS[errno.ETIMEDOUT]
        case OSError():
            return _by_number(error)
    return None


def _by_number(error: OSError) -> Cause | None:
    numbers = [error.errno] if error.errno else [int(each) for each in _SEVERAL.findall(str(error))]
    known = [_NUMBERS[each] for each in numbers if each in _NUMBERS]
    if known:
        return min(known, key=list(_NUMBERS.values()).index)
    if isinstance(error, ConnectionResetError):
        return _NUMBERS[errno.ECONNRESET]
    if isinstance(error, ConnectionAbortedError):
        return _NUMBERS[errno.ECONNABORTED]
    return Cause(os.strerror(numbers[0])) if numbers else None
