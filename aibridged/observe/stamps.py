"""Times as text: within a second only the fraction is formatted, at a fraction of the cost."""

from datetime import UTC, datetime, timedelta

_SECOND = timedelta(seconds=1)
_DIGITS = 6  # of microseconds


class Stamps:
    """Formats times with a fraction of `digits`: `2026-01-31 23:59:59.123`, without the offset.

    They are told in their own zone, or in the machine's if it is `local`. Threads may share it.
    """

    def __init__(self, digits: int = _DIGITS, *, local: bool = False) -> None:
        self._unit = 10 ** (_DIGITS - digits)  # microseconds
        self._whole = 10**digits  # of these units, a second
        self._local = local
        past = datetime.min.replace(tzinfo=UTC)
        self._last = past, past, ""  # a second, its end and its text
        self._told = past, ""  # the rows of a request share their times

    def __call__(self, at: datetime) -> str:
        """The text of an aware time; the fraction is cut, not rounded."""
        told, text = self._told
        if at is told:
            return text
        second, end, text = self._last
        if not second <= at < end or at.tzinfo is not second.tzinfo:
            second = at.replace(microsecond=0)
            shown = second.astimezone() if self._local else second
            text = f"{shown.isoformat(' ', 'seconds')[:19]}."
            self._last = second, second + _SECOND, text
        # In two thirds of the time that a format with leading zeros takes.
        text += str(self._whole + at.microsecond // self._unit)[1:]
        self._told = at, text
        return text
