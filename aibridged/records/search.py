"""Searches for what no index finds: a text of prompts, a tool, an error, a cost, a group.

A page is found by a scan, the newest first, for a bounded time: then it says how far back it has
searched, and where to go on. Nothing is kept for it, so there is nothing to erase.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.core.looks import EVERYBODY
from aibridged.records import cost_sums
from aibridged.records.cursors import before
from aibridged.records.filters import PARTS, conditions, matching, members_of, page_of, parts_of
from aibridged.records.query_results import Filter
from aibridged.records.schema import interceptions, tool_usages, user_prompts
from aibridged.records.session_rows import Key, key_of, keys_of, others
from aibridged.records.storable import storable
from aibridged.records.viewer import Viewer

WORK_S = 0.2
"""How long a page is searched for."""
MAX_TEXT = 256
"""Characters of a text that is searched for."""
_CHUNK_S = 0.05  # what is read at once takes about as long
_FEW, _FIRST, _MOST = 64, 256, 8192
_KEYS_AT_ONCE = 500
_CHECKED_AT_ONCE = 20
_ESCAPE = "\\"

_I = interceptions.c
_SCANNED = ("text", "tool", "error", "min_cost", "group")
_COLUMNS = [
    _I[name]
    for name in (
        *("id", "started_at", "session_id", "initiator_id"),
        *("cost_nanos", "error_type", "error_code", "error_source"),
    )
]


class Search:
    """How long a page may be searched for, and what came of it.

    `until` is how far back it has searched: None if the page is full, or all was searched.
    """

    def __init__(self, clock: Clock, seconds: float = WORK_S) -> None:
        self.clock = clock
        self.seconds = seconds
        self.until: datetime | None = None
        self.last: str | None = None
        self.found_by: list[str] = []

    def cursor(self, shown: int, is_more: bool) -> str | None:
        """The interception that the next page follows on, after so many of what was found."""
        return self.found_by[shown - 1] if is_more else self.last


def is_search(wanted: Filter) -> bool:
    """Whether a page of these is searched for."""
    return any(getattr(wanted, name) is not None for name in _SCANNED)


def subjects(connection: sa.Connection, wanted: Filter, viewer: Viewer) -> Collection[str]:
    """Whose texts a search for a text looks at."""
    if viewer.note is None or wanted.text is None:
        return ()
    known = wanted.owner or wanted.initiator_id
    if known is not None:
        return (known,)
    if wanted.username is None and viewer.own is not None:
        others = sa.or_(_I.initiator_id < viewer.own, _I.initiator_id > viewer.own)
        there_are = sa.or_(*(sa.exists().where(part, others) for part in PARTS))
        return (EVERYBODY,) if connection.scalar(sa.select(there_are)) else ()
    return (EVERYBODY,)


def search_interceptions(
    connection: sa.Connection,
    wanted: Filter,
    viewer: Viewer,
    after: sa.Row[Any] | None,
    search: Search,
) -> list[str]:
    """The ids of a page, which follows on the interception `after`."""
    found: list[str] = []
    for rows in _walk(connection, wanted, viewer, after, _hit(connection, wanted), search):
        found += [row.id for row in rows][: wanted.limit - len(found)]
        if len(found) == wanted.limit:
            search.until = search.last = None
            break
    search.found_by = found
    return found


def search_sessions(
    connection: sa.Connection,
    wanted: Filter,
    viewer: Viewer,
    after: sa.Row[Any] | None,
    search: Search,
) -> list[Key]:
    """The sessions of a page, in the order of the newest interception of each that matches.

    The page follows on the interception `after`. What they have cost is that of all of theirs
    that match, but for the text, the tool and the error.
    """
    hit = _hit(connection, msgspec.structs.replace(wanted, min_cost=None))
    found: list[Key] = []
    seen: set[Key] = set()
    for rows in _walk(connection, wanted, viewer, after, hit, search):
        new: dict[Key, str] = {}
        for row in rows:
            if (key := key_of(row)) not in seen:
                seen.add(key)
                new[key] = row.id
        kept = _kept(connection, list(new), wanted, hit, after)
        for key in filter(kept.__contains__, new):
            found.append(key)
            search.found_by.append(new[key])
            if len(found) == wanted.limit:
                search.until = search.last = None
                return found
    return found


def plain(wanted: Filter) -> Filter:
    """The filter without what has to be searched for."""
    status = "failed" if wanted.error is not None and wanted.status is None else wanted.status
    without: dict[str, Any] = dict.fromkeys(_SCANNED)
    return msgspec.structs.replace(wanted, **without, status=status)


_Hit = Callable[[Any], sa.ColumnElement[bool]]


def _hit(connection: sa.Connection, wanted: Filter) -> _Hit:
    """What has to be searched for, as a condition on columns of interceptions."""
    tests: list[_Hit] = []
    if wanted.group is not None:
        members = members_of(wanted.group)
        tests.append(lambda of: of.initiator_id.in_(members))
    if wanted.min_cost is not None:
        tests.append(lambda of: of.cost_nanos >= wanted.min_cost)
    if wanted.error is not None:
        error = storable(wanted.error)
        names = ("error_type", "error_code", "error_source")
        tests.append(lambda of: sa.or_(*(of[name] == error for name in names)))
    if wanted.tool is not None:
        tool = storable(wanted.tool)
        tests.append(
            lambda of: sa.exists().where(
                tool_usages.c.interception_id == of.id, tool_usages.c.tool == tool
            )
        )
    if wanted.text is not None:
        contains = _contains(connection, wanted.text)
        tests.append(
            lambda of: sa.exists().where(user_prompts.c.interception_id == of.id, contains)
        )
    return lambda of: sa.and_(sa.true(), *(test(of) for test in tests))


def _contains(connection: sa.Connection, text: str) -> sa.ColumnElement[bool]:
    """Whether a prompt contains the text, whatever its case; see `_checked`."""
    pattern = "".join(
        f"{_ESCAPE}{each}" if each in "%_\\" else each if each.isascii() else "_"
        for each in storable(text)
    )
    prompt = user_prompts.c.prompt
    # LIKE ignores the case of ASCII on SQLite, and ILIKE at least that on PostgreSQL.
    like = prompt.like if connection.dialect.name == "sqlite" else prompt.ilike
    return like(f"%{pattern}%", escape=_ESCAPE)


def _walk(
    connection: sa.Connection,
    wanted: Filter,
    viewer: Viewer,
    last: sa.Row[Any] | None,
    hit: _Hit,
    search: Search,
) -> Iterator[Sequence[sa.Row[Any]]]:
    """The hits among the interceptions that match otherwise, until the time is up."""
    where = list(conditions(plain(wanted)))
    if wanted.text is not None and viewer.note is None:
        where.append(_I.initiator_id == viewer.own)
    now = search.clock.monotonic
    ends, size = now() + search.seconds, _FIRST
    while True:
        began = now()
        older = () if last is None else (before(last),)
        page = page_of(
            _COLUMNS, [*where, *older], _newest_first, size, parts=parts_of(wanted)
        ).subquery()
        columns = (*(page.c[each.name] for each in _COLUMNS[:4]), hit(page.c).label("is_hit"))
        rows = connection.execute(sa.select(*columns).order_by(*_newest_first(page.c))).all()
        last = rows[-1] if len(rows) == size else None
        search.until, search.last = (last.started_at, last.id) if last else (None, None)
        yield _checked(connection, [row for row in rows if row.is_hit], wanted.text)
        ended = now()
        if last is None or ended >= ends:
            return
        size = min(2 * size, _MOST) if ended - began < _CHUNK_S else max(size // 2, _FEW)


def _newest_first(columns: Any) -> Sequence[sa.ColumnElement[Any]]:
    return columns.started_at.desc(), columns.id.desc()


def _checked(
    connection: sa.Connection, rows: Sequence[sa.Row[Any]], text: str | None
) -> Sequence[sa.Row[Any]]:
    """Those whose prompts do have the text: SQL is not asked about other letters than ASCII's."""
    if text is None or text.isascii():
        return rows
    contains, sought = _contains(connection, text), storable(text).lower()
    found = set()
    for start in range(0, len(rows), _CHECKED_AT_ONCE):
        few = [row.id for row in rows[start : start + _CHECKED_AT_ONCE]]
        prompts = sa.select(user_prompts.c.interception_id, user_prompts.c.prompt).where(
            user_prompts.c.interception_id.in_(few), contains
        )
        found |= {id for id, prompt in connection.execute(prompts) if sought in prompt.lower()}
    return [row for row in rows if row.id in found]


def _kept(
    connection: sa.Connection,
    keys: Sequence[Key],
    wanted: Filter,
    hit: _Hit,
    after: sa.Row[Any] | None,
) -> set[Key]:
    """The sessions that were on no page before, and have cost enough."""
    kept = set(keys)
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        few = keys[start : start + _KEYS_AT_ONCE]
        in_few = _I.session_id.in_({key.session_id for key in few})
        rows = matching(in_few, *others(plain(wanted)))
        if after is not None:
            newer = sa.select(*keys_of(rows), rows.c.id).where(~before(after, rows.c), hit(rows.c))
            kept -= {key_of(row) for row in connection.execute(newer.distinct())}
        if wanted.min_cost is not None:
            total = cost_sums.sums(rows.c)[0]
            sums = sa.select(*keys_of(rows)).group_by(*keys_of(rows))
            dear = connection.execute(sums.having(total >= wanted.min_cost))
            kept -= set(few) - {key_of(row) for row in dear}
    return kept
