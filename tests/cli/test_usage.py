"""`aibridged usage`: its dimensions and its order."""

import json

import pytest
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.cli.usage import DIMENSIONS
from aibridged.records.facts import InterceptionStart, TokenUsageRecord
from aibridged.records.ids import uuid7
from aibridged.records.query_results import UsageBy
from aibridged.records.store import Store


@pytest.fixture
def ask(sqlite_database):
    def ask(*args):
        where = ("--state-dir", str(sqlite_database.state_dir))
        return CliRunner().invoke(build(), ["usage", *args, *where])

    return ask


def test_every_dimension_of_the_query_has_a_name():
    assert sorted(DIMENSIONS) == sorted(UsageBy)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--by", "user,user"), "'user' is named twice: name each once."),
        (("--by", "team"), "usage isn't counted by 'team': use some of user, group, model,"),
        (("--by", "user,"), "usage isn't counted by '': use some of"),
        (("--sort", "model"), "there is no column 'model'; there are user, interceptions,"),
        (("--by", "model", "--sort", "refused"), "there is no column 'refused'"),
        (("--by", "model", "--columns", "user"), "there is no column 'user'; there are model,"),
    ],
)
def test_what_usage_has_not_is_refused_with_what_it_has(ask, args, said):
    result = ask(*args)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_dimensions_are_columns_and_fields(ask, sqlite_database, clock):
    own = {"id": uuid7(clock.wall()), "initiator_id": "ann-id", "username": "ann"}
    provider = {"provider": "openai", "provider_name": "openai", "model": "big"}
    store = Store(sqlite_database.engine)
    store.connect()
    store.write([InterceptionStart(**own, **provider, started_at=clock.wall())], [])
    of = {"interception_id": own["id"], "created_at": clock.wall(), "id": uuid7(clock.wall())}
    store.write([], [TokenUsageRecord(**of, input_tokens=1_000, output_tokens=234)])
    store.close()
    result = ask("--by", "Model, user", "-o", "csv", "--columns", "user,model,output")
    assert result.stdout.splitlines() == ["user,model,output_tokens", "ann,big,234"]
    (row,) = json.loads(ask("--by", "user,model", "-o", "json").stdout)
    assert row["by"] == {"user": "ann", "model": "big"}
    assert (row["key"], row["input_tokens"]) == ("ann, big", 1000)
    assert "1,000" in ask("--by", "user,model").stdout
