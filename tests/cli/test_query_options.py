"""How answers are written, and what asking leaves alone."""

import json

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.cli.columns import Column, chosen
from aibridged.cli.query_options import Output, as_json, moment, write
from aibridged.identity.anonymous import LOCAL_ACTOR
from aibridged.records.facts import InterceptionStart, UserPromptRecord
from aibridged.records.ids import uuid7
from aibridged.records.migrations import VERSION_TABLE
from aibridged.records.schema import usual_costs
from aibridged.records.store import Store

ANN = "00000000-0000-4000-8000-00000000000a"

DRIVING = "a\x1b[31m\x07b\x7f\x9b31m\u202ec\u2028d"


def ask(state_dir, *args):
    return CliRunner().invoke(build(asked_for(args)), [*args, "--state-dir", str(state_dir)])


@pytest.mark.parametrize("output", list(Output))
def test_no_text_drives_the_terminal(output, capsys):
    view = chosen([Column("model", str)], output=output)
    write([DRIVING], output, view, nothing="")
    said = capsys.readouterr().out
    assert not set("\x1b\x07\x7f\x9b\u202e\u2028") & set(said)


def test_json_means_what_was_recorded():
    assert json.loads(as_json({"prompt": DRIVING})) == {"prompt": DRIVING}
    assert as_json("ü\n", indent=None) == '"ü\\n"'


@pytest.mark.parametrize("text", ["soon", "", "2026-13-01", "0001-01-01T00:00:00+14:00", "5"])
def test_what_is_no_time_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match="is not a time"):
        moment(text, "--since")


@pytest.mark.parametrize(
    "args",
    [("interceptions", "list"), ("sessions", "list"), ("usage",), ("tail",)],
)
def test_who_asks_in_the_wrong_place_is_told_and_nothing_is_made(tmp_path, args):
    result = ask(tmp_path / "typo", *args)
    assert result.exit_code == 1
    assert "--state-dir" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_schema_of_another_release_is_left_as_it_is(sqlite_database):
    with sqlite_database.engine.begin() as connection:
        connection.execute(sa.text(f"DELETE FROM {VERSION_TABLE}"))
    result = ask(sqlite_database.state_dir, "usage")
    assert result.exit_code == 1
    assert "aibridged db upgrade" in result.stderr
    with sqlite_database.engine.begin() as connection:
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {VERSION_TABLE}")) == 0


@pytest.mark.parametrize("command", ["interceptions list", "sessions list", "usage", "tail"])
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--columns", "nonsense"), "there is no column 'nonsense'; there are "),
        (("--failed", "--status", "completed"), "it contradicts --status completed"),
        (("--wide", "-o", "jsonl"), "it is for tables, not for --output jsonl."),
    ],
)
def test_what_cannot_be_is_wrong_usage(sqlite_database, command, args, said):
    result = ask(sqlite_database.state_dir, *command.split(), *args)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("flags", [("--user", "ann"), ("--initiator", "ann"), ("--failed",)])
def test_filters_have_short_names(sqlite_database, flags):
    for command in ("interceptions list", "sessions list", "usage"):
        assert ask(sqlite_database.state_dir, *command.split(), *flags).exit_code == 0


@pytest.mark.parametrize("what", ["interception", "session"])
@pytest.mark.parametrize(
    ("id", "mend"),
    [("0198c1d", "Type at least its first 8 characters. See "), ("0198c1d2", "See ")],
)
def test_what_is_not_there_is_said_with_the_mend(sqlite_database, what, id, mend):
    result = ask(sqlite_database.state_dir, f"{what}s", "show", id)
    assert result.exit_code == 1
    assert result.stderr == f"There is no {what} '{id}'. {mend}`aibridged {what}s list`.\n"


def test_no_text_that_can_be_typed_breaks_a_question(sqlite_database):
    result = ask(sqlite_database.state_dir, "interceptions", "list", "--model", "\udcff")
    assert result.exit_code == 0, result.output


@pytest.fixture
def asked_by_ann(sqlite_database, clock):
    """A request of ann's with a prompt, and one of the local actor's."""
    store = Store(sqlite_database.engine)
    store.connect()
    for initiator, prompt in ((ANN, "hello from ann"), (LOCAL_ACTOR.id, "hello from here")):
        start = InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id=initiator,
            provider="anthropic",
            provider_name="anthropic",
            model="claude",
            client_session_id=f"session of {initiator}",
            started_at=clock.wall(),
        )
        own = {"interception_id": start.id, "created_at": clock.wall()}
        store.write([start], [])
        store.write([], [UserPromptRecord(id=uuid7(clock.wall()), prompt=prompt, **own)])
    store.close()
    return sqlite_database.state_dir


WITH_TEXTS = (
    ("interceptions", "list", "-o", "json"),
    ("sessions", "list"),
    ("sessions", "show", f"session of {ANN}"),
    ("sessions", "show", f"session of {ANN}", "-o", "json"),
    ("export", "interceptions", "--with-texts"),
    ("export", "sessions", "--with-texts", "--format", "jsonl"),
)
WITHOUT_TEXTS = (
    ("interceptions", "list"),
    ("sessions", "list", "--columns", "session_id,cost"),
    ("export", "interceptions"),
    ("usage", "-o", "json"),
)


def looks(state_dir):
    rows = json.loads(ask(state_dir, "audit", "list", "--action", "texts", "-o", "json").stdout)
    return [(row["action"], row["target"], row["after"]["by"]) for row in reversed(rows)]


def test_who_runs_a_command_that_shows_others_texts_is_on_record(asked_by_ann):
    for command in WITHOUT_TEXTS:
        assert ask(asked_by_ann, *command).exit_code == 0
    assert looks(asked_by_ann) == []
    for command in WITH_TEXTS:
        assert "hello from ann" in ask(asked_by_ann, *command).stdout, command
    assert looks(asked_by_ann) == [
        ("texts.list", ANN, "cli"),
        ("texts.list", ANN, "cli"),
        ("texts.show", ANN, "cli"),
        ("texts.export", ANN, "cli"),
        ("texts.export", ANN, "cli"),
    ]


def test_without_access_commands_show_the_local_actors_texts_alone(asked_by_ann, monkeypatch):
    monkeypatch.setenv("CODER_AIBRIDGE_PROMPT_ACCESS", "own")
    for command in WITH_TEXTS:
        found = ask(asked_by_ann, *command)
        assert found.exit_code == 0, command
        assert "hello from ann" not in found.stdout, command
        assert "(withheld)" in found.stdout, command
        assert ("hello from here" in found.stdout) is ("show" not in command), command
    story = ask(asked_by_ann, "sessions", "show", f"session of {ANN}").stdout
    assert "Texts of others are withheld (--aibridge-prompt-access own)." in story
    assert looks(asked_by_ann) == []


def test_lists_are_searched(asked_by_ann, monkeypatch):
    def found(*args):
        return json.loads(ask(asked_by_ann, *args, "-o", "json").stdout)

    for what in ("interceptions", "sessions"):
        (only,) = found(what, "list", "--text", "FROM ANN")
        assert only["initiator_id"] == ANN
        for nothing in (["--tool", "Bash"], ["--error", "provider"], ["--min-cost", "0.01"]):
            assert found(what, "list", *nothing) == []
    assert "texts.search" in [action for action, _, _ in looks(asked_by_ann)]
    assert ask(asked_by_ann, "sessions", "list", "--text", "").exit_code == 2
    for name in ("_FIRST", "_FEW", "_MOST"):
        monkeypatch.setattr("aibridged.records.search." + name, 1)
    monkeypatch.setattr("aibridged.cli.sessions.SEARCH_S", 0.0)
    partly = ask(asked_by_ann, "sessions", "list", "--text", "from ann")
    assert "Searched back to 2026-01-01T00:00:00Z: --started-before " in partly.stderr


def test_a_session_that_costs_more_than_usual_is_marked(asked_by_ann, sqlite_database, clock):
    store = Store(sqlite_database.engine)
    store.connect()
    with sqlite_database.engine.begin() as connection:
        row = {"initiator_id": ANN, "cost_nanos": 420_000_000, "computed_at": clock.wall()}
        connection.execute(usual_costs.insert(), row)
        connection.exec_driver_sql(
            "UPDATE aibridge_interceptions SET cost_nanos = 1500000000, cost_label = 'exact',"
            " ended_at = started_at, outcome = 'completed'"
        )
    lines = ask(asked_by_ann, "sessions", "list").stdout
    assert lines.count("! unusual") == 1
    assert f"! unusual: most sessions of {ANN} cost $0.4200 or less" in lines
    rows = json.loads(ask(asked_by_ann, "sessions", "list", "-o", "json").stdout)
    assert {row["initiator_id"]: row["unusual"] for row in rows} == {
        ANN: True,
        LOCAL_ACTOR.id: False,
    }
