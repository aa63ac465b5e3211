"""A session as a whole, streamed: for programs, and as Markdown for people; and single texts.

Texts are hostile: in Markdown each stands in a fence that is longer than any in it, and what
controls a terminal or can't be seen is written as its number.
"""

import re
from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any

import msgspec

from aibridged.api import shapes
from aibridged.api.json_stream import Chunks, noted, notes_of, session
from aibridged.api.session_interceptions import SessionCache, turn_break
from aibridged.core.cache_breaks import sentence
from aibridged.core.hidden_characters import HIDDEN
from aibridged.core.money import shown
from aibridged.counted import noun
from aibridged.records.cache_breaks import Broken
from aibridged.records.child_rows import FullInterception
from aibridged.records.query import Query
from aibridged.records.query_results import Filter, Row, Session

_encode = msgspec.json.Encoder().encode

TEXTS = {"user_prompts": "prompt", "model_thoughts": "content", "tool_usages": "input"}
"""The text that a child row is about, by its kind."""
_TICKS = re.compile("`+")
_SHORTEST_FENCE = 3
_UNSEEN = re.compile(f"[{HIDDEN}]")
_IN_A_LINE = re.compile(r"[\n\t]")


def whole(query: Query, id: str, owner: str | None) -> Chunks:
    """`SessionInterceptions` without a bound but time; nothing where there is none."""
    yield from session(query, id, owner, None, None)


def cache_breaks(
    query: Query, id: str, owner: str | None, after_id: str | None, limit: int
) -> Chunks:
    """`SessionCache`; nothing where there is no such session."""
    id = query.session_id(id, owner) or id
    ids = query.session_ids(id, owner, after_id=after_id, limit=limit + 1)
    if not ids and after_id is None:
        return
    page = ids[:limit]
    notes = notes_of(query, page)
    breaks = [
        turn_break(each, note.broken)
        for each in page
        if (note := notes.get(each)) is not None and note.broken is not None
    ]
    yield _encode(
        SessionCache(
            id=id, breaks=breaks, last_id=page[-1] if page else None, more=len(ids) > limit
        )
    )


def text(query: Query, id: str, owner: str | None, row_id: str) -> Chunks:
    """One text of an interception in UTF-8; nothing where there is none."""
    for each in query.full(id, owner):
        for kind, name in TEXTS.items():
            for row in each.rows(kind):
                if row["id"] == row_id:
                    # An empty text is one, too.
                    yield (row[name] or "").encode(errors="replace") or b"\n"
                    return


def markdown(query: Query, id: str, owner: str | None) -> Chunks:
    """The session in Markdown; nothing where there is none."""
    id = query.session_id(id, owner) or id
    wanted = Filter(session=id, owner=owner, limit=1)
    found = next(query.sessions(wanted, with_texts=False), None)
    if found is None:
        return
    for line in _head(found):
        yield line.encode(errors="replace")
    thread, number = None, 0
    ids = query.session_ids(id, owner)
    for each, note in noted(query, id, ids):
        root = each.found.thread_root_id or each.found.id
        if root != thread:
            thread, number = root, number + 1
            yield f"\n## Thread {number}\n".encode()
        for line in _turn(each, note.broken if note is not None else None):
            yield line.encode(errors="replace")


def _head(found: Session) -> Iterator[str]:
    yield f"# Session {in_line(found.session_id)}\n\n"
    yield f"- User: {in_line(found.username or found.initiator_id)}\n"
    yield f"- Client: {in_line(found.client)}\n"
    yield f"- Models: {', '.join(map(in_line, found.models))}\n"
    yield f"- From {_time(found.started_at)} to {_time(found.ended_at or found.last_at)}\n"
    yield f"- Requests: {found.interceptions:,}\n"
    yield f"- {_tokens(found)}\n"
    if found.cost_label is not None:
        yield f"- Cost: {shown(found.cost, found.cost_label)}\n"


def _turn(each: FullInterception, broken: Broken | None) -> Iterator[str]:
    found = each.found
    usages = list(each.rows("token_usages"))
    yield f"\n### {_time(found.started_at)}, {in_line(found.model)}\n\n"
    yield f"- Interception: {found.id}, {found.outcome or 'open'}\n"
    if usages:
        yield f"- {_tokens(_Sum(usages))}\n"
    if found.cost_label is not None:
        yield f"- Cost: {shown(found.cost, found.cost_label)}\n"
    if found.texts_withheld:
        yield f"- {found.texts_withheld}\n"
    if broken is not None:
        yield f"- Prompt cache: {_told(broken)}\n"
    if found.error_type is not None:
        yield f"- Error: {in_line(found.error_code or found.error_type)}\n"
        if found.error_message:
            yield from fenced(found.error_message)
    for title, kind in (("Prompt", "user_prompts"), ("Thought", "model_thoughts")):
        for row in each.rows(kind):
            yield f"\n{title}:\n"
            yield from fenced(row[TEXTS[kind]])
    for row in each.rows("tool_usages"):
        yield f"\nTool {in_line(row['tool'])}:\n"
        yield from fenced(row["input"])
        if row["invocation_error"]:
            yield "\nIt failed:\n"
            yield from fenced(row["invocation_error"])


class _Sum:
    """The tokens of several usages."""

    def __init__(self, usages: list[Row]) -> None:
        for name in shapes.Tokens.__struct_fields__:
            setattr(self, name, sum(row[name] for row in usages))


def _tokens(counts: Any) -> str:
    read = counts.cache_read_input_tokens
    given = counts.input_tokens + read + counts.cache_write_input_tokens
    return f"Tokens: {given:,} in ({read:,} from the cache), {counts.output_tokens:,} out"


def _told(broken: Broken) -> str:
    """A sentence about what broke the cache."""
    found = broken.found
    why = sentence(found.cause, found.seconds, found.difference)
    cost = f", {shown(broken.cost, broken.cost_label)}" if broken.cost_label is not None else ""
    return f"{found.lost_tokens:,} {noun(found.lost_tokens, 'token')} lost{cost}: {why}"


def fenced(text: str) -> Generator[str]:
    """A block of text that nothing in it can end."""
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=0)
    fence = "`" * max(_SHORTEST_FENCE, longest + 1)
    yield f"\n{fence}text\n"
    yield _seen(text)
    yield f"\n{fence}\n"


def in_line(text: str) -> str:
    """A text as code within a line, which nothing in it can end."""
    ticks = "`" * (max((len(found) for found in _TICKS.findall(text)), default=0) + 1)
    pad = " " if text[:1] in ("`", " ", "") or text[-1:] in ("`", " ") else ""
    return f"{ticks}{pad}{_IN_A_LINE.sub(' ', _seen(text))}{pad}{ticks}"


def _seen(text: str) -> str:
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
