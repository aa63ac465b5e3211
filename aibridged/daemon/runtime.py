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
from aibridged.daemon.malloc import give_memory_back
from aibridged.observe.descriptors import raise_limit
from aibridged.observe.logging import CannotLogError, configure


def run_process(
    settings: Settings, warnings: Sequence[str], serve: Callable[[], Coroutine[Any, Any, int]]
) -> int:
    """Log the warnings and serve; returns the exit status, 1 where logs can't be written."""
    give_memory_back()
    raise_limit()
    try:
        log_as(settings)
    except CannotLogError as error:
        print(error, file=sys.stderr)
        return 1
    for warning in warnings:
        logger.warning("{}", warning)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(serve())


def log_as(settings: Settings) -> None:
    """Log from now on as the settings say.

    Raises:
        CannotLogError: a log file can't be opened; everything logs as before.
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
    """What `asyncio.Runner` takes: uvloop where it is built, None for asyncio's own."""
    try:
        import uvloop
    except ImportError:  # not built for this platform
        return None
    return uvloop.new_event_loop


def calm_garbage_collector() -> None:
    """Keep the collector from what is there already, and let it come less often.

    Called once all is loaded, which is there to stay: each full collection would walk through it
    and hold every stream up for as long. What a request makes is mostly freed by its references.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def on_stop_signals() -> asyncio.Event:
    """What is set on the first SIGTERM or SIGINT; a second one ends the process at once."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stopping)
    return stopping


def _on_signal(number: signal.Signals, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        # Asked twice: die of it at once, as if it had never been handled.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    stopping.set()
