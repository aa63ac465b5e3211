"""Searches by a scan, on both databases."""

import pytest

from aibridged.core.looks import EVERYBODY, View
from aibridged.identity.groups import GroupStore
from aibridged.identity.user_store import UserStore
from aibridged.records import search as searches
from aibridged.records.facts import (
    ErrorSource,
    ErrorType,
    InterceptionEnd,
    Outcome,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter
from aibridged.records.viewer import Viewer

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def write(store, new_start, clock):
    """Writes an interception that has ended, a second after the one before, and returns its id."""

    def write(*prompts, tool=None, cost=None, error=None, ended=True, **fields):
        clock.advance(1)
        start = new_start(started_at=clock.wall(), **fields)

        def own():
            return {
                "id": uuid7(clock.wall()),
                "interception_id": start.id,
                "created_at": clock.wall(),
            }

        failed = {
            "error_type": ErrorType.SERVER_ERROR,
            "error_source": ErrorSource.PROVIDER,
            "error_code": error,
        }
        end = InterceptionEnd(
            interception_id=start.id,
            ended_at=clock.wall(),
            outcome=Outcome.COMPLETED if error is None else Outcome.FAILED,
            cost_nanos=cost,
            cost_label=cost and "exact",
            **(failed if error else {}),
        )
        facts = [UserPromptRecord(prompt=prompt, **own()) for prompt in prompts]
        if tool is not None:
            facts.append(ToolUsageRecord(tool=tool, input="{}", **own()))
        store.write([start], [])
        store.write([], [*facts, *([end] if ended else [])])
        return start.id

    return write


class Hurried:
    """A clock by which everything takes a second."""

    def __init__(self, clock):
        self._clock = clock
        self.wall = clock.wall

    def monotonic(self):
        self._clock.advance(1)
        return self._clock.monotonic()


@pytest.fixture
def few(monkeypatch):
    """Two interceptions are looked at in one go."""
    for name in ("_FEW", "_FIRST", "_MOST"):
        monkeypatch.setattr(searches, name, 2)


def ids(query, **fields):
    return [each.id for each in query.interceptions(Filter(**fields))]


def sessions(query, **fields):
    return [each.session_id for each in query.sessions(Filter(**fields))]


def test_a_text_is_found_in_any_prompt_whatever_its_case(query, write):
    found = write("unrelated", "Please FIX the Parser")
    of_open = write("fix the parser", ended=False)
    write("fix  the parser")
    write()
    for text in ("fix the parser", "FIX THE", "x the p"):
        assert ids(query, text=text) == [of_open, found]
    assert ids(query, text="fix the parser", limit=1) == [of_open]
    assert ids(query, text="nothing like it") == []


@pytest.mark.parametrize(
    "text", ["größe", "GRÖSSE", "ÖL", "öl", "Привет", "日本", "a_b", "50%", "c:\\d"]
)
def test_letters_of_all_alphabets_and_what_patterns_are_made_of(query, write, text):
    for each in (text, text.upper(), text.lower(), f"…{text.title()}…"):
        exact = text.lower() in each.lower()
        id = write(f"before {each} behind")
        assert (id in ids(query, text=text)) is exact
    write("gr__e", "axb", "500", "c:d", "__")
    assert all(
        text.lower() in prompt["prompt"].lower()
        for each in query.interceptions(Filter(text=text))
        for prompt in each.user_prompts
    )


def test_tools_errors_and_costs_are_found_with_other_filters(query, write):
    first = write("a", tool="Bash", cost=5, model="m1")
    second = write("b", tool="Bash", cost=9, model="m2", error="overloaded")
    third = write("b", tool="Read", cost=7, model="m2")
    assert ids(query, tool="Bash") == [second, first]
    assert ids(query, tool="Bash", model="m1") == [first]
    assert ids(query, tool="bash") == []
    assert ids(query, min_cost=7) == [third, second]
    for error in ("overloaded", "provider", "server_error"):
        assert ids(query, error=error) == [second]
    assert ids(query, error="overloaded", text="A") == []
    assert ids(query, error="overloaded", text="B", tool="Bash", min_cost=9) == [second]


def test_a_group_is_found_by_who_is_in_it_now(query, write, database, clock):
    mine, of_bob = write("a", initiator_id=ANN), write("a", initiator_id=BOB)
    users = UserStore(database.engine, clock)
    store = GroupStore(database.engine, clock)
    ann = users.create_user("ann")
    store.create("staff")
    store.add("staff", ["ann"])
    theirs = write("find me", initiator_id=ann.id, client_session_id="s")
    assert ids(query, group="staff") == [theirs]
    assert sessions(query, group="staff") == ["s"]
    assert ids(query, group="none") == ids(query, group="staff", text="a b c") == []
    assert ids(query) == [theirs, of_bob, mine]


def test_a_session_is_found_by_one_of_its_interceptions_and_has_whole_totals(query, write):
    write("find me", cost=10**9, client_session_id="one", tool="Bash")
    write("other", cost=10**9, client_session_id="two")
    write("more", cost=10**9, client_session_id="one")
    write("find me", cost=10**9, client_session_id="three", initiator_id=BOB)
    found = list(query.sessions(Filter(text="FIND ME")))
    assert [(each.session_id, each.interceptions, each.cost) for each in found] == [
        ("three", 1, 10**9),
        ("one", 2, 2 * 10**9),
    ]
    assert sessions(query, tool="Bash") == ["one"]
    assert sessions(query, min_cost=2 * 10**9) == ["one"]
    assert sessions(query, text="find me", min_cost=10**9 + 1) == ["one"]
    assert sessions(query, text="find me", initiator=BOB) == ["three"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_sessions_neither_repeat_nor_skip(query, write, few, limit):
    for number in range(24):
        write("find me" if number % 3 else "other", client_session_id=f"s{number * 7 % 10}")
    expected = sessions(query, text="find me", limit=100)
    assert len(expected) == 10
    seen, cursor = [], None
    while True:
        search = query.search()
        wanted = Filter(text="find me", limit=limit + 1, after_id=cursor)
        page = [each.session_id for each in query.sessions(wanted, search=search)]
        seen += page[:limit]
        cursor = search.cursor(min(len(page), limit), len(page) > limit)
        if cursor is None:
            break
    assert seen == expected


def test_a_page_ends_in_time_says_how_far_it_searched_and_goes_on(
    query, write, few, database, clock
):
    added = [write("find me" if number == 0 else "other") for number in range(7)]
    started = {each.id: each.started_at for each in query.interceptions(Filter())}
    hurried = type(query)(database.engine, Hurried(clock), Viewer(None, lambda look: None))
    for ask in (hurried.interceptions, hurried.sessions):
        pages, cursor = [], None
        while True:
            search = hurried.search()
            found = list(ask(Filter(text="find me", after_id=cursor), search=search))
            cursor = search.cursor(len(found), is_more=False)
            pages.append((len(found), search.until))
            if cursor is None:
                break
        ends = [started[added[number]] for number in (5, 3, 1)]
        assert pages == [*((0, until) for until in ends), (1, None)]


def test_only_texts_that_the_viewer_may_see_are_searched(query, write):
    mine = write("find me", initiator_id=BOB)
    write("find me", initiator_id=ANN)
    mine_alone = query.seen_by(Viewer(BOB))
    assert ids(mine_alone, text="find me") == [mine]
    assert sessions(mine_alone, text="find me") == [mine]
    assert len(ids(mine_alone, min_cost=None, model="claude")) == 2


def test_a_search_through_others_texts_is_noted_found_or_not(query, write):
    looks = []
    admin = query.seen_by(Viewer(BOB, looks.append))
    write("mine", initiator_id=BOB)
    ids(admin, text="nothing")
    assert looks == []  # there are no others
    write("of ann", initiator_id=ANN, username="ann")
    ids(admin, text="nothing", initiator=BOB)
    ids(admin, text="mine", owner=BOB)
    ids(admin, tool="nothing")
    assert looks == []
    ids(admin, text="nothing")
    sessions(admin, text="nothing", initiator=ANN, model="m")
    assert [(each.view, set(each.subjects), each.what) for each in looks] == [
        (View.SEARCH, {EVERYBODY}, {"list": "interceptions", "by_text": True}),
        (View.SEARCH, {ANN}, {"list": "sessions", "model": "m", "by_text": True}),
    ]
