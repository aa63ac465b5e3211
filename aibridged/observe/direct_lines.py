"""Fast path of the access log that bypasses loguru, which costs twice as much as formatting a line.

Outputs and formats are decided in `logging`, as for all other lines. At times of many requests,
lines are gathered for a moment and written together: a write costs about as much as a line.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from aibridged.clock import SystemClock
from aibridged.observe.log_lines import Render
from aibridged.observe.log_outputs import LogOutput, Loss, count_lost
from aibridged.observe.scope import SCOPE

Output = tuple[LogOutput, Render]


GATHER_S = 0.005
"""How long lines are gathered; one that comes later than that after the last one isn't."""


class _Level(NamedTuple):
    name: str


_level = cache(_Level)


class DirectLines:
    """Writes lines of level info and up to all `outputs`; without any, loguru does."""

    def __init__(self) -> None:
        self.own_fields: Mapping[str, Any] = {}
        """The process's own, on each line."""
        self._outputs: Sequence[Output] = ()
        clock = SystemClock()
        self._wall, self._monotonic = clock.wall, clock.monotonic
        self._last_at = float("-inf")
        self._flush: asyncio.TimerHandle | None = None

    def to(self, outputs: Sequence[Output]) -> None:
        """Set the outputs."""
        self._outputs = outputs
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None

    def write(
        self, level: str, message: str, fields: Mapping[str, Any], caller: tuple[str, str, int]
    ) -> bool:
        """Write a line of the current request soon; false if it has yet to be logged.

        `caller` is the module, the function and the line number of its origin.
        """
        outputs = self._outputs
        if not outputs:
            return False
        for output, _ in outputs:  # a generator for `any` takes longer
            if output.is_closed:
                return False
        if self.own_fields:
            fields = {**self.own_fields, **fields}
        module, function, line = caller
        scope = SCOPE.get()
        record: Any = {
            "message": message,
            "extra": fields,
            "level": _level(level),
            "time": self._wall(),
            "exception": None,
            "name": module,
            "function": function,
            "line": line,
            "scope": scope if scope is not None and scope.request_id else None,
        }
        later = self._gathers()
        for output, render in outputs:
            try:
                text = render(record)
            except Exception:  # noqa: BLE001 - a log line must not fail a request
                count_lost(Loss.UNFORMATTABLE)
            else:
                output.write(text, later=later)
        return True

    def _gathers(self) -> bool:
        """Whether a line can wait for more: one has just come, and a timer will write them."""
        if self._flush is not None:
            return True
        last, self._last_at = self._last_at, self._monotonic()
        if self._last_at - last > GATHER_S:
            return False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # the process is starting, or ending
            return False
        self._flush = loop.call_later(GATHER_S, self._write_gathered)
        return True

    def _write_gathered(self) -> None:
        self._flush = None
        self._last_at = self._monotonic()
        for output, _ in self._outputs:
            output.flush()


DIRECT = DirectLines()
"""One for the process, as loguru's logger."""
