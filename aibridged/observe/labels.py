"""Bounded label cardinality: caller-supplied label values are kept apart up to a number.

Every value of a label is a series that Prometheus keeps forever, and callers may send any name.
"""

from aibridged.gateway_tokens import blanked

OTHER = "other"
"""The label of all names beyond the number."""

MAX_NAME = 100
"""Bound on the characters of a label."""


class Names:
    """The first `most` names that were confirmed, and a few that haven't been yet.

    A name is confirmed when a provider responds to it: so that callers' inventions don't take the
    places of real names, unconfirmed names share only `on_trial` places.
    """

    def __init__(self, most: int, *, on_trial: int = 0) -> None:
        self._most = most
        self._trials = on_trial
        self._proven: set[str] = set()
        self._on_trial: set[str] = set()

    def label(self, name: str, *, proven: bool) -> str:
        """The label for `name`: the name with secrets redacted, or OTHER."""
        name = blanked(name)
        if name in self._proven:
            return name
        if proven and self._has_room(self._proven, self._most, name):
            self._on_trial.discard(name)
            self._proven.add(name)
            return name
        if name in self._on_trial:
            return name
        if not proven and self._has_room(self._on_trial, self._trials, name):
            self._on_trial.add(name)
            return name
        return OTHER

    def _has_room(self, names: set[str], most: int, name: str) -> bool:
        return len(names) < most and len(name) <= MAX_NAME and name.isprintable()
