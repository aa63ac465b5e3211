"""Dials a destination: resolves names here, and only connects to permitted addresses (SSRF)."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from aibridged.core.egress import HTTPS_PORT, Destination, Egress
from aibridged.errors import (
    DESTINATION_REFUSED,
    DESTINATION_UNREACHABLE,
    GatewayError,
)
from aibridged.observe.connection_failure import cause_of
from aibridged.observe.descriptors import at_capacity, is_shortage
from aibridged.transport.handoff import Parked
from aibridged.transport.upstream_proxy import UpstreamProxy, UpstreamProxyError

CONNECT_S = 10.0
# How long a candidate may take before the next one is tried in parallel (RFC 8305).
_HAPPY_EYEBALLS_S = 0.25
# A name that no DNS server answers for blocks a thread for as long as the resolver tries: names
# that callers choose have threads of their own, and hold up nothing else that the daemon resolves.
_RESOLVING_THREADS = 16

AddressInfo = tuple[Any, ...]

UpstreamFor = Callable[[Destination], UpstreamProxy | None]
"""The proxy through which a destination is reached, or None."""


def _no_proxy(destination: Destination) -> None:
    """All are reached directly."""


class Dialer:
    """Opens connections, directly or through the upstream proxy, which `upstream_for` names.

    With an upstream proxy, a name is still checked by the addresses it has here, if it has any; the
    upstream proxy resolves it again by itself.
    """

    def __init__(self, egress: Egress, upstream_for: UpstreamFor = _no_proxy) -> None:
        self._egress = egress
        self._upstream_for = upstream_for
        self._threads = ThreadPoolExecutor(_RESOLVING_THREADS, "proxy-resolver")

    def close(self) -> None:
        """Stop the resolver threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def connect(
        self, destination: Destination, *, trusted: bool = False
    ) -> tuple[asyncio.Transport, Parked]:
        """A connection to the destination; `trusted` ones were configured, and aren't checked.

        Raises:
            GatewayError: the destination is forbidden, unknown, or unreachable; or there is no
                descriptor left.
        """
        try:
            async with asyncio.timeout(CONNECT_S):
                if not trusted:
                    _check_port(destination)
                upstream = self._upstream_for(destination)
                if upstream is None:
                    return await self._directly(destination, trusted)
                if not trusted:
                    await self._check_all(destination)
                return await upstream.connect(destination)
        except UpstreamProxyError as refusal:
            raise GatewayError(
                DESTINATION_UNREACHABLE, f"The destination could not be reached: {refusal}."
            ) from None
        except (OSError, TimeoutError) as error:  # unknown, refused or silent
            if is_shortage(error):
                raise at_capacity() from None
            sentence = DESTINATION_UNREACHABLE.sentence.rstrip(".")
            raise GatewayError(
                DESTINATION_UNREACHABLE, f"{sentence}: {cause_of(error).words}."
            ) from None

    async def _directly(
        self, destination: Destination, trusted: bool
    ) -> tuple[asyncio.Transport, Parked]:
        found = await _resolve(destination, None if trusted else self._threads)
        if not trusted:
            found = [each for each in found if self._egress.permits(each[4][0])]
            if not found:
                raise GatewayError(DESTINATION_REFUSED)
        loop = asyncio.get_running_loop()
        connected = await _connect_first(found)
        try:
            return await loop.create_connection(Parked, sock=connected)
        except BaseException:
            connected.close()
            raise

    async def _check_all(self, destination: Destination) -> None:
        """Check all addresses, since the upstream proxy may choose any of them."""
        try:
            found = await _resolve(destination, self._threads)
        except OSError:
            return  # a name that only the upstream proxy can resolve
        if not all(self._egress.permits(each[4][0]) for each in found):
            raise GatewayError(DESTINATION_REFUSED)


def _check_port(destination: Destination) -> None:
    if destination.port != HTTPS_PORT:
        raise GatewayError(DESTINATION_REFUSED, f"The AI Proxy tunnels to port {HTTPS_PORT} only.")


async def _resolve(destination: Destination, threads: Executor | None) -> list[AddressInfo]:
    """Every address of the destination, once each; resolved on these threads, or the loop's."""
    look_up = partial(socket.getaddrinfo, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return await asyncio.get_running_loop().run_in_executor(
        threads, look_up, destination.host, destination.port
    )


async def _connect_first(candidates: list[AddressInfo]) -> socket.socket:
    """The socket of the first address that accepts a connection; nothing is resolved."""
    # Imported where it is needed; it comes with aiohttp.
    from aiohappyeyeballs import start_connection

    return await start_connection(candidates, happy_eyeballs_delay=_HAPPY_EYEBALLS_S, interleave=1)
