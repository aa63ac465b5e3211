"""Counts with their noun, in the singular or the plural."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 token`, `2 tokens`; `many` is the plural where it isn't `one` with an s."""
    return f"{count} {noun(count, one, many)}"


def noun(count: int, one: str, many: str | None = None) -> str:
    """The noun alone, after a count that is written otherwise: `12.3k tokens`."""
    return one if count == 1 else many or f"{one}s"
