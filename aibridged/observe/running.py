"""Count of running interceptions by provider, model and route, for the metrics and the status."""

Key = tuple[str, str, str]
"""The provider's name, the model as the caller named it, and the route."""


class Running:
    """The counts, for the event loop only: as many as there are interceptions in flight."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[Key, int] = {}

    def began(self, key: Key) -> None:
        """An interception has begun; each of these needs one `ended`."""
        self.counts[key] = self.counts.get(key, 0) + 1

    def ended(self, key: Key) -> None:
        left = self.counts[key] - 1
        if left:
            self.counts[key] = left
        else:
            del self.counts[key]  # a caller may name any model
