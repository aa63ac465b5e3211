"""From a list to the one session, as a person would go, and the same as CSV."""

import csv
import importlib
import io
import json

import msgspec
import pytest
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.cli.query_options import json_list
from aibridged.cli.table import width
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.store import Store
from aibridged.records.truncation import Truncator

sessions = importlib.import_module("aibridged.cli.sessions")

SESSION = "5a8a2a0e-52f3-4f0f-9c80-0a1b2c3d4e5f"
COST = {"cost_nanos": 2_087_500_000, "cost_label": "estimated"}


@pytest.fixture
def ask(sqlite_database):
    def ask(*args):
        state_dir = str(sqlite_database.state_dir)
        result = CliRunner().invoke(build(asked_for(args)), [*args, "--state-dir", state_dir])
        assert result.exit_code == 0, result.output
        return result.stdout

    return ask


@pytest.fixture
def asked(sqlite_database, clock):
    """One request with long names and many tokens."""
    store = Store(sqlite_database.engine)
    store.connect()
    start = InterceptionStart(
        id=uuid7(clock.wall()),
        initiator_id="00000000-0000-4000-8000-00000000000a",
        username="somebody-with-a-long-name",
        provider="anthropic",
        provider_name="anthropic",
        model="claude-sonnet-4-5-20250929",
        client="GitHub Copilot (VS Code)",
        client_session_id=SESSION,
        started_at=clock.wall(),
    )
    own = {"interception_id": start.id}
    made = {"id": uuid7(clock.wall()), "created_at": clock.wall(), **own}
    prompt = UserPromptRecord(prompt="word " * 400, **made)
    usage = TokenUsageRecord(
        input_tokens=123_456, cache_read_input_tokens=765_432, output_tokens=98_765, **COST, **made
    )
    clock.advance(12.5)
    end = InterceptionEnd(
        ended_at=clock.wall(), outcome=Outcome.COMPLETED, status_code=200, **COST, **own
    )
    store.write([start], [])
    store.write([], [prompt, usage, end])
    store.close()
    return start


@pytest.fixture
def add_turns(sqlite_database, clock):
    """Two turns of a session, of which the second has lost what the first had cached."""
    store = Store(sqlite_database.engine)
    store.connect()
    for number, model in enumerate(("claude-sonnet-4-5", "claude-opus-4-5")):
        start = InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id="00000000-0000-4000-8000-00000000000a",
            provider="anthropic",
            provider_name="anthropic",
            model=model,
            client_session_id=SESSION,
            started_at=clock.wall(),
            tool_result_ids=(f"call {number}",),
        )
        made = {"created_at": clock.wall(), "interception_id": start.id}
        facts = [
            TokenUsageRecord(id=uuid7(clock.wall()), cache_write_input_tokens=20_000, **made),
            ToolUsageRecord(
                id=uuid7(clock.wall()),
                tool="ls",
                input="{}",
                provider_tool_call_id=f"call {number + 1}",
                **made,
            ),
        ]
        store.write([start], [])
        store.write([], facts)
        clock.advance(10)
    store.close()


def test_what_broke_the_prompt_cache_is_told_where_it_broke(add_turns, ask):
    lines = [line.strip() for line in ask("sessions", "show", SESSION).splitlines()]
    # At 6.25 dollars a million tokens, and not at 0.5.
    assert [line for line in lines if line.startswith("* ")] == [
        "* 20.0k cached tokens lost, $0.1150: the model changed"
    ]


def test_the_list_shows_the_id_that_show_takes(asked, ask):
    _, row = ask("sessions", "list").splitlines()
    session = row.split()[0]
    assert session == SESSION
    assert ask("sessions", "show", session).startswith(f"Session {SESSION}\n")


def test_a_session_for_programs_is_its_interceptions(asked, ask):
    [found] = json.loads(ask("sessions", "show", SESSION, "--output", "json"))
    assert found == json.loads(ask("interceptions", "show", asked.id))


def test_a_story_fits_the_terminal_and_says_what_it_leaves_out(asked, ask):
    short, whole = ask("sessions", "show", SESSION), ask("sessions", "show", SESSION, "--full")
    for story in (short, whole):
        assert all(len(line) <= 80 for line in story.splitlines())
    assert "more lines (--full)" in short
    assert short.count("word") < whole.count("word") == 400


def test_a_story_without_blanks_fits_the_terminal_too(sqlite_database, asked, clock, ask):
    text = "请找出重试循环的测试在慢机器上失败的原因，" * 9
    store = Store(sqlite_database.engine)
    store.connect()
    own = {"interception_id": asked.id, "id": uuid7(clock.wall()), "created_at": clock.wall()}
    store.write([], [UserPromptRecord(prompt=text, **own)])
    store.close()
    told = ask("sessions", "show", SESSION, "--full").splitlines()
    assert max(map(width, told)) <= 80
    assert text in "".join(line.strip(" >") for line in told)


def test_a_story_says_what_came_of_the_gateways_own_tools(sqlite_database, asked, clock, ask):
    store = Store(sqlite_database.engine)
    store.connect()
    calls = [
        ToolUsageRecord(
            id=uuid7(clock.wall(), number),
            interception_id=asked.id,
            created_at=clock.wall(),
            tool="bmcp_files_read",
            input="{}",
            injected=True,
            invocation_error=error,
        )
        for number, error in enumerate((None, "no such file"))
    ]
    own = msgspec.structs.replace(calls[0], id=uuid7(clock.wall(), 9), tool="ls", injected=False)
    store.write([], [*calls, own])
    store.close()
    lines = [line.strip() for line in ask("sessions", "show", SESSION).splitlines()]
    assert lines[-5:] == [
        "$ bmcp_files_read {}",
        "(run by the gateway, done)",
        "$ bmcp_files_read {}",
        "(run by the gateway, failed: no such file)",
        "$ ls {}",
    ]


def test_what_was_too_long_to_be_stored_is_told(sqlite_database, asked, clock, ask):
    own = {"interception_id": asked.id, "created_at": clock.wall()}
    truncator = Truncator(5)
    store = Store(sqlite_database.engine)
    store.connect()
    store.write(
        [],
        [
            truncator.truncate(fact)
            for fact in (
                UserPromptRecord(id=uuid7(clock.wall()), prompt="P" * 6, **own),
                ModelThoughtRecord(id=uuid7(clock.wall()), content="T" * 7, **own),
                ToolUsageRecord(
                    id=uuid7(clock.wall()),
                    tool="ls",
                    input="I" * 8,
                    injected=True,
                    invocation_error="E" * 9,
                    **own,
                ),
            )
        ],
    )
    store.close()
    lines = [line.strip() for line in ask("sessions", "show", SESSION, "--full").splitlines()]
    assert lines[-7:] == [
        "(cut: the first 5 of 6 bytes are stored)",
        "~ TTTTT",
        "(cut: the first 5 of 7 bytes are stored)",
        "$ ls IIIII",
        "(cut: the first 5 of 8 bytes are stored)",
        "(run by the gateway, failed: EEEEE)",
        "(cut: the first 5 of 9 bytes are stored)",
    ]
    (found,) = json.loads(ask("sessions", "show", SESSION, "--output", "json"))
    assert found["user_prompts"][-1]["metadata"]["length"] == 6


def test_costs_stand_by_the_tokens_and_the_threads(sqlite_database, asked, clock, ask):
    clock.advance(1)
    other = msgspec.structs.replace(
        asked, id=uuid7(clock.wall()), started_at=clock.wall(), model="local"
    )
    own = {"interception_id": other.id, "cost_label": "unpriced"}
    end = InterceptionEnd(ended_at=clock.wall(), outcome=Outcome.COMPLETED, status_code=200, **own)
    still_open = msgspec.structs.replace(other, id=uuid7(clock.wall(), 1))
    store = Store(sqlite_database.engine)
    store.connect()
    store.write([other, still_open], [])
    store.write([], [end])
    store.close()
    lines = ask("sessions", "show", SESSION).splitlines()
    assert any(line.endswith("98.8k out, $2.09+") for line in lines)
    threads = [line for line in lines if line.startswith("Thread")]
    assert threads == ["Thread 1, ~$2.09", "Thread 2, unpriced", "Thread 3"]
    used = [line.split("out", 1)[1] for line in lines if line.startswith("  ") and " out" in line]
    assert used == [", ~$2.09", ", unpriced", ""]


@pytest.mark.parametrize("args", [("sessions", "list"), ("interceptions", "list")])
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_programs_get_costs_as_exact_text(asked, ask, args, output):
    found = json.loads(ask(*args, "-o", output), parse_float=lambda text: pytest.fail(text))
    (row,) = found if output == "json" else [found]
    for each in (row, *row.get("token_usages", ())):
        assert (each["cost"], each["cost_label"]) == ("2.0875", "estimated")
        assert "cost_nanos" not in each


@pytest.mark.parametrize(("least", "count"), [("2.0875", 1), ("$2.0876", 0)])
@pytest.mark.parametrize("args", [("interceptions", "list"), ("export", "interceptions")])
def test_interceptions_are_found_by_what_they_cost(asked, ask, args, least, count):
    output = ("-f" if args[0] == "export" else "-o", "csv")
    assert len(ask(*args, "--min-cost", least, *output).splitlines()) == 1 + count


def test_a_wrong_amount_is_told(asked, sqlite_database):
    state_dir = str(sqlite_database.state_dir)
    args = ["interceptions", "list", "--min-cost", "much", "--state-dir", state_dir]
    result = CliRunner().invoke(build(asked_for(args)), args)
    assert result.exit_code == 2
    assert "'much' is not an amount in dollars: use 0.05 or 2." in " ".join(result.output.split())


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_of_json_is_json(count):
    answers = [{"text": "a\n\u2028b", "list": [1]}] * count
    assert json.loads("\n".join(json_list(answers))) == answers


def test_a_session_of_several_pages_is_shown_whole(sqlite_database, clock, ask, monkeypatch):
    monkeypatch.setattr(sessions, "_PAGE", 2)
    store = Store(sqlite_database.engine)
    store.connect()
    ids = []
    for _ in range(4):
        clock.advance(1)
        start = InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id="00000000-0000-4000-8000-00000000000a",
            provider="anthropic",
            provider_name="anthropic",
            model="claude",
            client_session_id="s",
            started_at=clock.wall(),
        )
        store.write([start], [])
        ids.append(start.id)
    store.close()
    found = json.loads(ask("sessions", "show", "s", "--output", "json"))
    assert [each["id"] for each in found] == ids
    assert ask("sessions", "show", "s").count("Thread") == 4


@pytest.mark.parametrize(
    ("args", "exact"),
    [
        (("interceptions", "list"), {"input_tokens": "123456", "session_id": SESSION}),
        (("interceptions", "list"), {"cost": "2.0875", "cost_label": "estimated"}),
        (("sessions", "list"), {"cost": "2.0875", "cost_label": "estimated"}),
        (("interceptions", "list"), {"started_at": "2026-01-01T00:00:00+00:00"}),
        (("sessions", "list"), {"session_id": SESSION, "client": "GitHub Copilot (VS Code)"}),
        (("usage", "--by", "day"), {"day": "2026-01-01", "cache_read_input_tokens": "765432"}),
    ],
)
def test_csv_is_exact(asked, ask, args, exact):
    (row,) = csv.DictReader(io.StringIO(ask(*args, "-o", "csv")))
    assert exact.items() <= row.items()
