"""Streams one session in the shape of Coder's API, row by row.

A page has whole threads, however long: only their number is bounded, and the time.
"""

from collections.abc import Generator, Iterator
from datetime import datetime
from functools import partial
from itertools import chain

import msgspec

from aibridged.api import session_shapes as shapes
from aibridged.api.shapes import Tokens, cost
from aibridged.records import cost_sums
from aibridged.records.child_rows import FullInterception
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, Row, Session

_AT_ONCE = 10_000
"""Interceptions whose order is found in one go."""

Chunks = Generator[bytes]

_encode = msgspec.json.Encoder().encode


def session(
    query: Query,
    id: str,
    owner: str | None,
    *,
    after_id: str | None,
    before_id: str | None,
    limit: int,
) -> Chunks:
    """`session_shapes.SessionThreads`; nothing where there is none.

    Of users who share the id, it is the session of the one who used it last.
    """
    id = query.session_id(id, owner) or id
    wanted = Filter(session=id, owner=owner, limit=1)
    found = next(query.sessions(wanted, with_texts=False), None)
    if found is None:
        return
    threads = query.threads(found, after_id=after_id, before_id=before_id, limit=limit + 1)
    more = len(threads) > limit
    if more:
        threads = threads[1:] if before_id else threads[:limit]
    head = shapes.session(found, query.usage_metadata(found))
    yield b'%s,"threads":[' % _encode(head)[:-1]
    page = _Page()
    for each in _interceptions(query, found, threads):
        yield from page.chunks(each)
    yield from page.end()
    began, ended = _encode(page.started_at), _encode(page.ended_at)
    yield b'],"more":%s,"page_started_at":%s,"page_ended_at":%s}' % (_encode(more), began, ended)


def _interceptions(
    query: Query, session: Session, threads: list[str]
) -> Iterator[FullInterception]:
    read = partial(query.session, session.session_id, session.initiator_id, threads=threads)
    after_id, is_more = None, bool(threads)
    while is_more:
        is_more = False
        for each in read(after_id=after_id, limit=_AT_ONCE):
            yield each
            after_id, is_more = each.found.id, True


class _Sums:
    """Sums of token usages."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Tokens.__struct_fields__, 0)
        self._extra: dict[str, int] = {}

    def add(self, row: Row) -> None:
        for name in self._counts:
            self._counts[name] += row[name]
        for name, count in (row["metadata"] or {}).items():
            if type(count) is int:
                self._extra[name] = self._extra.get(name, 0) + count

    def total(self) -> shapes.TokenTotals:
        return shapes.TokenTotals(metadata=self._extra, **self._counts)


class _Page:
    """The threads of a page, `session_shapes.Thread` each: the totals stand at their ends."""

    def __init__(self) -> None:
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self._id: str | None = None
        self._totals: shapes.ThreadTotals
        self._tokens = _Sums()
        self._cost = cost_sums.NOTHING
        self._actions = 0

    def chunks(self, each: FullInterception) -> Chunks:
        """What the next interception adds, and the end of the thread before it."""
        found = each.found
        id = found.thread_root_id or found.id
        if id != self._id:
            yield from self.end(b",")
            yield b'{"id":%s,"agentic_actions":[' % _encode(id)
            self._begin(id, each)
        totals = self._totals
        if found.ended_at is not None:
            totals.ended_at = max(totals.ended_at or found.ended_at, found.ended_at)
            self.ended_at = max(self.ended_at or found.ended_at, found.ended_at)
        self._cost = cost_sums.added(self._cost, found.cost, found.cost_label)
        used = _Sums()
        for row in each.rows("token_usages"):
            used.add(row)
            self._tokens.add(row)
        yield from self._action(each, used)

    def end(self, following: bytes = b"") -> Chunks:
        """The end of a thread, if one has begun, and what follows."""
        if self._id is not None:
            totals = msgspec.structs.replace(
                self._totals, token_usage=self._tokens.total(), **cost(*self._cost)
            )
            yield b"],%s%s" % (_encode(totals)[1:], following)

    def _begin(self, id: str, each: FullInterception) -> None:
        found = each.found
        prompt = next(each.rows("user_prompts"), None)
        self._id, self._tokens, self._actions = id, _Sums(), 0
        self._cost = cost_sums.NOTHING
        self._totals = shapes.ThreadTotals(
            prompt=None if prompt is None else prompt["prompt"],
            model=found.model,
            provider=found.provider,
            credential_kind=found.credential_kind,
            credential_hint=found.credential_hint,
            started_at=found.started_at,
            ended_at=None,
            token_usage=self._tokens.total(),
            cost=None,
            cost_label=None,
            error_type=found.error_type if found.id == id else None,
            error_message=found.error_message if found.id == id else None,
            texts_withheld=found.texts_withheld,
        )
        began = found.started_at
        self.started_at = min(self.started_at or began, began)

    def _action(self, each: FullInterception, used: _Sums) -> Chunks:
        calls = each.rows("tool_usages")
        first = next(calls, None)
        if first is None:
            return
        found = each.found
        head = shapes.AgenticActionHead(
            model=found.model, token_usage=used.total(), **cost(found.cost, found.cost_label)
        )
        yield b'%s%s,"thinking":[' % (b"," if self._actions else b"", _encode(head)[:-1])
        self._actions += 1
        for number, row in enumerate(each.rows("model_thoughts")):
            yield (b"," if number else b"") + _encode(shapes.Thinking(text=row["content"]))
        yield b'],"tool_calls":['
        for number, row in enumerate(chain([first], calls)):
            yield (b"," if number else b"") + _encode(shapes.tool_call(each.found.id, row))
        yield b"]}"
