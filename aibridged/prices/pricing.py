"""What usages cost by the price book in use, which is loaded beside everything else."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from loguru import logger

from aibridged.config.options import Settings
from aibridged.core.cost_notes import (
    ASKED_SPEED,
    ASKED_TIER,
    NO_NOTES,
    NOTHING,
    PRICED_MODEL,
    Asked,
)
from aibridged.core.prices import (
    NOT_COMPUTED,
    STANDARD,
    UNPRICED,
    Cost,
    Label,
    Priced,
    RateCard,
    Reason,
    Usage,
    cost,
    tier_of,
)
from aibridged.prices.book import PriceBook
from aibridged.prices.table import Table, current_table
from aibridged.tasks import Tasks

PATIENCE_S = 5.0
"""For how long requests wait for the table at the start of the daemon; it takes 0.3 s."""
AHEAD_S = 1.0
"""After the start it is read once a request needs it, or else after this time: the daemon listens
earlier, and the first request to be priced seldom waits."""


def price(
    book: PriceBook,
    provider: str,
    models: Sequence[str | None],
    at: datetime,
    usage: Usage,
    asked: Asked = NOTHING,
) -> Priced:
    """What the usage costs by the first of the model's names that has a price.

    The notes have that name as `priced_model` if it isn't the first, and what was asked for, as
    `asked_service_tier` and `asked_speed`, if that had to be taken for the tier.
    """
    for name in models:
        card = None if name is None else book.card(provider, name, at)
        if card is not None:
            break
    else:
        return _unpriced(book, usage)
    notes = NO_NOTES if name is models[0] else {PRICED_MODEL: str(name)}
    told, speed = usage.service_tier, usage.speed
    tier = STANDARD if told is None and speed is None else tier_of(told, speed)
    is_told = True
    if tier == STANDARD and asked is not NOTHING:
        words = Asked(
            asked.service_tier if told is None else None, asked.speed if speed is None else None
        )
        tier = tier_of(*words)
        is_told = tier == STANDARD
        if not is_told:
            named = zip((ASKED_TIER, ASKED_SPEED), words, strict=True)
            notes = {**notes, **{what: word for what, word in named if word is not None}}
    found = cost(usage, card, tier, is_tier_told=is_told)
    if found.amount is None:
        return _unpriced(book, usage)
    return Priced(found, card.source, notes)


def book_of(settings: Settings, table: Table) -> PriceBook:
    """The book of the settings' rates over a table."""
    rate = settings.unpriced if isinstance(settings.unpriced, Decimal) else None
    return PriceBook(table, settings.prices, settings.providers, rate)


def _unpriced(book: PriceBook, usage: Usage) -> Priced:
    """The price of what has none: an estimate, where there is a rate for that."""
    if book.unpriced is None:
        return Priced(UNPRICED)
    found = cost(usage, book.unpriced)
    reasons = tuple(sorted({*found.reasons, Reason.MODEL}))
    return Priced(Cost(found.amount, Label.ESTIMATED, reasons), book.unpriced.source)


class Pricing:
    """Prices usages; but for `price`, for the event loop only.

    The table is read in a thread soon after the start (`AHEAD_S`) and at each reload, since it may
    have been updated; until a new one is there, the old one is used, with the settings' present own
    rates.
    """

    def __init__(self, state_dir: Path) -> None:
        self.book: PriceBook | None = None
        self._state_dir = state_dir
        self._settings = Settings()
        self._table: Table | None = None
        self._is_there = asyncio.Event()
        self._is_needed = asyncio.Event()
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
        self._is_needed.set()
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
        self,
        provider: str,
        models: Sequence[str | None],
        at: datetime,
        usage: Usage,
        asked: Asked = NOTHING,
    ) -> Priced:
        """See `price`; NOT_COMPUTED where there is no book yet."""
        book = self.book
        return NOT_COMPUTED if book is None else price(book, provider, models, at, usage, asked)

    async def _read(self) -> None:
        async with self._reading:
            if self._table is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(AHEAD_S):
                        await self._is_needed.wait()
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
        self.book = book_of(self._settings, table)
