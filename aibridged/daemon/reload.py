"""Configuration reload on SIGHUP, without interrupting requests.

Settings that need a restart are logged and unchanged; a configuration with mistakes changes
nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from loguru import logger

from aibridged.clock import Clock
from aibridged.config import report
from aibridged.config.options import Settings
from aibridged.config.reloading import CannotReloadError, Change, ReloadStats
from aibridged.config.resolution import Resolution


class Herald(Protocol):
    """Is told of reloads, as `systemd.Notifier` is."""

    def reloading(self, monotonic: float) -> None: ...

    def ready(self) -> None: ...


class Reloader:
    """Reloads the configuration, and counts it.

    `resolve` loads the configuration, as at the start; `apply` applies settings, or raises
    CannotReloadError and changes nothing.
    """

    def __init__(
        self,
        resolve: Callable[[], Resolution],
        apply: Callable[[Settings], Awaitable[Change]],
        stats: ReloadStats,
        clock: Clock,
        notifier: Herald,
    ) -> None:
        self._resolve = resolve
        self._apply = apply
        self._stats = stats
        self._clock = clock
        self._notifier = notifier

    async def run(self, asked: asyncio.Event) -> None:
        """Reload whenever `asked` is set, one time after the other, until cancelled."""
        while True:
            await asked.wait()
            asked.clear()
            await self.reload()

    async def reload(self) -> None:
        """Load the configuration and apply it, or log why not."""
        self._notifier.reloading(self._clock.monotonic())
        self._stats.last_attempt = self._clock.wall().timestamp()
        try:
            self._stats.succeeded = await self._attempt()
        except Exception:  # noqa: BLE001 - a bug here must not end a daemon that serves
            logger.exception("The reload failed")
            self._stats.succeeded = False
        if self._stats.succeeded:
            self._stats.last_success = self._stats.last_attempt
        else:
            logger.error("Nothing was reloaded: the previous configuration stays in effect")
        self._notifier.ready()

    async def _attempt(self) -> bool:
        # Files are read: no stream should wait for a disk.
        resolution = await asyncio.to_thread(self._resolve)
        for warning in resolution.warnings:
            logger.warning("{}", warning)
        for mistake in resolution.mistakes:
            logger.error("{}", report.sentence(mistake))
        if resolution.settings is None:
            return False
        try:
            _tell(await self._apply(resolution.settings))
        except CannotReloadError as error:
            logger.error("{}", error)
            return False
        return True


def _tell(result: Change) -> None:
    logger.info("Reloaded: {}", ", ".join(result.changes) or "no changes")
    if result.waiting:
        names = ", ".join(row.flag for row in result.waiting)
        logger.warning(
            "A restart is required for changes of {}: the old values stay in effect", names
        )
