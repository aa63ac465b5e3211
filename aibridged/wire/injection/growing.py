"""A request whose conversation grows at its end, while all else stays byte for byte."""

from collections.abc import Sequence

from aibridged.wire.injection.splice import Fields, is_empty_array


class Growing:
    """The request, cut where the array `field` ends, and what has been added there."""

    def __init__(self, request: Fields, field: str) -> None:
        start, end = request.spans[field]
        body = memoryview(request.source)
        self._before = body[: end - 1]
        self._after = body[end - 1 :]
        self._added: list[bytes] = []
        self._comma = b"" if is_empty_array(request.source, start, end) else b","

    def append(self, items: Sequence[bytes]) -> bytes:
        """The request with more items, each of them JSON."""
        self._added += items
        return b"".join((self._before, self._comma, b",".join(self._added), self._after))
