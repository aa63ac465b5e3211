"""Whose texts a viewer sees, by every query that has texts, on both databases."""

import pytest

from aibridged.core.looks import WHY_WITHHELD, WITHHELD, UnrecordedLookError, View
from aibridged.records.child_rows import KINDS
from aibridged.records.export import export_interceptions, export_sessions
from aibridged.records.facts import (
    ErrorSource,
    ErrorType,
    InterceptionEnd,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter
from aibridged.records.viewer import LookNotNotedError, Viewer

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
SECRETS = ("said-1", "thought-1", "argument-1", "broke-1", "quoted-1")
LONG = "x" * 20_000


@pytest.fixture
def fail(store, new_start, clock):
    """Writes a failed interception with a text of every kind, and returns its id."""

    def fail(initiator, source=ErrorSource.PROVIDER, session="s"):
        clock.advance(1)
        start = new_start(
            initiator_id=initiator, client_session_id=session, started_at=clock.wall()
        )

        def own():
            return {
                "id": uuid7(clock.wall()),
                "interception_id": start.id,
                "created_at": clock.wall(),
            }

        end = InterceptionEnd(
            interception_id=start.id,
            ended_at=clock.wall(),
            outcome=Outcome.FAILED,
            status_code=400,
            error_type=ErrorType.UNKNOWN,
            error_source=source,
            error_code="c",
            error_message="quoted-1",
        )
        facts = [
            UserPromptRecord(prompt="said-1", **own()),
            UserPromptRecord(prompt=f"said-1{LONG}", **own()),
            ModelThoughtRecord(content="thought-1", **own()),
            ToolUsageRecord(
                tool="ls", input="argument-1", invocation_error="broke-1", injected=True, **own()
            ),
            TokenUsageRecord(input_tokens=7, **own()),
            end,
        ]
        store.write([start], [])
        store.write([], facts)
        return start.id

    return fail


def flat(found):
    """All that a query has returned, as one text."""
    return repr(found)


def everything(query, id, session="s"):
    """What each of the queries returns that has texts."""
    wanted = Filter(session=session)
    return {
        "list": list(query.interceptions(wanted)),
        "preview": query.preview(id, wanted),
        "show": query.interception(id),
        "sessions": list(query.sessions(wanted)),
        "session": [each.collected() for each in query.session(session)],
        "export": [
            row for page in export_interceptions(query, wanted, with_texts=True) for row in page
        ],
        "export of sessions": [
            row for page in export_sessions(query, wanted, with_texts=True) for row in page
        ],
    }


@pytest.fixture
def looks():
    return []


@pytest.fixture
def admin(query, looks):
    """The queries of an administrator whose looks are noted."""
    return query.seen_by(Viewer(BOB, looks.append))


def test_ones_own_texts_are_shown_without_a_look(query, fail, looks):
    id = fail(ANN)
    for viewer in (Viewer(ANN), Viewer(ANN, looks.append)):
        for name, found in everything(query.seen_by(viewer), id).items():
            assert "said-1" in flat(found), name
            assert WITHHELD not in flat(found), name
    assert looks == []


def test_others_texts_are_withheld_and_nothing_else_is(query, fail):
    id = fail(ANN)
    for name, found in everything(query.seen_by(Viewer(BOB)), id).items():
        text = flat(found)
        assert WITHHELD in text, name
        assert not [secret for secret in SECRETS if secret in text], name
        assert "xxx" not in text, name
    found = query.seen_by(Viewer(BOB)).interception(id)
    assert found.texts_withheld == WHY_WITHHELD
    assert (found.error_message, found.error_code) == (WITHHELD, "c")
    assert found.tokens("input_tokens") == 7
    assert [(call["tool"], call["invocation_error"]) for call in found.tool_usages] == [
        ("ls", WITHHELD)
    ]
    assert [each["prompt"] for each in found.user_prompts] == [WITHHELD, WITHHELD]
    (session,) = query.seen_by(Viewer(BOB)).sessions(Filter())
    assert (session.texts_withheld, session.input_tokens) == (WHY_WITHHELD, 7)


def test_of_two_users_who_share_a_session_each_sees_their_own(query, fail):
    fail(ANN)
    mine = fail(BOB)
    for each in query.seen_by(Viewer(BOB)).interceptions(Filter()):
        assert (each.texts_withheld is None) is (each.id == mine)


def test_the_gateways_own_errors_quote_nothing(query, fail):
    id = fail(ANN, ErrorSource.GATEWAY)
    assert query.seen_by(Viewer(BOB)).interception(id).error_message == "quoted-1"


def test_each_look_at_others_is_noted_before_they_are_shown(admin, fail, looks):
    id = fail(ANN)
    fail(BOB)
    for name, found in everything(admin, id).items():
        assert "said-1" in flat(found), name
    lists = {"list": "interceptions", "session": "s"}
    sessions = {"list": "sessions", "session": "s"}
    assert [(each.view, each.subjects, each.what) for each in looks] == [
        (View.LIST, {ANN}, lists),
        (View.LIST, {ANN}, lists),
        (View.SHOW, {ANN}, {"interception": id}),
        (View.LIST, {ANN}, sessions),
        (View.SHOW, {ANN}, {"session": "s"}),
        (View.EXPORT, {ANN}, lists),
        (View.EXPORT, {ANN}, sessions),
    ]


def test_what_has_no_texts_is_no_look(admin, fail, looks):
    fail(ANN, ErrorSource.GATEWAY)
    (found,) = admin.interceptions(Filter(), with_texts=False)
    assert [len(getattr(found, kind)) for kind in KINDS] == [1, 0, 0, 0]
    (session,) = admin.sessions(Filter(), with_texts=False)
    assert (session.first_prompt, session.last_prompt) == (None, None)
    for export in (export_interceptions, export_sessions):
        pages = export(admin, Filter(), with_texts=False)
        assert "said-1" not in flat([row for page in pages for row in page])
    assert admin.count(Filter()).number == 1
    assert looks == []


def test_an_error_in_a_list_without_texts_is_a_look(admin, fail, looks):
    fail(ANN)
    (found,) = admin.interceptions(Filter(), with_texts=False)
    assert found.error_message == "quoted-1"
    assert [each.subjects for each in looks] == [{ANN}]


def test_a_look_that_cant_be_noted_shows_nothing(query, fail):
    id = fail(ANN)

    def note(look):
        raise UnrecordedLookError("the disk is full")

    blind = query.seen_by(Viewer(BOB, note))
    for ask in (
        lambda: list(blind.interceptions(Filter())),
        lambda: blind.preview(id, Filter()),
        lambda: blind.interception(id),
        lambda: list(blind.sessions(Filter())),
        lambda: list(blind.session("s")),
        lambda: list(export_interceptions(blind, Filter(), with_texts=True)),
        lambda: list(export_sessions(blind, Filter(), with_texts=True)),
    ):
        with pytest.raises(LookNotNotedError, match="the disk is full"):
            ask()
