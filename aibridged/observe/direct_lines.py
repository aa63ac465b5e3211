"""Fast path of the access log that bypasses loguru, which costs twice as much as formatting a line.

Outputs and formats are decided in `logging`, as for all other lines.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aibridged.clock import SystemClock
from aibridged.observe.log_lines import uncoloured
from aibridged.observe.log_outputs import LogOutput, Loss, count_lost
from aibridged.observe.scope import SCOPE

if TYPE_CHECKING:
    from loguru import Record

Render = Callable[["Record"], str]
Output = tuple[LogOutput, Render]


class _Level(NamedTuple):
    name: str


_level = cache(_Level)


class DirectLines:
    """Writes lines of level info and up to all `outputs`; without any, loguru does."""

    def __init__(self) -> None:
        self._outputs: Sequence[Output] = ()
        self._wall = SystemClock().wall

    def to(self, outputs: Sequence[Output]) -> None:
        """Set the outputs."""
        self._outputs = outputs

    def write(
        self, level: str, message: str, fields: Mapping[str, Any], caller: tuple[str, str, int]
    ) -> bool:
        """Write a line of the current request; false if it has yet to be logged.

        `caller` is the module, the function and the line number of its origin.
        """
        outputs = self._outputs
        if not outputs:
            return False
        for output, _ in outputs:  # a generator for `any` takes longer
            if output.is_closed:
                return False
        module, function, line = caller
        scope = SCOPE.get()
        record = {
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
        for output, render in outputs:
            try:
                text = uncoloured(render, cast("Record", record))
            except Exception:  # noqa: BLE001 - a log line must not fail a request
                count_lost(Loss.UNFORMATTABLE)
            else:
                output.write(text)
        return True


DIRECT = DirectLines()
"""One for the process, as loguru's logger."""
