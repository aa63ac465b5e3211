"""What the lane and the news need of a Redis server; `redis_server` has it, with the extra."""

from typing import Any, Protocol
from urllib.parse import urlsplit

CONNECT_S = 1.0
"""Deadline for a connection, with TLS and authentication; no request waits for it."""
_MAX_REASON = 200


class Session(Protocol):
    """One connection, for one exchange at a time. Errors are the server's `failures`."""

    async def evaluate(self, batch: bytes) -> Any:
        """What the script answers to a batch."""

    async def listen(self) -> None:
        """Subscribe to the channel; nothing else can be asked from then on."""

    async def next_message(self, within: float) -> Any:
        """The next message of the channel; None after so many seconds of silence."""

    async def ping(self) -> None:
        """Ask a listening connection whether it lives; the answer counts as a message, of None."""

    async def close(self) -> None:
        """Close it at once."""


class Server(Protocol):
    """A server at `place`; whatever is asked of it raises `failures` where it is away, refuses, or
    answers nonsense."""

    failures: tuple[type[Exception], ...]
    place: str

    async def connect(self) -> Session:
        """A new connection, within `CONNECT_S`."""


def place_of(url: str) -> str:
    """The server's address without credentials: `redis://redis.example.com:6379`."""
    split = urlsplit(url)
    if split.scheme == "unix":
        return f"unix://{split.path}"
    host = split.hostname or ""
    return f"{split.scheme}://{f'[{host}]' if ':' in host else host}:{split.port or 6379}"


def reason_of(error: BaseException) -> str:
    """Why the server is away, in a few words; no error of it quotes a password."""
    if isinstance(error, TimeoutError) and not str(error):
        return "it doesn't answer in time"
    return " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__
