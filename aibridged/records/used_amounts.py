"""What subjects have used since days, as the ledger remembers it between transactions."""

from collections.abc import Iterable, Sequence
from datetime import date

from aibridged.core.budgets import Check


class UsedAmounts:
    """Nano-dollars that subjects have spent and reserved, each since a day or several."""

    def __init__(self) -> None:
        self._since: dict[str, dict[date, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def clear(self) -> None:
        """Forget all."""
        self._since.clear()
        self._count = 0

    def missing(self, checks: Iterable[Check]) -> dict[str, Check]:
        """The checks whose amounts aren't here, by their names in the statement `used`."""
        return {
            check.since.isoformat() + check.subject: check
            for check in checks
            if check.since not in self._since.get(check.subject, ())
        }

    def put(self, check: Check, amount: int) -> None:
        """Note the amount of a check's subject since its day."""
        self._since.setdefault(check.subject, {})[check.since] = amount
        self._count += 1

    def update(self, others: "UsedAmounts") -> None:
        """Note the amounts of others, which aren't here."""
        for subject, amounts in others._since.items():
            self._since.setdefault(subject, {}).update(amounts)
        self._count += others._count

    def add(self, subject: str, day: date, amount: int) -> None:
        """Add what a subject has used on a day."""
        if (amounts := self._since.get(subject)) is not None:
            for since in amounts:
                if since <= day:
                    amounts[since] += amount

    def of(self, checks: Sequence[Check]) -> tuple[int, ...]:
        """The amount of each check's subject since its day.

        Raises:
            KeyError: one of them isn't here.
        """
        return tuple([self._since[check.subject][check.since] for check in checks])
