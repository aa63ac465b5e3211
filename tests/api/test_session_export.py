"""A session as a whole, single texts, and where it lost the cache; texts are hostile."""

import re

import msgspec
import pytest

from aibridged.api import json_stream, session_export
from aibridged.api.session_interceptions import SessionCache, SessionInterceptions
from aibridged.core.prices import Cost, Label, Priced
from aibridged.records.facts import (
    ErrorSource,
    ErrorType,
    InterceptionEnd,
    InterceptionStart,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.store import Store
from tests.viewers import EVERYTHING

ANN = "00000000-0000-4000-8000-00000000000a"


def price(provider, models, at, usage, asked):
    return Priced(Cost(10 * (usage.input + usage.cache_write) + usage.cache_read, Label.EXACT))


@pytest.fixture
def query(sqlite_database, clock):
    return Query(sqlite_database.engine, clock, EVERYTHING, price=price)


@pytest.fixture
def add(sqlite_database, clock):
    """Writes a turn of the session s, which answers the one before; returns its id."""
    store = Store(sqlite_database.engine)
    store.connect()
    count = 0

    def add(text="hm", *, tool="ls", model="claude", written=20_000, error=None, **more):
        nonlocal count
        clock.advance(10)
        start = InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id=ANN,
            username=more.get("username", "ann"),
            provider="anthropic",
            provider_name="anthropic",
            model=model,
            client_session_id=more.get("session", "s"),
            started_at=clock.wall(),
            tool_result_ids=(f"call {count}",),
        )
        count += 1
        own = {"interception_id": start.id, "created_at": clock.wall()}
        end = InterceptionEnd(
            interception_id=start.id, ended_at=clock.wall(), outcome=Outcome.COMPLETED
        )
        if error is not None:
            end = msgspec.structs.replace(
                end,
                outcome=Outcome.FAILED,
                error_type=ErrorType.OVERLOADED,
                error_source=ErrorSource.PROVIDER,
                error_code="overloaded",
                error_message=error,
            )
        store.write([start], [])
        facts = (
            UserPromptRecord(id=uuid7(clock.wall()), prompt=text, **own),
            ModelThoughtRecord(id=uuid7(clock.wall()), content=text, **own),
            TokenUsageRecord(id=uuid7(clock.wall()), cache_write_input_tokens=written, **own),
            ToolUsageRecord(
                id=uuid7(clock.wall()),
                tool=tool,
                input=text,
                provider_tool_call_id=f"call {count}",
                **own,
            ),
            end,
        )
        store.write([], facts)
        return start.id

    yield add
    store.close()


def read(chunks, shape):
    return msgspec.json.decode(b"".join(chunks), type=shape)


def test_breaks_are_listed_page_by_page(query, add):
    ids = [add(), add(), add(model="other"), add(model="other", written=500)]
    found = read(session_export.cache_breaks(query, "s", None, None, 2), SessionCache)
    assert ([each.id for each in found.breaks], found.last_id, found.more) == (
        [ids[1]],
        ids[1],
        True,
    )
    [broken] = found.breaks
    assert (broken.before_id, broken.cause, broken.lost_tokens) == (ids[0], "unknown", 20_000)
    assert (broken.seconds, broken.cost, broken.cost_label) == (10, "0.00018", "exact")
    found = read(session_export.cache_breaks(query, "s", ANN, ids[1], 2), SessionCache)
    assert ([each.cause for each in found.breaks], found.more) == (["model_changed"], False)
    found = read(session_export.cache_breaks(query, "s", ANN, ids[3], 2), SessionCache)
    assert (found.breaks, found.last_id, found.more) == ([], None, False)
    assert b"".join(session_export.cache_breaks(query, "s", "bob", None, 2)) == b""


def test_interceptions_of_a_session_tell_of_them(query, add):
    ids = [add(), add()]
    found = read(json_stream.session(query, "s", None, None, 9), SessionInterceptions)
    turns = {turn.id: turn for thread in found.threads for turn in thread.interceptions}
    assert [turns[id].cache_break and turns[id].cache_break.lost_tokens for id in ids] == [
        None,
        20_000,
    ]


@pytest.mark.parametrize("length", [20, 40_000])
def test_texts_are_cut_where_that_is_asked_for(query, add, length):
    add("é" * length)
    [thread] = read(
        json_stream.session(query, "s", None, None, 9, 10),
        SessionInterceptions,
    ).threads
    [turn] = thread.interceptions
    for text, row in (
        (thread.prompt, turn.user_prompts[0]),
        (turn.user_prompts[0].prompt, turn.user_prompts[0]),
        (turn.model_thoughts[0].content, turn.model_thoughts[0]),
        (turn.tool_usages[0].input, turn.tool_usages[0]),
    ):
        assert (text, row.truncated) == ("é" * 10, True)
    [thread] = read(
        json_stream.session(query, "s", None, None, 9, 20_000),
        SessionInterceptions,
    ).threads
    row = thread.interceptions[0].user_prompts[0]
    assert (len(row.prompt), row.truncated) == (min(length, 20_000), length > 20_000)


def test_a_whole_session_has_no_pages(query, add, monkeypatch):
    monkeypatch.setattr(json_stream, "PAGE_BYTES", 10)
    monkeypatch.setattr(json_stream, "_NOTED_AT_ONCE", 2)
    ids = [add() for _ in range(5)]
    found = read(session_export.whole(query, "s", ANN), SessionInterceptions)
    assert [turn.id for thread in found.threads for turn in thread.interceptions] == ids
    assert not found.more
    assert b"".join(session_export.whole(query, "s", "bob")) == b""


def test_a_text_is_had_as_it_is(query, add):
    text = "<script>\n\x1b[31m\u202e" + "x" * 100_000
    id = add(text)
    found = query.interception(id)
    for kind in ("user_prompts", "tool_usages", "model_thoughts"):
        [row] = getattr(found, kind)
        assert b"".join(session_export.text(query, id, ANN, row["id"])).decode() == text
    assert b"".join(session_export.text(query, id, ANN, "other")) == b""
    assert b"".join(session_export.text(query, id, "bob", row["id"])) == b""


HOSTILE = [
    "plain",
    "```\n# A heading\n```",
    "`````",
    "~~~\n</pre><script>alert(1)</script>\n~~~",
    "a\r\n\x1b[31mred\x1b[0m \u202eright\u202c\u200b\ud83d",
    "",
    "    indented",
    "ends with ticks ```",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_out_of_its_fence(text):
    lines = "".join(session_export.fenced(text)).split("\n")
    assert lines[0] == ""
    fence = re.fullmatch("(`{3,})text", lines[1])[1]
    assert lines[-2] == fence
    inside = lines[2:-2]
    assert not any(line.strip().startswith(fence) for line in inside)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b\u202c\u202e\ud800-\udfff]", "".join(inside))


@pytest.mark.parametrize("text", [*HOSTILE, "`", "a`b", "``", "a\nb\n\n# c", " "])
def test_no_name_breaks_out_of_its_line(text):
    shown = session_export.in_line(text)
    assert "\n" not in shown
    assert "\r" not in shown
    ticks = re.match("`+", shown)[0]
    assert shown.endswith(ticks)
    inside = shown[len(ticks) : -len(ticks)]
    assert ticks not in re.findall("`+", inside)
    assert len(inside) > 0


def test_a_session_in_markdown(query, add):
    add("```\nbreak out", username="ann`\n# x", tool="a`b")
    add("second", error="Over```loaded")
    told = b"".join(session_export.markdown(query, "s", ANN)).decode()
    lines = told.splitlines()
    assert lines[0] == "# Session `s`"
    headings = [line for line in lines if line.startswith("#")]
    assert headings[1:] == [
        "## Thread 1",
        "### 2026-01-01 00:00:10 UTC, `claude`",
        "### 2026-01-01 00:00:20 UTC, `claude`",
    ]
    assert "- Prompt cache: 20,000 tokens lost, $0.0002: the blocks aren't on record" in lines
    assert "Tool ``a`b``:" in lines
    assert "````text\n```\nbreak out\n````" in told
    assert "- Error: `overloaded`" in lines
    assert b"".join(session_export.markdown(query, "s", "bob")) == b""
