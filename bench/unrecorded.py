"""The daemon without a record: the cost of everything else.

python -m bench.unrecorded [ARGUMENTS OF aibridged]

Nothing but a bench may run like this: a daemon that can't record refuses requests.
"""

from aibridged.cli import main
from aibridged.records.facts import Fact, InterceptionStart
from aibridged.records.recorder import Recorder


async def _start(self: Recorder, start: InterceptionStart) -> tuple[int, ...]:
    return ()


def _record(self: Recorder, *facts: Fact, initiator_id: str = "") -> None:
    pass


if __name__ == "__main__":
    Recorder.start = _start  # type: ignore[method-assign]
    Recorder.record = _record  # type: ignore[method-assign]
    main()
