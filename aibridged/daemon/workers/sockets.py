"""Listening sockets of a group of workers.

An address of the settings is bound once by each worker's socket (SO_REUSEPORT): the system spreads
new connections over the workers that listen, and a worker that dies takes its queue along, so that
no client waits in it for the successor. Sockets that systemd passed can't be multiplied: the
workers share them, and their queue outlives each.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aibridged.config.options import Settings
from aibridged.daemon import systemd
from aibridged.daemon.systemd import PassedSockets
from aibridged.transport.acceptor import bound
from aibridged.transport.listeners import (
    Listener,
    Name,
    gateway_listener,
    metrics_listener,
    page_listener,
    proxy_listener,
)


@dataclass(frozen=True, slots=True)
class _Address:
    """An address of the listener with this name.

    `holder` never listens: it keeps the address from other programs while no worker has it.
    """

    of: str
    family: int
    name: Name
    holder: socket.socket


class GroupSockets:
    """The sockets of all workers: those that systemd passed, and those of the settings."""

    def __init__(self) -> None:
        self._passed: PassedSockets = {}
        self._addresses: list[_Address] = []

    async def open(self, settings: Settings, passed: PassedSockets) -> None:
        """Take all addresses that no socket was passed for, once for the whole group.

        Raises:
            CannotListenError: one is in use, not local, or forbidden.
        """
        self._passed = passed
        for of, listener in _listeners(settings):
            if of in passed:
                continue
            for family, name in await listener.try_address():
                self._addresses.append(_Address(of, family, name, _holder(family, name)))

    @contextmanager
    def for_one(self) -> Iterator[dict[str, list[int]]]:
        """The descriptors for one worker, by name, until it has inherited them."""
        made = [
            (each.of, bound(each.family, each.name, is_shared=True)) for each in self._addresses
        ]
        shared = [(of, each) for of, sockets in self._passed.items() for each in sockets]
        found: dict[str, list[int]] = {}
        for of, each in (*shared, *made):
            found.setdefault(of, []).append(each.fileno())
        try:
            yield found
        finally:
            for _, each in made:
                each.close()

    def close(self) -> None:
        """Let go of all of them; what workers have inherited is theirs."""
        for address in self._addresses:
            address.holder.close()
        for sockets in self._passed.values():
            for each in sockets:
                each.close()


def _holder(family: int, name: Name) -> socket.socket:
    try:
        return bound(family, name, is_shared=True, is_reserved=True)
    except OSError:
        # Connections of a daemon before this one, which had no workers, have just ended.
        return bound(family, name, is_shared=True)


def check_certificates(settings: Settings) -> None:
    """Read the certificate files of all listeners.

    Raises:
        CannotListenError: they aren't a certificate and its key.
    """
    for _, listener in _listeners(settings):
        listener.check_certificate()


def _listeners(settings: Settings) -> Iterator[tuple[str, Listener]]:
    yield systemd.HTTP, gateway_listener(settings)
    if settings.prometheus_enable:
        yield systemd.METRICS, metrics_listener(settings)
    if settings.ui_address is not None and settings.ui_enabled != "false":
        yield systemd.UI, page_listener(settings.ui_address, settings)
    if settings.proxy_enabled:
        yield systemd.PROXY, proxy_listener(settings)
