"""Validation of certificate and private key files."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from aibridged.config.options import OPTIONS, Settings
from aibridged.config.resolution import Mistake

Where = Callable[[str], str]

_FLAGS = {option.name: option.flag for option in OPTIONS}


def check_pair(
    settings: Settings, where: Where, cert_name: str, key_name: str
) -> Iterator[Mistake]:
    """The mistakes in two settings that name the files of a certificate and its key."""
    cert, key = getattr(settings, cert_name), getattr(settings, key_name)
    if cert is None and key is None:
        return
    if cert is None or key is None:
        has, lacks = (key_name, cert_name) if key else (cert_name, key_name)
        what = f"{_FLAGS[lacks]} is missing"
        yield Mistake(where(has), what, "Set both, or neither.")
        return
    unreadable = [*check_readable(cert, where(cert_name)), *check_readable(key, where(key_name))]
    yield from unreadable
    if not unreadable:
        yield from _not_a_pair(cert, key, f"{where(cert_name)} and {where(key_name)}")


def check_readable(path: Path, where: str) -> Iterator[Mistake]:
    """The mistake of an unreadable file."""
    try:
        path.open("rb").close()
    except OSError as error:
        what = f"the file can't be read: {path}: {error.strerror}"
        yield Mistake(where, what, "Set it to a file that this user can read.")


def holds_ca(path: Path) -> bool:
    """Whether a file contains a CA certificate, as far as it can be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return False
    return context.cert_store_stats()["x509_ca"] > 0


def _not_a_pair(cert: Path, key: Path, where: str) -> Iterator[Mistake]:
    try:
        # With a password given, an encrypted key fails instead of prompting on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (ssl.SSLError, OSError, ValueError):
        yield Mistake(
            where,
            "not a certificate and its private key",
            "Use PEM files of one key pair; the key must be unencrypted.",
        )
