"""Each list in terminals of 80 and 140 columns, as it was reviewed, and whole in a pipe.

To accept a change: AIBRIDGED_WRITE_GOLDEN=1 pytest tests/cli/test_tables.py, and read it.
"""

import importlib
import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.cli.table import width
from aibridged.identity import user_store
from aibridged.identity.groups import GroupStore
from aibridged.identity.tables import audit, tokens
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import UserEdit
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    Outcome,
    TokenUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query_results import Filter
from aibridged.records.store import Store
from tests.cli.conftest import TERMINALS

tail = importlib.import_module("aibridged.cli.tail")

GOLDEN = Path(__file__).parent / "golden" / "tables"

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
USERS = "f9e113f0-b9b4-4c3e-8d1f-7a5d1c0e9b21", "1015a9d2-d441-4a0b-9c7e-52f38e6b0d94"
CHINESE = (
    "请找出重试循环的测试在慢机器上失败的原因，修复它，并为它加一个测试，然后更新文档和变更日志"
)
ERROR = {
    "error_type": "overloaded",
    "error_source": "provider",
    "error_code": "overloaded_error",
    "error_message": "Overloaded: " + "the model is busy. " * 9,
}
COSTS = (
    {"cost_nanos": 1_234_567_890, "cost_label": "exact"},
    {"cost_nanos": 12_345_678, "cost_label": "estimated"},
    {"cost_nanos": None, "cost_label": "unpriced"},
)
# Interceptions as (user, model, client, session, prompt, seconds or None, tokens, end).
SESSION = "5a8a2a0e-52f3-4f0f-9c80-0a1b2c3d4e5f"
ROWS = (
    (ANN, "ann", "claude-sonnet-4-5-20250929", "Claude Code", SESSION,
     CHINESE, 0.84, (1_234, 500, 765_432),
     {"outcome": Outcome.COMPLETED, "status_code": 200, **COSTS[0]}),
    (ANN, "ann", "claude-haiku-4-5-20251001", "Claude Code", SESSION,
     None, 12.3, (90, 12, 0), {"outcome": Outcome.FAILED, "status_code": 529, **ERROR,
                                **COSTS[1]}),
    (BOB, "somebody-with-a-long-name", "accounts/fireworks/models/deepseek-v3p1-terminus-with-more",
     "GitHub Copilot (VS Code)", "0198c1d2-e3f4-7000-8000-000000000001",
     "Ship it 🚀👩‍💻\nand then tell me what is left", 754.2, (1, 1, 0),
     {"outcome": Outcome.CLIENT_CLOSED, "status_code": 200, **COSTS[2]}),
    (BOB, None, "gpt-5.2", "Codex", "s-1", "short", None, (0, 0, 0), {}),
)  # fmt: skip

COMMANDS = (
    "interceptions list",
    "sessions list",
    "usage",
    "usage --by model",
    "usage --by day",
    "usage --by user,model --sort requests",
    "tail",
    "users list",
    "tokens list",
    "groups list",
    "audit list",
)


@pytest.fixture
def record(sqlite_database, clock):
    """Writes these rows of the record, a minute apart, with ids of their own."""
    store = Store(sqlite_database.engine)
    store.connect()

    def record(rows):
        for number, (by, name, model, client, session, prompt, took, used, end) in enumerate(
            rows, 1
        ):
            id = f"019b76da-a{number:03x}-7000-8000-{number:012x}"
            at = clock.wall()
            start = InterceptionStart(
                id=id,
                initiator_id=by,
                username=name,
                provider="anthropic",
                provider_name="anthropic",
                model=model,
                client=client,
                client_session_id=session,
                started_at=at,
            )
            store.write([start], [])
            own = {"interception_id": id, "created_at": at}
            given, out, read = used
            counts = {
                "input_tokens": given,
                "output_tokens": out,
                "cache_read_input_tokens": read,
            }
            costs = {name: end[name] for name in ("cost_nanos", "cost_label") if name in end}
            facts = [TokenUsageRecord(id=uuid7(at), **counts, **costs, **own)]
            if prompt is not None:
                facts.append(UserPromptRecord(id=uuid7(at), prompt=prompt, **own))
            if took is not None:
                clock.advance(took)
                facts.append(InterceptionEnd(interception_id=id, ended_at=clock.wall(), **end))
            store.write([], facts)
            clock.advance(60)

    yield record
    store.close()


@pytest.fixture
def people(sqlite_database, clock, monkeypatch):
    """Two users, a token and two groups."""
    ids = iter(USERS)
    monkeypatch.setattr(user_store, "uuid4", lambda: next(ids))
    engine = sqlite_database.engine
    store = TokenStore(engine, clock, "root (uid 0), sudo by ann")
    ann = store.create_user("ann", name="Ann 安妮", email="ann@example.com", is_admin=True)
    long = "somebody-with-a-long-name"
    store.create_user(long, name="n" * 40, email="e" * 40 + "@example.com", is_robot=True)
    info, _ = store.create_token("ann", name="laptop", lifetime=86_400 * 30)
    store.record_uses({info.id: clock.wall()}, {ann.id: clock.wall()})
    groups = GroupStore(engine, clock, "root (uid 0)")
    for name in ("staff", "contractors-with-a-rather-long-name"):
        groups.create(name)
        groups.add(name, ["ann", long])
    store.edit_user("ann", UserEdit(name="Ann A. 安妮", is_admin=False))
    with engine.begin() as connection:
        connection.execute(sa.update(tokens).values(id="4f9ghjk2qs"))
        made = audit.c.action == "token.create"
        connection.execute(sa.update(audit).where(made).values(target="4f9ghjk2qs"))


@pytest.fixture
def shown(sqlite_database, clock, on_terminal, monkeypatch):
    """What a command shows in a terminal of so many columns."""

    def follow(asked, since, pause):
        found = asked.query.interceptions(Filter(oldest_first=True))
        yield from (each for each in found if each.ended_at)
        raise KeyboardInterrupt

    monkeypatch.setattr(tail, "_follow", follow)
    state_dir = str(sqlite_database.state_dir)
    return lambda columns, command: on_terminal(columns, *command.split(), "--state-dir", state_dir)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", TERMINALS)
def test_a_table_is_as_it_was_reviewed(record, people, shown, columns, command):
    record(ROWS)
    text = shown(columns, command)
    assert max(map(width, text.splitlines())) <= columns
    path = GOLDEN / f"{command.replace(' ', '-')}.{columns}.txt"
    if os.environ.get("AIBRIDGED_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [each for each in COMMANDS if each != "tail"])
def test_a_pipe_has_every_value_in_full(sqlite_database, record, people, monkeypatch, command):
    """Whatever COLUMNS says: it is the terminal's, not the pipe's."""
    record(ROWS)
    monkeypatch.setenv("COLUMNS", "80")
    args = [*command.split(), "--state-dir", str(sqlite_database.state_dir)]
    text = CliRunner().invoke(build(asked_for(args)), args).stdout
    assert "…" not in text
    wanted = {
        "interceptions list": [ROWS[2][2], ROWS[2][1], "019b76da-a001-7000-8000-000000000001"],
        "sessions list": [CHINESE, ROWS[2][3], ROWS[2][4], ROWS[2][2]],
        "usage": ["765,432", "TOTAL"],
        "usage --by model": [ROWS[2][2]],
        "usage --by day": ["2026-01-01"],
        "usage --by user,model --sort requests": [ROWS[2][1], ROWS[2][2], "765,432"],
        "users list": ["n" * 40, "e" * 40 + "@example.com", USERS[1]],
        "tokens list": ["4f9ghjk2qs", "2026-01-31 00:00:00"],
        "groups list": ["contractors-with-a-rather-long-name", "ann, somebody-with-a-long-name"],
        "audit list": ["root (uid 0), sudo by ann", "name: Ann 安妮 → Ann A. 安妮"],
    }
    for value in wanted[command]:
        assert value in text
    assert "Overloaded: the model is busy." in text or command != "interceptions list"


@pytest.mark.parametrize("columns", TERMINALS)
def test_a_count_that_is_not_known_has_a_cell(record, people, shown, columns):
    """Refusals aren't counted by outcome."""
    record(ROWS)
    total = shown(columns, "usage --status completed").splitlines()[-1].split()
    assert (total[0], total[-1]) == ("TOTAL", "-")


@pytest.mark.parametrize("command", [each for each in COMMANDS if each != "tail"])
@pytest.mark.parametrize("columns", TERMINALS)
def test_without_rows_there_is_no_table(sqlite_database, shown, columns, command):
    assert shown(columns, command) == ""


@pytest.mark.parametrize("columns", TERMINALS)
def test_one_row_is_a_table(record, shown, columns):
    record(ROWS[3:])
    heading, row = shown(columns, "interceptions list").splitlines()
    assert "STATUS" in heading
    assert "open" in row
    total = shown(columns, "usage").splitlines()[-1].split()
    assert (total[:3], total[-2:]) == (["TOTAL", "1", "0"], ["-", "0"])


def test_what_a_narrow_table_shows_can_be_typed_back(record, shown):
    record(ROWS)
    for command in ("interceptions", "sessions"):
        lines = shown(80, f"{command} list").splitlines()[1:]
        ids = [line.split()[0] for line in lines if not line.startswith("    ")]
        assert all(len(id) <= 13 for id in ids)
        for id in ids:
            assert id in shown(80, f"{command} show {id}")


def test_columns_are_chosen_by_name(record, shown):
    record(ROWS)
    lines = shown(80, "interceptions list --columns status,user,session_id").splitlines()
    assert lines[0].split() == ["STATUS", "USER", "SESSION_ID".replace("_", " ").split()[0], "ID"]
    assert lines[-1].split() == ["200", "ann", ROWS[0][4]]
    assert "SESSION ID" in shown(80, "interceptions list --wide")
