"""News between replicas by Redis's pub/sub: what has changed in one counts at once in all.

News is lost while the connection is: `on_listening` is called whenever it is there (again), for
what may have been missed.
"""

import asyncio
from collections.abc import Callable

from loguru import logger

from aibridged.limits.redis_lane import Lane
from aibridged.limits.redis_script import Tell, decode_news
from aibridged.limits.redis_session import CONNECT_S, Server, Session

_PING_S = 2.0
"""A connection that is silent for so long is asked whether it lives, and has as long to answer."""
_PAUSE_S = 1.0

Hear = Callable[[int, str], None]
"""Called with the milliseconds that are left, of what ends, and the news itself."""


class News:
    """Tells the other replicas of news, and calls what is registered for theirs.

    What is called gets text from outside, and validates it. For the event loop only.
    """

    def __init__(self, server: Server, lane: Lane) -> None:
        self.is_listening = False
        self.on_listening: dict[str, Callable[[], None]] = {}
        self._server = server
        self._lane = lane
        self._hear: dict[str, Hear] = {}

    def on(self, kind: str, hear: Hear) -> None:
        """Have news of a kind told to this; each kind is told to one."""
        self._hear[kind] = hear

    def tell(self, kind: str, body: str) -> None:
        """Tell the others, if Redis is there; it takes no time."""
        self._lane.tell(Tell(kind, body))

    async def run(self) -> None:
        """Listen, until cancelled."""
        while True:
            try:
                session = await self._server.connect()
                try:
                    async with asyncio.timeout(CONNECT_S):
                        await session.listen()
                    self.is_listening = True
                    for each in self.on_listening.values():
                        each()
                    await self._listen(session)
                finally:
                    self.is_listening = False
                    await session.close()
            except self._server.failures:
                pass  # the lane meets the same, and says so
            await asyncio.sleep(_PAUSE_S)

    async def _listen(self, session: Session) -> None:
        asked = False
        while True:
            message = await session.next_message(_PING_S)
            if message is None:
                if asked:
                    return
                await session.ping()
            elif message:
                self._heard(message)
            asked = message is None

    def _heard(self, message: object) -> None:
        news = decode_news(message)
        if news is None:
            logger.debug("A message from Redis is none of ours")
            return
        if news.sender != self._lane.replica and (hear := self._hear.get(news.kind)) is not None:
            hear(news.left_ms, news.body)
