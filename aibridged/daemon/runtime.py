"""Process runtime: file limits, memory, logging, event loop, signals."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from loguru import logger

from aibridged.config.options import Settings
from aibridged.daemon.malloc import return_freed_memory
from aibridged.observe.descriptors import raise_limit
from aibridged.observe.log_outputs import finish
from aibridged.observe.logging import CannotLogError, configure

SLACK_S = 30.0
"""Time for the end of the daemon after its requests have ended: records are written."""

# How long the reader of the log may take for the last lines.
_LAST_LINES_S = 2.0


def run_process(
    settings: Settings, warnings: Sequence[str], serve: Callable[[], Coroutine[Any, Any, int]]
) -> int:
    """Log the warnings and serve; returns the exit status, 1 where logs can't be written."""
    return_freed_memory()
    raise_limit()
    try:
        log_as(settings)
    except CannotLogError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        for warning in warnings:
            logger.warning("{}", warning)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(serve())
    finally:
        finish(_LAST_LINES_S)


def log_as(settings: Settings) -> None:
    """Apply the settings' log outputs and formats.

    Raises:
        CannotLogError: a log file can't be opened; the outputs are unchanged.
    """
    configure(
        settings.log_human,
        settings.log_json,
        settings.log_stackdriver,
        settings.log_filter,
        settings.verbose,
        trace_logs=settings.trace and settings.trace_logs,
    )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop factory for `asyncio.Runner`: uvloop's if installed, else None (asyncio's own)."""
    try:
        import uvloop
    except ImportError:  # not built for this platform
        return None
    return uvloop.new_event_loop


def tune_garbage_collector() -> None:
    """Exempt existing objects from garbage collection, and make it less frequent.

    Called once everything is loaded, which is there to stay: each full collection would walk
    through it, and delay every stream for that long. Requests' objects are mostly freed by
    reference counting.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def on_stop_signals(before_dying: Callable[[], None] | None = None) -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; a second one kills the process at once."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    first: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        if first:  # it may be stopping for another reason
            if before_dying is not None:
                before_dying()
            # The second time: die of it at once, as if it had never been handled.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        first.append(number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stopping
