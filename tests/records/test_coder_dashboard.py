"""Queries like those of Coder's Grafana dashboard, with the view that docs/ shows."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from aibridged.identity import tables
from aibridged.records.response_records import response_records
from aibridged.wire.facts import ResponseFacts, TokenUsage

DOCS = Path(__file__).parents[2] / "docs" / "coder-compatibility.md"
ANN, BOB, EVE = (f"00000000-0000-4000-8000-00000000000{each}" for each in "abe")

# What Grafana makes of $__timeFilter(i.started_at) and of the four variables.
MATCH = """
    i.started_at BETWEEN '2020-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'
    AND u.username ~ '(ann|bob)' AND i.provider ~ '.+' AND i.model ~ '.+' AND i.client ~ '.+'
"""
JOINED = "aibridge_interceptions i JOIN users u ON i.initiator_id = u.id"
TOKENS = """
    sum(t.input_tokens), sum(t.output_tokens),
    sum(coalesce(t.metadata->>'cache_read_input', t.metadata->>'prompt_cached')::int),
    sum((t.metadata->>'cache_creation_input')::int)
"""
TABLE = JOINED.replace(" JOIN", " ON {}.interception_id = i.id JOIN")
USAGES = f"aibridge_token_usages t JOIN {TABLE.format('t')}"
HOUR = "floor(extract(epoch FROM i.started_at) / 3600) * 3600"

PANELS = {
    "totals": (f"SELECT {TOKENS} FROM {USAGES} WHERE {MATCH}", [(33, 11, 70, 5)]),
    "users": (
        f"SELECT u.username, {TOKENS} FROM {USAGES} WHERE {MATCH} GROUP BY u.username ORDER BY 1",
        [("ann", 13, 6, 70, 5), ("bob", 20, 5, None, None)],
    ),
    "models": (
        f"SELECT i.model, count(*) FROM {JOINED} WHERE {MATCH} GROUP BY i.model ORDER BY 1",
        [("a", 1), ("b", 1)],
    ),
    "clients": (
        f"SELECT i.client, count(*) FROM {JOINED} WHERE {MATCH} GROUP BY i.client ORDER BY 1",
        [("Claude Code", 1), ("Codex", 1)],
    ),
    "cost": (
        f"SELECT i.provider, i.model, {TOKENS} FROM {USAGES} WHERE {MATCH}"
        " GROUP BY i.provider, i.model ORDER BY 2",
        [("anthropic", "a", 13, 6, 70, 5), ("anthropic", "b", 20, 5, None, None)],
    ),
    "count": (
        # Its columns bear no table's name: none may be the view's as well.
        "SELECT count(*) FROM aibridge_interceptions LEFT JOIN users u ON initiator_id = u.id"
        " WHERE started_at > '2020-01-01' AND provider ~ '.+' AND model ~ '.+' AND client ~ '.+'"
        " AND u.username ~ 'ann'",
        [(1,)],
    ),
    "time": (
        f"SELECT {HOUR} AS time, count(i.id), u.username FROM {JOINED} WHERE {MATCH}"
        f" GROUP BY u.username, {HOUR} ORDER BY {HOUR}, u.username",
        [(1767225600, 1, "ann"), (1767225600, 1, "bob")],
    ),
    "prompts": (
        "SELECT u.username, i.client, i.provider, i.model, p.prompt FROM aibridge_user_prompts p"
        f" JOIN {TABLE.format('p')} WHERE {MATCH}"
        " ORDER BY p.created_at DESC",
        [
            ("bob", "Codex", "anthropic", "b", "prompt of b"),
            ("ann", "Claude Code", "anthropic", "a", "prompt of a"),
        ],
    ),
    "tools": (
        "SELECT u.username, t.server_url, t.tool, t.input, t.invocation_error"
        f" FROM aibridge_tool_usages t JOIN {TABLE.format('t')} WHERE {MATCH}"
        " ORDER BY t.created_at DESC",
        [("ann", None, "ls", "{}", None)],
    ),
    "its users": (
        "SELECT username FROM users WHERE deleted = false ORDER BY 1",
        [(EVE,), ("ann",)],
    ),
}


@pytest.fixture
def database(postgres_database):
    return postgres_database


@pytest.fixture
def connection(database, store, add, clock):
    """Records of two users, one of whom has been deleted since, and of one who was never known."""
    ann = add(initiator_id=ANN, username="ann", model="a", client="Claude Code", call="c")
    cached = ResponseFacts(response_id="r", usage=TokenUsage(3, 1, 70, 5))
    store.write([], response_records(ann, cached, clock.wall()))
    clock.advance(1)
    add(initiator_id=BOB, username="bob", model="b", client="Codex", input=20)
    add(initiator_id=EVE, model="x")
    user = {"name": "", "status": "active", "is_admin": False, "created_at": clock.wall()}
    with database.engine.begin() as connection:
        for id, name, deleted_at in ((ANN, "ann", None), (BOB, "bob", clock.wall())):
            values = {"id": id, "username": name, "deleted_at": deleted_at, **user}
            connection.execute(tables.users.insert().values(values))
        [view] = re.findall(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
        connection.execute(sa.text(view))
        yield connection


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel(connection, panel):
    query, expected = PANELS[panel]
    assert [tuple(row) for row in connection.execute(sa.text(query))] == expected
