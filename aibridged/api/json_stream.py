"""Streaming JSON responses: encoded row by row as the database is read, never whole in memory.

A page ends early once it has `PAGE_BYTES`, but never before its first item, so that a client can
always page on. All of these block, and belong in a thread.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TypeVar

import msgspec

from aibridged.api import shapes
from aibridged.api.session_interceptions import PromptNotes, prompt_notes
from aibridged.identity.audit import (
    AuditEntry,
    AuditFilter,
    count,
    entries,
    ids_of_users,
    usernames,
)
from aibridged.records import cost_sums
from aibridged.records.cache_breaks import CacheNote, find_notes
from aibridged.records.child_rows import FullInterception
from aibridged.records.counts import Counted
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, Row, UsageBy
from aibridged.records.search import Search, is_search
from aibridged.records.viewer import TEXTS

PAGE_BYTES = 8 * 1024 * 1024
_NOTED_AT_ONCE = 100

T = TypeVar("T")
Chunks = Generator[bytes]
_Page = Generator[bytes, None, bool]  # whether there is another page

_encode = msgspec.json.Encoder().encode


def interceptions(query: Query, wanted: Filter) -> Chunks:
    """`shapes.Interceptions`."""
    search = query.search()
    found = _Taken(query.interceptions(_one_more(wanted), search=search))
    page = _page(found, wanted.limit, lambda each: [_encode(shapes.interception(each))])
    return _listed(query.count(wanted), "results", page, found, search, wanted)


def sessions(query: Query, wanted: Filter) -> Chunks:
    """`shapes.Sessions`."""
    search = query.search()
    found = _Taken(query.sessions(_one_more(wanted), search=search))
    page = _page(found, wanted.limit, lambda each: [_encode(shapes.session(each))])
    return _listed(query.count_sessions(wanted), "sessions", page, found, search, wanted)


def found(query: Query, text: str, owner: str | None) -> Chunks:
    """`shapes.Found`; nothing where there is none."""
    if (known := query.find(text, owner)) is not None:
        yield _encode(shapes.Found(kind=known.kind, id=known.id, session_id=known.session_id))


def usage(query: Query, by: Sequence[UsageBy], wanted: Filter, sort: str | None) -> Chunks:
    """`shapes.Usages`."""
    found, total = query.usage_and_total(by, _one_more(wanted), sort)
    yield b'{"usage":['
    more = yield from _page(found, wanted.limit, lambda each: [_encode(shapes.usage(each))])
    yield b'],"total":%s,"more":%s}' % (_encode(shapes.usage(total)), _encode(more))


def interception(query: Query, id: str, owner: str | None, characters: int | None = None) -> Chunks:
    """`shapes.Interception`, with so many `characters` of a text; nothing where there is none."""
    for each in query.full(id, owner, characters=characters):
        yield from _whole(each, _Threads(characters).note)


def session(
    query: Query,
    id: str,
    owner: str | None,
    after_id: str | None,
    limit: int | None,
    characters: int | None = None,
) -> Chunks:
    """`SessionInterceptions`; nothing where there is none. Without a limit it is all of it.

    A page after the last one is empty; a session never is. So many `characters` are shown of each
    text, all by default.
    """
    id = query.session_id(id, owner) or id
    one_more = None if limit is None else limit + 1
    ids = query.session_ids(id, owner, after_id=after_id, limit=one_more)
    if not ids and after_id is None:
        return
    yield b'{"id":%s,"threads":[' % _encode(id)
    threads = _Threads(characters)
    found = noted(query, id, ids[:limit], characters)
    more = yield from _page(found, one_more, threads.chunks, separator=b"")
    yield from threads.end()
    yield b'],"more":%s}' % _encode(more or (limit is not None and len(ids) > limit))


def noted(
    query: Query, session_id: str, ids: Sequence[str], characters: int | None = None
) -> Iterator[tuple[FullInterception, CacheNote | None]]:
    """A session's interceptions with these ids, each with what is known of its prompt."""
    places = {id: place for place, id in enumerate(ids)}
    notes: Mapping[str, CacheNote] = {}
    known = 0
    for each in query.each_of(session_id, ids, characters=characters):
        while places[each.found.id] >= known:
            notes = notes_of(query, ids[known : known + _NOTED_AT_ONCE])
            known += _NOTED_AT_ONCE
        yield each, notes.get(each.found.id)


def notes_of(query: Query, ids: Sequence[str]) -> Mapping[str, CacheNote]:
    """What is known of the prompts of these interceptions, by their ids."""
    with query.reading() as connection:
        return find_notes(connection, ids, query.price)


def audit(query: Query, wanted: AuditFilter) -> Chunks:
    """`shapes.Audit`."""
    one_more = msgspec.structs.replace(wanted, limit=wanted.limit + 1)
    names: dict[str, str] = {}
    with query.reading() as connection:

        def encoded(entry: AuditEntry) -> list[bytes]:
            if unknown := ids_of_users([entry]) - names.keys():
                names.update(usernames(connection, unknown))
            return [_encode(shapes.audit_row(entry, names))]

        total = count(connection, wanted)
        with closing(entries(connection, one_more)) as found:
            page = _page(found, wanted.limit, encoded)
            yield from _list(total, "results", page)


def names(found: list[str]) -> Chunks:
    """A JSON list of names."""
    yield _encode(found)


def _one_more(wanted: Filter) -> Filter:
    """The filter with room for one more item, which shows whether there is another page."""
    return msgspec.structs.replace(wanted, limit=wanted.limit + 1)


class _Taken(Iterator[T]):
    """An iterator that counts what is taken."""

    def __init__(self, found: Iterator[T]) -> None:
        self.count = 0
        self._found = found

    def __next__(self) -> T:
        each = next(self._found)
        self.count += 1
        return each


def _listed(
    counted: Counted,
    name: str,
    page: _Page,
    found: _Taken[T],
    search: Search,
    wanted: Filter,
) -> Chunks:
    """`shapes.Listed` with the page."""
    yield b'{"%s":[' % name.encode()
    is_cut = yield from page
    shown = found.count - is_cut
    cursor = search.cursor(shown, is_cut) if is_search(wanted) else None
    there_are = max(counted.number, wanted.offset + shown)
    listed = shapes.Listed(
        count=there_are,
        count_is_exact=counted.is_exact,
        more=is_cut or cursor is not None,
        searched_until=None if is_cut else search.until,
        search_cursor=cursor,
    )
    yield b"],%s" % _encode(listed)[1:]


def _list(count: int, name: str, page: _Page) -> Chunks:
    yield b'{"count":%d,"%s":[' % (count, name.encode())
    more = yield from page
    yield b'],"more":%s}' % _encode(more)


def _page(
    found: Iterable[T],
    limit: int | None,
    chunks_of: Callable[[T], Iterable[bytes]],
    *,
    separator: bytes = b",",
) -> _Page:
    size = 0
    for number, each in enumerate(found):
        if limit is not None and (number == limit or size >= PAGE_BYTES):
            return True
        if number:
            yield separator
        for chunk in chunks_of(each):
            size += len(chunk)
            yield chunk
    return False


def _whole(
    each: FullInterception,
    note: Callable[[str, Row], object] = lambda name, row: None,
    notes: PromptNotes | None = None,
) -> Chunks:
    """`shapes.Interception`, row by row; `note` is called with each row."""
    yield _encode(shapes.interception_head(each.found))[:-1]
    for name in shapes.CHILD_KINDS:
        yield b',"%s":[' % name.encode()
        for number, row in enumerate(each.rows(name)):
            if number:
                yield b","
            note(name, row)
            yield _encode(shapes.row(name, each.found.id, row))
        yield b"]"
    yield b"}" if notes is None else b",%b" % _encode(notes)[1:]


class _Threads:
    """The threads of a session, `ThreadInterceptions` each.

    A thread's totals are known once its interceptions have been written.
    """

    def __init__(self, characters: int | None = None) -> None:
        self._characters = characters
        self._id: str | None = None
        self._is_first_of_thread = True
        self._prompt: str | None = None
        self._error: tuple[str | None, str | None] = None, None
        self._tokens = dict.fromkeys(shapes.Tokens.__struct_fields__, 0)
        self._cost = cost_sums.NOTHING

    def chunks(self, noted: tuple[FullInterception, CacheNote | None]) -> Chunks:
        """The next interception, and the JSON before it."""
        each, cache = noted
        id = each.found.thread_root_id or each.found.id
        self._is_first_of_thread = id != self._id
        if self._is_first_of_thread:
            if self._id is not None:
                yield from self.end()
                yield b","
            self._id, self._prompt, self._error = id, None, (None, None)
            self._tokens = dict.fromkeys(shapes.Tokens.__struct_fields__, 0)
            self._cost = cost_sums.NOTHING
            yield b'{"id":%s,"interceptions":[' % _encode(id)
        else:
            yield b","
        if each.found.id == id:
            self._error = each.found.error_type, each.found.error_message
        self._cost = cost_sums.added(self._cost, each.found.cost, each.found.cost_label)
        yield from _whole(each, self.note, prompt_notes(cache))

    def end(self) -> Chunks:
        """The JSON after the last interception of a thread."""
        if self._id is not None:
            prompt, tokens = _encode(self._prompt), _encode(shapes.Tokens(**self._tokens))
            kind, message = map(_encode, self._error)
            yield b'],"error_type":%s,"error_message":%s' % (kind, message)
            yield b',"prompt":%s,"token_usage":%s,' % (prompt, tokens)
            yield _encode(shapes.cost(*self._cost))[1:]

    def note(self, name: str, row: Row) -> None:
        """Count and cut a row of an interception."""
        if name == "token_usages":
            for column in self._tokens:
                self._tokens[column] += row[column]
        else:
            if self._characters is not None:
                shorten(row, self._characters)
            if name == "user_prompts" and self._is_first_of_thread:
                self._prompt = row["prompt"]


def shorten(row: Row, characters: int) -> None:
    """Leave so many characters of each text of a row."""
    for name in _TEXTS & row.keys():
        text = row[name]
        if text is not None and len(text) > characters:
            row[name], row["truncated"] = text[:characters], True


_TEXTS = {name for names in TEXTS.values() for name in names}
