"""Secret value: masked when printed, logged or shown in a traceback."""

_LONG_ENOUGH_TO_HINT = 24


class Secret:
    """A key or a password. Only `reveal` returns it; `str`, `repr` and formatting never do."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it."""
        return self._text

    def __str__(self) -> str:
        """A few characters of a long key, to recognise it by; none of a short one."""
        if len(self._text) < _LONG_ENOUGH_TO_HINT:
            return "****"
        return f"{self._text[:4]}…{self._text[-4:]}"

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
