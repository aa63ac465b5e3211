"""Rows of the audit log: bounded, and by whom."""

import os
from datetime import timedelta

import pytest
import sqlalchemy as sa

from aibridged.identity import audit
from aibridged.identity.people import People
from aibridged.identity.tables import MAX_ACTION, MAX_ACTOR
from aibridged.identity.tables import audit as table


def test_every_text_is_cut_to_its_column(engine, clock):
    with engine.begin() as connection:
        for state in (None, {"a": 1}):
            audit.record(
                connection,
                at=clock.wall(),
                actor="a" * 1000,
                action="b" * 1000,
                target="c" * 1000,
                after=state,
            )
        first, second = connection.execute(sa.select(table).order_by(table.c.id)).all()
    assert [len(text) for text in first[2:5]] == [MAX_ACTOR, MAX_ACTION, MAX_ACTOR]
    assert (first.before, first.after, second.after) == (None, None, {"a": 1})


def test_a_command_is_its_users(monkeypatch):
    monkeypatch.setenv("LOGNAME", "someone")
    uid = os.geteuid()
    assert audit.system_user({}) == f"someone (uid {uid})"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert audit.system_user({"SUDO_USER": "ann"}) == "someone (uid 0), sudo by ann"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert audit.system_user({"SUDO_USER": "ann"}) == "someone (uid 1000)"


@pytest.fixture
def add(engine, clock):
    """Appends a row, a minute after the one before."""

    def add(actor="root", action="user.edit", target="1", **states):
        clock.advance(60)
        with engine.begin() as connection:
            audit.record(
                connection, at=clock.wall(), actor=actor, action=action, target=target, **states
            )

    return add


@pytest.fixture
def find(engine):
    def find(**wanted):
        wanted = audit.AuditFilter(**wanted)
        with engine.connect() as connection:
            found = list(audit.entries(connection, wanted))
            assert audit.count(connection, wanted) >= len(found)
        return found

    return find


def test_rows_are_found_by_each_filter_the_newest_first(add, find, clock):
    start = clock.wall()
    add(actor="ann (uid 5)", action="user.create", target="a_b")
    add(actor="bob (uid 6)", action="user.edit", target="axb")
    add(actor="bob (uid 6)", action="username", target="c")
    assert [row.target for row in find()] == ["c", "axb", "a_b"]
    assert [row.target for row in find(actor="ann")] == ["a_b"]
    assert find(actor="_nn") == find(actor="%") == []
    assert [row.target for row in find(action="user")] == ["axb", "a_b"]
    assert [row.target for row in find(action="user.edit")] == ["axb"]
    assert [row.target for row in find(target="a_b")] == ["a_b"]
    after, before = start + timedelta(seconds=120), start + timedelta(seconds=180)
    assert [row.target for row in find(started_after=after, started_before=before)] == ["axb"]


def test_pages_follow_each_other(add, find):
    for number in range(5):
        add(target=str(number))
    pages, after = [], None
    while page := find(limit=2, after_id=after):
        pages.append([row.target for row in page])
        after = page[-1].id
    assert pages == [["4", "3"], ["2", "1"], ["0"]]


def test_users_and_tokens_are_found_by_the_username(store, find):
    ann = store.create_user("ann")
    info, _ = store.create_token("ann", name="", lifetime=None)
    store.create_user("bob")
    assert [(row.action, row.target, row.username) for row in find(target="ann")] == [
        ("token.create", info.id, "ann"),
        ("user.create", ann.id, "ann"),
    ]
    assert [row.username for row in find()] == ["bob", "ann", "ann"]


def test_changes_of_limits_and_groups_are_found_by_those_whom_they_are_of(store, add, find):
    ann, bob = store.create_user("ann"), store.create_user("bob")
    add(action="spend_limit.upsert", target="spl_1", after={"user": ann.id})
    add(action="group.members", target="g", before={"members": [bob.id]}, after={"members": []})
    assert [row.target for row in find(target="ann")] == ["spl_1", ann.id]
    assert [row.target for row in find(target="bob")] == ["g", bob.id]


def test_old_rows_are_pruned_little_by_little(add, find, engine, clock, monkeypatch):
    monkeypatch.setattr(audit, "PRUNED_AT_ONCE", 2)
    for number in range(6):
        add(target=str(number))
    commits = []
    sa.event.listen(engine, "commit", commits.append)
    assert audit.prune(engine, clock.wall()) == 5
    assert len(commits) == 3
    assert [row.target for row in find()] == ["5"]


def test_what_was_there_is_bounded(add, find):
    add(before={"text": "x" * audit.MAX_STATE_BYTES}, after={})
    [row] = find()
    assert row.before == {"bytes_left_out": audit.MAX_STATE_BYTES + 11}
    assert row.after == {}


def test_an_erased_users_names_are_not_in_it(store, add, find, engine, clock):
    ann = store.create_user("ann", name="Ann A.", email="ann@example.com")
    info, _ = store.create_token("ann", name="anns-laptop", lifetime=None)
    store.create_user("bob", name="Bob")
    add(actor="ann", action="sign_in.create", target=ann.id, after={"client": "anns"})
    people = People(engine, clock)
    [person] = people.find("ann", [])
    people.revoke(person)
    people.forget(person, actor="root", before={"open": 1}, after={}, completely=True)
    rows = {row.target: row for row in find(action="user.create") + find(action="token")}
    assert (rows[ann.id].after, rows[ann.id].username) == (None, None)
    assert rows[info.id].after is None
    [kept] = [row for row in rows.values() if row.username == "bob"]
    assert kept.after["name"] == "Bob"
    [own] = find(action="sign_in")
    assert (own.actor, own.target, own.after) == (ann.id, ann.id, None)
    [erased] = find(action="user.erase")
    assert (erased.target, erased.before) == (ann.id, {"open": 1})
    assert "ann" not in repr(find())
