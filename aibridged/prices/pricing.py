"""What usages cost by the price book in use, which is loaded beside everything else."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from loguru import logger

from aibridged.config.options import Settings
from aibridged.core.prices import (
    NOT_COMPUTED,
    UNPRICED,
    Priced,
    RateCard,
    Usage,
    cost,
)
from aibridged.prices.book import PriceBook
from aibridged.prices.table import Table, current_table
from aibridged.tasks import Tasks

PATIENCE_S = 5.0
"""For how long requests wait for the table at the start of the daemon; it takes 0.3 s."""


class Pricing:
    """Prices usages; for the event loop only.

    The table is read in a thread after the start and at each reload, since it may have been
    updated; until a new one is there, the old one is used, with the settings' present own rates.
    """

    def __init__(self, state_dir: Path) -> None:
        self.book: PriceBook | None = None
        self._state_dir = state_dir
        self._settings = Settings()
        self._table: Table | None = None
        self._is_there = asyncio.Event()
        self._reading = asyncio.Lock()
        self._tasks = Tasks()

    def configure(self, settings: Settings) -> None:
        """Use these settings' own rates from now on, and look for another table."""
        self._settings = settings
        if self._table is not None:
            self._use(self._table)
        self._tasks.start(self._read(), "reading of the prices")

    async def loaded(self) -> None:
        """Return once there is a book, or none is to be expected any more."""
        if self._is_there.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._is_there.wait()
        self._is_there.set()

    async def close(self) -> None:
        """Give up reading."""
        await self._tasks.cancel()

    def card(self, provider: str, model: str, at: datetime) -> RateCard | None:
        """What the model costs at that time; None where nobody says, or there is no book yet."""
        return None if self.book is None else self.book.card(provider, model, at)

    def price(
        self, provider: str, models: Sequence[str | None], at: datetime, usage: Usage
    ) -> Priced:
        """What the usage costs by the first of the model's names that has a price."""
        book = self.book
        if book is None:
            return NOT_COMPUTED
        for name in models:
            card = None if name is None else book.card(provider, name, at)
            if card is not None:
                told = None if name is models[0] else name
                return Priced(cost(usage, card), card.source, told)
        return Priced(UNPRICED)

    async def _read(self) -> None:
        async with self._reading:
            try:
                table, problem = await asyncio.to_thread(current_table, self._state_dir)
            finally:
                self._is_there.set()
        if problem is not None:
            logger.warning("{}. `aibridged prices update` fetches another.", problem)
        if self._table is None or self._table.version != table.version:
            self._use(table)

    def _use(self, table: Table) -> None:
        self._table = table
        self.book = PriceBook(table, self._settings.prices, self._settings.providers)
