"""Rows of the audit log: bounded, and by whom."""

import os

import sqlalchemy as sa

from aibridged.identity import audit
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
