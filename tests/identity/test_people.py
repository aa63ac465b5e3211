"""A person is found by name or id, and forgotten; others of the same name are not."""

import pytest
import sqlalchemy as sa

from aibridged.identity.people import ERASE, People, Person
from aibridged.identity.tables import (
    audit,
    identities,
    refresh_tokens,
    sign_ins,
    tokens,
    users,
)


@pytest.fixture
def people(engine, clock):
    return People(engine, clock)


def rows(engine, table):
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def forget(people, person, *, completely=True):
    people.forget(person, actor="root", before={"open": 1}, after={}, completely=completely)


def test_everyone_who_had_the_name_is_found(people, store, clock):
    first = store.create_user("alice")
    store.delete_user("alice")
    clock.advance(60)
    second = store.create_user("alice")
    store.create_user("bob")
    found = people.find("alice", [first.id, "of-coder"])
    assert {person.id for person in found} == {first.id, second.id, "of-coder"}
    assert found[-1] == Person("of-coder")
    assert {person.deleted_at is None for person in found[:-1]} == {True, False}
    assert [person.id for person in people.find(first.id, [])] == [first.id]
    assert people.find("carol", []) == []


def test_nothing_of_the_user_is_left_but_the_audit_row(people, store, engine, clock):
    alice = store.create_user("alice", name="Alice A.", email="alice@example.com")
    store.create_user("bob")
    store.create_token("alice", name="laptop", lifetime=None)
    store.create_token("bob", name="bobs", lifetime=None)
    [person] = people.find("alice", [])
    people.revoke(person)
    assert [row["name"] for row in rows(engine, tokens)] == ["bobs"]
    [left] = [row for row in rows(engine, users) if row["username"] == "alice"]
    assert (left["name"], left["email"], left["deleted_at"]) == ("", None, clock.wall())
    forget(people, person)
    assert [row["username"] for row in rows(engine, users)] == ["bob"]
    row = rows(engine, audit)[-1]
    del row["id"]
    assert row == {
        "at": clock.wall(),
        "actor": "root",
        "action": ERASE,
        "target": alice.id,
        "before": {"open": 1},
        "after": {},
    }


def test_as_long_as_records_are_left_the_user_can_be_found(people, store, engine):
    store.create_user("alice")
    [person] = people.find("alice", [])
    people.revoke(person)
    forget(people, person, completely=False)
    [again] = people.find("alice", [])
    assert again.id == person.id
    assert again.deleted_at is not None
    forget(people, again)
    assert [row["action"] for row in rows(engine, audit)] == ["user.create", ERASE, ERASE]


def test_who_is_of_another_backend_is_forgotten_too(people, engine):
    people.revoke(Person("of-coder"))
    forget(people, Person("of-coder"))
    assert [row["target"] for row in rows(engine, audit)] == ["of-coder"]


def test_who_has_signed_in_leaves_nothing(people, engine, sign_in):
    sign_in()
    (person,) = people.find("ann", [])
    people.revoke(person)
    forget(people, person)
    for table in (sign_ins, refresh_tokens, identities, tokens, users):
        assert rows(engine, table) == []
