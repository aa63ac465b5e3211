"""Connections to a Redis or Valkey server. Needs the extra `redis`."""

import asyncio
import os
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, NoScriptError, RedisError
from redis.retry import Retry as SyncRetry

from aibridged.limits.redis_script import (
    CHANGED,
    CHANNEL,
    GRACE_S,
    LEASE_S,
    MAX_CIRCUITS,
    PREFIX,
    SPEND_LIMITS,
    BadAnswerError,
    Batch,
    Closed,
    GiveBackGuess,
    Leave,
    Opened,
    TakeGuess,
    decode,
    encode,
    encode_news,
)
from aibridged.limits.redis_session import CONNECT_S, Server, Session, place_of

_DAY_MS = 86_400_000

_SCRIPT = f"""local P = '{PREFIX}'
local LEASE, GRACE = {LEASE_S * 1000:.0f}, {GRACE_S * 1000:.0f}
local MOST_CIRCUITS, DAY = {MAX_CIRCUITS}, {_DAY_MS}
""" + Path(__file__).with_name("redis.lua").read_text()
_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

_NO_RIGHTS = ("ACL failure in script", "The user executing the script can't")
"""How Redis 7 and Valkey say it of a command in a script, and how Redis 6 does."""


class RedisServer(Server):
    """Makes connections; `url` has been checked by the settings."""

    failures = (RedisError, OSError, TimeoutError, BadAnswerError)

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            client_name="aibridged",
        )
        self.place = place_of(url)

    async def connect(self) -> Session:
        session = _Session(self._pool.make_connection())  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(CONNECT_S):
                await session.connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await session.close()
            raise
        return session


class _Session(Session):
    def __init__(self, connection: AbstractConnection) -> None:
        self.connection = connection

    async def evaluate(self, batch: bytes) -> Any:
        try:
            return await self._ask("EVALSHA", _SHA, 0, batch)
        except NoScriptError:  # a new server, or one that was restarted
            return await self._ask("EVAL", _SCRIPT, 0, batch)

    async def listen(self) -> None:
        await self._ask("SUBSCRIBE", CHANNEL)

    async def next_message(self, within: float) -> Any:
        got = await self.connection.read_response(disable_decoding=True, timeout=within)
        if isinstance(got, list) and len(got) == 3 and got[0] == b"message":
            return got[2]
        return None if got is None else b""

    async def ping(self) -> None:
        await self.connection.send_command("PING")

    async def close(self) -> None:
        await self.connection.disconnect(nowait=True)

    async def _ask(self, *words: str | bytes | int) -> Any:
        await self.connection.send_command(*words)
        return await self.connection.read_response(disable_decoding=True)


def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        protocol=2,
        socket_timeout=CONNECT_S,
        socket_connect_timeout=CONNECT_S,
        retry=SyncRetry(NoBackoff(), 0),
    )


def why_away(url: str) -> Exception | None:
    """Why a server can't be used at present, None if it can; it blocks, as `tell_once`.

    All commands are tried that a daemon uses, with keys that nothing reads and that soon expire.
    """
    key = os.urandom(16).hex()
    operations = (
        TakeGuess(key, 1, 1),
        GiveBackGuess(key),
        Opened(key, "", 1),
        Closed(key, ""),
        Leave(),
    )
    batch = encode(Batch(key, 1, 1, 0, 0, (), operations))
    try:
        with _client(url) as client, client.pubsub() as listener:
            for words in (("EVAL", _SCRIPT), ("EVALSHA", _SHA)):
                decode(client.execute_command(*words, 0, batch), operations)
            listener.subscribe(CHANNEL)
            listener.get_message(timeout=CONNECT_S)
    except RedisServer.failures as error:
        return error
    return None


def lacks_rights(error: Exception) -> bool:
    """Whether the user of Redis may not do what was asked, itself or in the script."""
    return isinstance(error, NoPermissionError) or any(each in str(error) for each in _NO_RIGHTS)


def tell_once(url: str) -> Exception | None:
    """Tell all replicas that users, tokens or spend limits have changed; returns why it can't be.

    It is for commands: it blocks, for `CONNECT_S` at each step.
    """
    try:
        with _client(url) as client:
            for kind in (CHANGED, SPEND_LIMITS):
                client.publish(CHANNEL, encode_news(kind))
    except RedisServer.failures as error:
        return error
    return None
