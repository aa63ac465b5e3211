"""`aibridged reconcile`, as a person would use it."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.cli.table import width
from tests.cli.conftest import TERMINALS
from tests.cli.test_export import fill

GOLDEN = Path(__file__).parent / "golden" / "tables"
HEADING = (
    "start_time,end_time,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens,"
    "batch\n"
)
START = 1759968000  # 2025-10-09
# The record has 100 requests a model, of 1 to 9 input tokens and one output token each.
SAME = f"{START},{START + 86400},100,gpt-5.0-2025-09-01,298,100,0,\n"
OTHER = f"{START},{START + 86400},105,gpt-5.1,500,1234567,0,\n{START},,2,gpt-5.1,90,30,10,true\n"


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A record of two models, a hundred requests each."""
    directory = tmp_path_factory.mktemp("state")
    with fill(directory, 300).begin() as connection:
        for statement in (
            "DELETE FROM aibridge_interceptions WHERE model = 'gpt-5.2'",
            "UPDATE aibridge_token_usages SET cost_nanos = 10000000, cost_label = 'exact'",
            "UPDATE aibridge_interceptions SET credential_kind = 'byok' WHERE id IN"
            " (SELECT id FROM aibridge_interceptions WHERE model = 'gpt-5.1' LIMIT 3)",
            "UPDATE aibridge_interceptions SET usage_partial = 1 WHERE model = 'gpt-5.1'"
            " AND initiator_id = 'user-1'",
        ):
            connection.exec_driver_sql(statement)
    return directory


@pytest.fixture
def ask(state, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def ask(content, *args):
        file = state / "export"
        file.write_text(content)
        return CliRunner().invoke(
            build(), ["reconcile", str(file), *args, "--state-dir", str(state)]
        )

    return ask


def test_what_agrees_is_a_success(ask):
    done = ask(HEADING + SAME, "--output", "json", "--tolerance", "1%")
    told = json.loads(done.stdout)
    ours = [each for each in told["days"] if each["model"] == "gpt-5.0-2025-09-01"]
    assert [each["differs"] for each in ours] == [[]]
    assert done.exit_code == 1, "the other model is only on record"
    assert ask(HEADING + SAME, "--tolerance", "100%").exit_code == 0


def test_what_differs_is_told_with_reasons(ask):
    done = ask(HEADING + SAME + OTHER)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].split()[-4:] == ["RECORD", "PROVIDER", "DIFFERENCE", "SHARE"]
    assert not [line for line in lines if "gpt-5.0" in line]
    assert any("1,234,597" in line and "+1,234,500" in line for line in lines)
    assert "of another tier (batch" in " ".join(done.stdout.split())
    assert "3 requests with people's own keys aren't compared." in done.stderr
    assert "1 of 2 days and models differ by more than 0.5%" in " ".join(done.stderr.split())


@pytest.mark.parametrize("columns", TERMINALS)
def test_it_fits_into_a_terminal(ask, on_terminal, state, columns):
    ask(HEADING + SAME + OTHER)
    shown = on_terminal(columns, "reconcile", str(state / "export"), "--state-dir", str(state))
    assert max(map(width, shown.splitlines())) <= columns
    golden = GOLDEN / f"reconcile.{columns}.txt"
    if os.environ.get("AIBRIDGED_WRITE_GOLDEN"):
        golden.write_text(shown)
    assert shown == golden.read_text()


def test_json_has_everything_in_exact_numbers(ask):
    cost = "start_time,end_time,amount_value,amount_currency,line_item\n"
    done = ask(cost + f'{START},,0.5,usd,"gpt-5.1, input"\n', "--output", "json")
    told = json.loads(done.stdout)
    assert told["differs"] is True
    (ours,) = [each for each in told["days"] if each["model"] == "gpt-5.1"]
    assert ours["figures"] == {
        "cost": {"record": "0.97", "provider": "0.5", "record_label": "exact"}
    }
    assert ours["reasons"][0].keys() == {"code", "text"}
    assert (told["from"], told["to"], told["byok_requests"]) == ("2025-10-09", "2025-10-09", 3)


def test_own_rates_are_a_reason(ask, state, monkeypatch):
    (state / "settings.yaml").write_text("aibridge: {prices: [{model: gpt-5.1, input: 1}]}")
    monkeypatch.setenv("CODER_CONFIG_PATH", str(state / "settings.yaml"))
    cost = "start_time,end_time,amount_value,amount_currency,line_item\n"
    assert "by own rates" in ask(cost + f'{START},,0.5,usd,"gpt-5.1, input"\n').stdout


def test_days_can_be_chosen(ask):
    rows = (
        HEADING
        + SAME
        + SAME.replace(str(START), str(START - 86400)).replace(str(START + 86400), str(START))
    )
    told = json.loads(ask(rows, "--to", "2025-10-08", "--output", "json").stdout)
    assert {each["day"] for each in told["days"]} == {"2025-10-08"}
    assert told["days"][0]["reasons"][0]["code"] == "before_record"


@pytest.mark.parametrize(
    ("content", "args", "told"),
    [
        ("a,b\n", (), "is of no known format"),
        (HEADING + SAME, ("--from", "2025-10-20"), "has nothing of the days"),
        (HEADING + SAME, ("--from", "soon"), "is no day"),
        (HEADING + SAME, ("--from", "2025-10-09", "--to", "2025-10-08"), "is after"),
        (HEADING + SAME, ("--tolerance", "much"), "is no share"),
        (HEADING + SAME, ("--tolerance", "nan"), "is no share"),
        (HEADING + SAME, ("--tolerance", "101%"), "is no share"),
        (HEADING + SAME, ("--provider", "none"), "has nothing of a provider 'none'"),
    ],
)
def test_where_nothing_can_be_compared_the_status_is_2(ask, content, args, told):
    done = ask(content, *args)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())


def test_a_file_or_a_database_that_is_not_there(state, tmp_path):
    args = ["reconcile", str(tmp_path / "none.csv"), "--state-dir", str(state)]
    done = CliRunner().invoke(build(), args)
    assert (done.exit_code, "can't be read" in done.stderr) == (2, True)
    file = tmp_path / "export"
    file.write_text(HEADING + SAME)
    done = CliRunner().invoke(build(), ["reconcile", str(file), "--state-dir", str(tmp_path / "x")])
    assert done.exit_code == 2
