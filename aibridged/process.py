"""What every process that serves does first: takes what it may have of the system, logs, runs."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from loguru import logger

from aibridged.config.options import Settings
from aibridged.descriptors import raise_limit
from aibridged.event_loop import loop_factory
from aibridged.malloc import give_memory_back
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
