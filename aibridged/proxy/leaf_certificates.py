"""Leaf certificates of intercepted hosts: a cached TLS context per host."""

import ssl
import tempfile
from datetime import datetime

from cachetools import LRUCache
from loguru import logger

from aibridged.clock import Clock
from aibridged.proxy.authority import Authority

MAX_HOSTS = 256
# A certificate isn't used any more in the last third of its lifetime.
_SHOWN = 2 / 3


class Leaves:
    """Creates, caches and renews the TLS contexts; the least recently used one is evicted."""

    def __init__(self, authority: Authority, clock: Clock) -> None:
        self._authority = authority
        self._wall = clock.wall
        self._contexts: LRUCache[str, tuple[ssl.SSLContext, datetime]] = LRUCache(MAX_HOSTS)

    def context(self, host: str) -> ssl.SSLContext:
        """The server's TLS context for this host, a name or an address as in CONNECT.

        Raises:
            AuthorityError: the CA has expired.
        """
        now = self._wall()
        found = self._contexts.get(host)
        if found is not None and now < found[1]:
            return found[0]
        leaf = self._authority.issue(host, now)
        context = _context(host, leaf.pem)
        self._contexts[host] = context, now + (leaf.not_after - now) * _SHOWN
        logger.debug("Issued a certificate for {}, valid until {:%Y-%m-%d}", host, leaf.not_after)
        return context


def _context(host: str, pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])

    def check_name(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        # A client's SNI is the same as in CONNECT.
        if name is None or name.lower().removesuffix(".") == host:
            return None
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = check_name
    # OpenSSL reads files only. This one is private to the daemon, and deleted at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
