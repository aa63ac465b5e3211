"""Continuations: how to continue from responses that ended within a tool loop.

Those of responses are on record, too, with what the provider stores: a client may continue after a
restart, or through another gateway.
"""

from typing import NamedTuple

from cachetools import LRUCache

from aibridged.core.auth import CredentialKind
from aibridged.errors import LOOKUP_FAILED, GatewayError
from aibridged.pipeline.context import RequestContext
from aibridged.records.facts import StoredObjectRecord
from aibridged.records.lookups import LookupFailedError
from aibridged.records.stored_objects import StoredObjects
from aibridged.wire.responses.continuing import Continuation, go_on, restored, stored
from aibridged.wire.splice import Fields

_MAX_CONTINUATIONS = 10_000
_MAX_STORED = 64 * 1024  # characters: that of hundreds of calls without a result


class _Key(NamedTuple):
    """A caller and a response: no caller may continue another's."""

    initiator_id: str
    provider: str
    name: str


class Continuations:
    """The most recently used continuations. They outlive a reload, as clients' conversations do."""

    def __init__(self, objects: StoredObjects) -> None:
        self._objects = objects
        self._known: LRUCache[_Key, Continuation] = LRUCache(_MAX_CONTINUATIONS)

    async def applied(self, context: RequestContext, fields: Fields) -> Fields:
        """The request, continued from where its previous response has really ended.

        Raises:
            GatewayError: that isn't known.
        """
        recorded = await self._recorded(context)
        if recorded is not None:
            self._known[_key(context, recorded.name)] = recorded
        if not self._known:
            return fields
        return go_on(fields, lambda name: self._find(_key(context, name)))

    def keep(self, context: RequestContext, continuation: Continuation) -> None:
        """Store how to continue from the response to this request."""
        self._known[_key(context, continuation.name)] = continuation
        interception = context.interception
        # One of a conversation holds once, and for this daemon alone.
        if continuation.instead is None or interception is None:
            return
        text = stored(continuation)
        if len(text) <= _MAX_STORED:
            self._objects.made(
                StoredObjectRecord(
                    provider_name=context.route.provider.name,
                    object_id=continuation.name,
                    initiator_id=context.actor.id,
                    created_at=interception.start.started_at,
                    interception_id=interception.id,
                    continuation=text,
                )
            )

    async def _recorded(self, context: RequestContext) -> Continuation | None:
        """The one on record, where it isn't known here. Mostly its stage has looked it up."""
        name, actor = context.facts.previous_response, context.actor.id
        if name is None or _key(context, name) in self._known:
            return None
        # With a key of their own callers go on from much that no gateway has seen.
        patient = context.credential.kind is CredentialKind.CENTRALIZED
        try:
            maker = await self._objects.find(
                actor, context.route.provider.name, name, patient=patient, settled=True
            )
        except LookupFailedError:
            raise GatewayError(LOOKUP_FAILED, retry_after=1) from None
        if maker is None or maker.initiator_id != actor or maker.continuation is None:
            return None
        return restored(name, maker.continuation)

    def _find(self, key: _Key) -> Continuation | None:
        """A response can be continued more than once; a conversation has moved on by then."""
        found = self._known.get(key)
        if found is not None and found.instead is None:
            del self._known[key]
        return found


def _key(context: RequestContext, name: str) -> _Key:
    return _Key(context.actor.id, context.route.provider.name, name)
