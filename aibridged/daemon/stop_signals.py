"""SIGTERM and SIGINT: the first asks the process to end in good order, a second ends it at once."""

import asyncio
import os
import signal


def on_stop_signals() -> asyncio.Event:
    """What is set when the running loop's process is asked to end."""
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
