"""Fast path of the access log, past loguru, which costs twice as much as formatting the line.

Where the lines go and what they look like is decided in `logging`, as for all others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aibridged.clock import SystemClock
from aibridged.observe.log_lines import uncoloured
from aibridged.observe.log_outputs import LogFile, LogStream
from aibridged.observe.scope import SCOPE

if TYPE_CHECKING:
    from loguru import Record

Render = Callable[["Record"], str]
Output = tuple[LogFile | LogStream, Render]


class _Level(NamedTuple):
    name: str


class DirectLines:
    """Writes lines of level info and up to all `outputs`; there are none if only loguru can."""

    def __init__(self) -> None:
        self._outputs: Sequence[Output] = ()
        self._wall = SystemClock().wall

    def to(self, outputs: Sequence[Output]) -> None:
        """Write there from now on."""
        self._outputs = outputs

    def write(
        self, level: str, message: str, fields: Mapping[str, Any], caller: tuple[str, str, int]
    ) -> bool:
        """Write a line of the request under way; false if it is still to be logged.

        `caller` is the module, the function and the line that it is from.
        """
        outputs = self._outputs
        if not outputs or any(output.is_closed for output, _ in outputs):
            return False
        module, function, line = caller
        scope = SCOPE.get()
        record = {
            "message": message,
            "extra": fields,
            "level": _Level(level),
            "time": self._wall().astimezone(),
            "exception": None,
            "name": module,
            "function": function,
            "line": line,
            "scope": scope if scope is not None and scope.request_id else None,
        }
        try:
            for output, render in outputs:
                output.write(uncoloured(render, cast("Record", record)))
        except OSError:  # a full disk, say: loguru tells of it on standard error
            return False
        return True


DIRECT = DirectLines()
"""As loguru's logger, there is one for the process."""
