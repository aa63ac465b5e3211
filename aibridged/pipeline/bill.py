"""Bill of an interception: what its usages cost, turn by turn."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aibridged.core.prices import Cost, Priced, total
from aibridged.prices.pricing import Pricing
from aibridged.wire.facts import ResponseFacts, TokenUsage


class Bill:
    """Prices the usages of one interception, by the rates at its start.

    `model` is the requested one.
    """

    def __init__(
        self, pricing: Pricing, provider_name: str, model: str | None, started_at: datetime
    ) -> None:
        self._pricing = pricing
        self._provider = provider_name
        self._model = model
        self._at = started_at
        self._costs: list[Cost | None] = []

    def of(self, response: ResponseFacts) -> Callable[[TokenUsage], Priced]:
        """Puts a usage of this response on the bill, and returns its price."""

        def price(used: TokenUsage) -> Priced:
            models = (self._model, response.model) if used.model is None else (used.model,)
            priced = self._pricing.price(self._provider, models, self._at, used)
            self._costs.append(priced.cost)
            return priced

        return price

    @property
    def total(self) -> Cost | None:
        """The sum so far; None where a part couldn't be computed."""
        costs = [each for each in self._costs if each is not None]
        return total(costs) if len(costs) == len(self._costs) else None


def cost_fields(cost: Cost | None) -> Mapping[str, Any]:
    """The fields of a record that tell a cost."""
    if cost is None:
        return {}
    return {"cost_nanos": cost.amount, "cost_label": str(cost.label)}
