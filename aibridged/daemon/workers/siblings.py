"""The other workers of a group, as one of them sees them; none where a process serves alone."""

from typing import Any, TypeVar

import msgspec

from aibridged.core.limiters import Limiters
from aibridged.daemon.workers.channel import (
    DEADLINE_S,
    Channel,
    ChannelClosedError,
    ChannelError,
    Handler,
)

T = TypeVar("T")

ASK_OTHERS = "ask others"
"""To the supervisor: a `Question` for all workers but the asker. The answer is a list of theirs."""


class Question(msgspec.Struct, array_like=True):
    """A request for several; each may take so many seconds."""

    kind: str
    payload: msgspec.Raw
    within: float


class Siblings:
    """The place of this process among `count`, with the number `slot` from 1 on, and the others.

    `limiters` makes the limits that it shares with them; None where it is alone.
    """

    def __init__(
        self,
        slot: int = 1,
        count: int = 1,
        channel: Channel | None = None,
        limiters: Limiters | None = None,
    ) -> None:
        self.slot = slot
        self.count = count
        self.limiters = limiters
        self._channel = channel

    def on(self, kind: str, handler: Handler, takes: Any = object) -> None:
        """Have `handler` answer the others; see `Channel.on`."""
        if self._channel is not None:
            self._channel.on(kind, handler, takes)

    async def ask(
        self, kind: str, payload: object = None, *, gives: type[T], within: float = DEADLINE_S
    ) -> list[T]:
        """The answers of those others that serve and answer in time, in no order."""
        if self._channel is None:
            return []
        question = Question(kind, msgspec.Raw(msgspec.msgpack.encode(payload)), within)
        try:
            answers = await self._channel.ask(
                ASK_OTHERS, question, gives=list[msgspec.Raw], within=within + DEADLINE_S
            )
            return [msgspec.msgpack.decode(each, type=gives) for each in answers]
        except (ChannelError, msgspec.MsgspecError):
            return []  # the supervisor has ended, and this process is about to

    async def ask_supervisor(
        self, kind: str, payload: object = None, *, gives: type[T], within: float = DEADLINE_S
    ) -> T:
        """The supervisor's answer.

        Raises:
            ChannelError: it doesn't answer, or there is none.
        """
        if self._channel is None:
            raise ChannelClosedError("There is no supervisor.")
        return await self._channel.ask(kind, payload, gives=gives, within=within)

    def tell_supervisor(self, kind: str, payload: object = None) -> None:
        """Tell the supervisor, without waiting for an answer."""
        if self._channel is not None:
            self._channel.tell(kind, payload)

    def tell(self, kind: str, payload: object = None) -> None:
        """Ask all others, without waiting for their answers."""
        if self._channel is not None:
            question = Question(kind, msgspec.Raw(msgspec.msgpack.encode(payload)), DEADLINE_S)
            self._channel.tell(ASK_OTHERS, question)
