"""Rows of `aibridged export usage --format focus`: the record's charges with prices and groups."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aibridged.cli.cells import count, counted, printable
from aibridged.core import focus
from aibridged.core.prices import STANDARD, Label, RateCard, Rates
from aibridged.identity.memberships import groups_by_member
from aibridged.prices.book import PriceBook
from aibridged.prices.table import current_table
from aibridged.records.focus import find_charges

if TYPE_CHECKING:
    from aibridged.config.options import Settings
    from aibridged.records.export import Values
    from aibridged.records.query import Query
    from aibridged.records.query_results import Filter

_NAMED = 5
"""Models that a remark names."""
_MAX_MODELS = 1000
"""Models without a price that are told apart."""


class FocusRows:
    """The rows of an export, and what isn't among them."""

    def __init__(
        self, settings: "Settings", wanted: "Filter", period: focus.ChargePeriod | str
    ) -> None:
        table, _ = current_table(settings.state_dir)
        self._book = PriceBook(table, settings.prices, settings.providers)
        self._public = PriceBook(table, (), settings.providers)
        self._wanted = wanted
        self._period = focus.ChargePeriod(period)
        self._unpriced: dict[tuple[str, bool], int] = {}

    def pages(self, query: "Query") -> "Iterator[Sequence[Values]]":
        """All rows, a few at a time in memory.

        Raises:
            QueryFailedError: it took too long, or the database is unavailable.
        """
        with query.reading() as connection:
            groups = groups_by_member(connection)
        for page in find_charges(query, self._wanted, self._period):
            rows: list[Values] = []
            for each in page:
                if each.cost is None:
                    self._leave_out(each)
                    continue
                of_person = groups.get(each.initiator_id, ())
                seller, prices = self._seller(each), self._prices(each)
                rows += focus.rows(each, self._period, seller, prices, of_person)
            yield rows

    def left_out(self) -> str:
        """The sentences on what has no cost; empty where everything has one."""
        if not self._unpriced:
            return ""
        lines = []
        for is_unpriced, mend in (
            (True, "Give the models prices of your own: aibridge.prices in docs/prices.md."),
            (False, "They are of before costs were recorded."),
        ):
            models = {
                model: number
                for (model, without_price), number in self._unpriced.items()
                if without_price is is_unpriced
            }
            if models:
                first = sorted(models, key=lambda model: -models[model])[:_NAMED]
                named = ", ".join(f"{printable(each)} ({count(models[each])})" for each in first)
                more = len(models) - len(first)
                and_more = f" and {counted(more, 'further model')}" if more else ""
                requests = counted(sum(models.values()), "request")
                lines.append(
                    f"Not in the file, since they have no cost: {requests} of {named}{and_more}. "
                    f"{mend}"
                )
        return "\n".join(lines)

    def _leave_out(self, charge: focus.Charge) -> None:
        key = charge.model, charge.label == Label.UNPRICED
        if not any(charge.tokens) and charge.label is None:
            return  # it failed, or was never answered
        if key not in self._unpriced and len(self._unpriced) >= _MAX_MODELS:
            key = "…", key[1]
        self._unpriced[key] = self._unpriced.get(key, 0) + charge.requests

    def _seller(self, charge: focus.Charge) -> focus.Seller:
        place, is_guessed = self._book.place(charge.provider_name)
        if place is None or is_guessed:
            return focus.Seller(charge.provider_name, charge.provider_name)
        return focus.Seller(place.id, place.name)

    def _prices(self, charge: focus.Charge) -> focus.Prices:
        of = charge.provider_name, charge.model, charge.start
        card = self._book.card(*of)
        if card is None or card.own is None:
            return focus.Prices(_rates(card, charge.tier))
        public = self._public.card(*of)
        return focus.Prices(_rates(card, charge.tier), _rates(public, charge.tier))


def _rates(card: RateCard | None, tier: str) -> Rates | None:
    """The rates of requests of any length."""
    if card is None:
        return None
    return (card.tiers.get(tier) or card.tiers[STANDARD]).steps[0].rates
