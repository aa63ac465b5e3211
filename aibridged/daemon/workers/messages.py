"""What the supervisor and its children say on the control channel.

Each kind of request is a constant, with the type of its payload beside it.
"""

import pickle

import msgspec

from aibridged.config.options import Settings
from aibridged.daemon.loaded import Loaded

CHANNEL = "AIBRIDGED_CHANNEL"
"""The variable that makes a process a child: the number of its channel's descriptor."""

LIMITS = "limits"
"""The name of the descriptor of the memory for the limits that workers share."""
LINE_LOCKS = {1: "lines of standard output", 2: "lines of standard error"}
"""The names of descriptors: the locks of the streams, by their numbers."""

BEGIN = "begin"
"""The first request to a child; it is told, without an answer."""
STARTED = "started"
"""From a child that serves."""
FAILED = "failed"
"""From a child that can't start: the sentence for the log."""
PING = "ping"
"""To a child, which answers with `Pulse`."""
STOP = "stop"
"""To a child: drain, and end."""
RELOAD = "reload"
"""To a child: the `InForce` settings, packed."""
RELOADS = "reloads"
"""To a child: how the last reload went, as `ReloadStats`."""
REOPEN_LOGS = "reopen logs"


class InForce(msgspec.Struct, frozen=True):
    """The settings that all processes of a group use, with their sources for those who ask."""

    settings: Settings
    loaded: Loaded

    def packed(self) -> bytes:
        """For a process of the same program, on a channel that nothing else can write to."""
        return pickle.dumps(self)


def unpacked(data: bytes) -> InForce:
    """The inverse of `InForce.packed`."""
    found = pickle.loads(data)
    assert isinstance(found, InForce)
    return found


class Begin(msgspec.Struct, kw_only=True):
    """What a child is to be.

    `slot` is its number among its kind, from 1 on, and `count` how many of the kind there are; a
    successor has its predecessor's slot. `sockets` are descriptors of listening sockets by their
    names, `descriptors` others that it shares with its siblings. `announces` says that it logs what
    all of them would.
    """

    kind: str
    slot: int
    count: int
    in_force: bytes
    sockets: dict[str, list[int]]
    descriptors: dict[str, int]
    announces: bool


class Pulse(msgspec.Struct, kw_only=True):
    """What a worker does."""

    in_flight: int = 0
    draining: bool = False
    refuses: bool = False
    """Whether requests are refused, since they can't be recorded."""
