"""Cache of continuations: how to continue from responses that ended within a tool loop."""

from typing import NamedTuple

from cachetools import LRUCache

from aibridged.pipeline.context import RequestContext
from aibridged.wire.responses.continuing import Continuation, go_on
from aibridged.wire.splice import Fields

_MAX_CONTINUATIONS = 10_000


class _Key(NamedTuple):
    """A caller and a response: nobody may continue another caller's."""

    initiator_id: str
    provider: str
    name: str


class Continuations:
    """The most recently used continuations. They outlive a reload, as clients' conversations do."""

    def __init__(self) -> None:
        self._known: LRUCache[_Key, Continuation] = LRUCache(_MAX_CONTINUATIONS)

    def applied(self, context: RequestContext, fields: Fields) -> Fields:
        """The request, continued from where its previous response has really ended."""
        if not self._known:
            return fields
        return go_on(fields, lambda name: self._find(_key(context, name)))

    def keep(self, context: RequestContext, continuation: Continuation) -> None:
        """Store how to continue from the response to this request."""
        self._known[_key(context, continuation.name)] = continuation

    def _find(self, key: _Key) -> Continuation | None:
        """A response can be continued more than once; a conversation has moved on by then."""
        found = self._known.get(key)
        if found is not None and found.instead is None:
            del self._known[key]
        return found


def _key(context: RequestContext, name: str) -> _Key:
    return _Key(context.actor.id, context.route.provider.name, name)
