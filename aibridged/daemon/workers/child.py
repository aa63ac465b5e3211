"""A child of the supervisor: what its process does from its first instruction on."""

import os
import signal
import socket
import sys
from collections.abc import Callable, MutableMapping
from itertools import chain

from loguru import logger

from aibridged.daemon.workers.channel import Channel, ChannelError, receive
from aibridged.daemon.workers.messages import BEGIN, CHANNEL, FAILED, LINE_LOCKS, Begin
from aibridged.observe.line_locks import share_lines
from aibridged.observe.logging import name_worker

WORKER = "worker"
WRITER = "writer"
"""The process that writes the records of workers on SQLite."""

_FAILED_S = 5.0  # for the supervisor to take note, which then ends the process


def main(environ: MutableMapping[str, str]) -> int:
    """Be what the supervisor says; returns the exit status.

    What takes long to import is there before the supervisor says it, so that siblings which wait
    for each other don't wait for that, too.
    """
    # Signals to the whole group reach it, too: the supervisor says what is to be done.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    connection = socket.socket(fileno=int(environ.pop(CHANNEL)))
    os.set_inheritable(connection.fileno(), False)
    run = _program(sys.argv[1:2] == [WRITER])
    try:
        begin = receive(connection, BEGIN, Begin, None)
    except ChannelError:
        return 0  # the supervisor has ended, or has no use for it
    for descriptor in (*begin.descriptors.values(), *chain(*begin.sockets.values())):
        os.set_inheritable(descriptor, False)
    share_lines({stream: begin.descriptors[name] for stream, name in LINE_LOCKS.items()})
    if not begin.announces:
        name_worker(str(begin.slot) if begin.kind == WORKER else begin.kind)
    return run(begin, connection)


async def tell_failure(channel: Channel, error: Exception) -> None:
    """Tell the supervisor why this child can't start, or log it where there is none any more."""
    try:
        await channel.ask(FAILED, str(error), within=_FAILED_S)
    except ChannelError:
        logger.error("{}", error)


def _program(is_writer: bool) -> Callable[[Begin, socket.socket], int]:
    if is_writer:
        from aibridged.daemon.workers import writer_process

        return writer_process.run
    from aibridged.daemon.workers import worker

    return worker.run
