"""Looks up who made a response or conversation that a provider stores.

All callers share the organisation's key, so the provider would show anyone what another has stored.
What a user makes is recorded when its id is first told; a look-up is one read by primary key, in a
thread, with a deadline. What was looked up is remembered, since it never changes.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
from cachetools import LRUCache

from aibridged.core.fair_queue import QueueFullError
from aibridged.records.facts import StoredObjectRecord
from aibridged.records.lookups import LookupFailedError, Lookups
from aibridged.records.rows import object_key
from aibridged.records.schema import interceptions, stored_objects
from aibridged.wire.facts import RUNNING

DEADLINE_S = 5.0
"""For how long a request waits for a look-up, its place included."""
REMEMBERED = 10_000

_RECENT_S = 0.3  # what has just been told, to another daemon maybe, is in the database by then

_C = stored_objects.c
_STATUS = interceptions.c.background_status
_MAKER = (
    sa.select(
        _C.initiator_id,
        _C.interception_id,
        sa.and_(_C.is_background, sa.or_(_STATUS.is_(None), _STATUS.in_(sorted(RUNNING)))),
        _C.continuation,
        # Until its interception has ended, it may get a continuation.
        sa.or_(
            _C.is_background, interceptions.c.id.is_(None), interceptions.c.ended_at.is_not(None)
        ),
        interceptions.c.model,
    )
    .select_from(stored_objects)
    .outerjoin(interceptions, interceptions.c.id == _C.interception_id)
    .where(_C.provider_name == sa.bindparam("provider"), _C.object_id == sa.bindparam("object"))
)


class Maker(NamedTuple):
    """Who made it, and by which request; `is_background` if what it comes to isn't known yet.

    `continuation` says how a request goes on from it, where that isn't from this very object; it
    may yet come if it isn't `is_settled`. `model` is the one that the request asked for.
    """

    initiator_id: str
    interception_id: str | None
    is_background: bool
    continuation: str | None = None
    is_settled: bool = True
    model: str | None = None


class _Key(NamedTuple):
    provider_name: str
    object_id: str


class StoredObjects:
    """The makers, by the provider's name and the object's id.

    `record` queues facts to be written, of an initiator. All of it is called from the event loop.
    """

    def __init__(
        self,
        engine: sa.Engine,
        record: Callable[..., None],
        *,
        deadline: float = DEADLINE_S,
    ) -> None:
        self._engine = engine
        self.record = record
        self._deadline = deadline
        self._known: LRUCache[_Key, Maker] = LRUCache(REMEMBERED)
        self._lookups = Lookups(deadline)

    def made(self, made: StoredObjectRecord, model: str | None = None) -> None:
        """Note who made it, by which model, and its continuation; the first stays its maker."""
        key = _Key(made.provider_name, object_key(made.object_id))
        known = self._known.get(key)
        if known is None:
            self._known[key] = Maker(
                made.initiator_id,
                made.interception_id,
                made.is_background,
                made.continuation,
                model=model,
            )
        elif made.continuation is not None and known.initiator_id == made.initiator_id:
            self._known[key] = known._replace(continuation=made.continuation)
        self.record(made, initiator_id=made.initiator_id)

    async def find(
        self,
        caller: str,
        provider_name: str,
        object_id: str,
        *,
        patient: bool = True,
        settled: bool = False,
    ) -> Maker | None:
        """Its maker, or None: nobody made it through a gateway of this database.

        `caller` is who asks: callers take turns. If it is `patient`, what may just have been made
        is waited for; if it is to be `settled`, the end of the request that has made it, which may
        just have come through another daemon, is waited for as long.

        Raises:
            LookupFailedError: that isn't known.
        """
        key = _Key(provider_name, object_key(object_id))
        try:
            async with asyncio.timeout(self._deadline):
                maker = self._known.get(key) or await self._look_up(caller, key)
                if patient if maker is None else settled and not maker.is_settled:
                    await asyncio.sleep(_RECENT_S)
                    maker = await self._look_up(caller, key)
        except (TimeoutError, QueueFullError):
            raise LookupFailedError from None
        except Exception as error:  # noqa: BLE001 - a driver's, the system's or SQLAlchemy's
            raise LookupFailedError(type(error).__name__) from None
        if maker is not None and maker.is_settled:
            # It may have been noted meanwhile, and told since.
            maker = self._known.setdefault(key, maker)
        return maker

    def told(self, provider_name: str, object_id: str) -> bool:
        """What it came to in the background is known now; whether that is news to this daemon."""
        key = _Key(provider_name, object_key(object_id))
        maker = self._known.get(key)
        if maker is None or not maker.is_background:
            return maker is None
        self._known[key] = maker._replace(is_background=False)
        return True

    async def _look_up(self, caller: str, key: _Key) -> Maker | None:
        return await self._lookups.run(caller, lambda: self._read(key))

    def _read(self, key: _Key) -> Maker | None:
        with self._engine.connect() as connection:
            values = {"provider": key.provider_name, "object": key.object_id}
            row = connection.execute(_MAKER, values).one_or_none()
        return None if row is None else Maker(*row)
