"""Looks at others' texts in the audit log, on both databases."""

import pytest

from aibridged.core.looks import Look, UnrecordedLookError, View
from aibridged.identity.audit import AuditFilter, entries
from aibridged.identity.looks import AND_MORE, MOST, WINDOW_S, Looks
from aibridged.records.database import database_url, make_engine

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def looks(database, clock):
    return Looks(database.engine, clock)


@pytest.fixture
def rows(database):
    """The rows, oldest first: actor, action, target and what is told of it."""

    def rows():
        with database.engine.connect() as connection:
            found = list(entries(connection, AuditFilter(action="texts", limit=1000)))
        return [(each.actor, each.action, each.target, each.after) for each in reversed(found)]

    return rows


def look(*subjects, view=View.SHOW, **what):
    return Look(view, set(subjects), what)


def test_a_row_says_who_looked_at_whose_texts_of_what_and_by_what(looks, rows):
    looks.note("admin", "api", look(ANN, BOB, session="s"))
    looks.note(None, "cli", look(ANN, view=View.LIST, list="sessions"))
    told = {"by": "api", "session": "s"}
    assert rows()[:2] == [
        ("admin", "texts.show", ANN, told),
        ("admin", "texts.show", BOB, told),
    ]
    (actor, *row) = rows()[2]
    assert "(uid " in actor
    assert row == ["texts.list", ANN, {"by": "cli", "list": "sessions"}]


def test_the_same_look_has_one_row_within_the_window_whichever_process_looks(
    looks, rows, database, clock
):
    for each in (looks, looks, Looks(database.engine, clock)):
        each.note("admin", "api", look(ANN, session="s"))
        clock.advance(WINDOW_S / 3)
    assert len(rows()) == 1
    clock.advance(1)
    looks.note("admin", "api", look(ANN, session="s"))
    assert len(rows()) == 2


def test_what_differs_has_a_row_of_its_own(looks, rows):
    looks.note("admin", "api", look(ANN, session="s"))
    looks.note("other", "api", look(ANN, session="s"))
    looks.note("admin", "page", look(ANN, session="s"))
    looks.note("admin", "api", look(BOB, session="s"))
    looks.note("admin", "api", look(ANN, session="t"))
    looks.note("admin", "api", look(ANN, view=View.EXPORT, list="sessions"))
    assert len(rows()) == 6


def test_the_rows_of_a_walk_through_somebodys_texts_are_bounded(looks, rows, database, clock):
    for number in range(2 * MOST):
        looks.note("admin", "api", look(ANN, BOB, session=f"s-{number}"))
        Looks(database.engine, clock).note("admin", "api", look(ANN, session=f"s-{number}"))
    for subject in (ANN, BOB):
        told = [after for _, _, target, after in rows() if target == subject]
        assert len(told) == MOST
        assert [each.get(AND_MORE) for each in told] == [None] * (MOST - 1) + [True]


def test_a_look_that_cant_be_written_is_told(clock, tmp_path):
    url = database_url(tmp_path, "postgres://service:secret@127.0.0.1:1/internal")
    with pytest.raises(UnrecordedLookError, match="database") as raised:
        Looks(make_engine(url), clock).note("admin", "api", look(ANN, session="s"))
    assert "secret" not in str(raised.value)
