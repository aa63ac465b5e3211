"""`aibridged export usage --format focus`."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from aibridged.cli import build
from tests.cli.test_export import fill
from tests.focus_rules import violations


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A record of ten requests in an hour, one of them unpriced; somebody is in a group."""
    monkeypatch.setenv("COLUMNS", "80")
    with fill(tmp_path, 10).begin() as connection:
        for statement in (
            "UPDATE aibridge_interceptions SET model = 'gpt-5.2', initiator_id = 'user-1'",
            "UPDATE aibridge_token_usages SET cost_nanos = 1000, cost_label = 'exact'",
            "UPDATE aibridge_token_usages SET cost_nanos = NULL, cost_label = 'unpriced'"
            " WHERE id LIKE '%9'",
            "INSERT INTO aibridged_users (id, username, name, status, is_admin, created_at)"
            " VALUES ('user-1', 'ann', 'Ann', 'active', 0, '2026-01-01')",
            "INSERT INTO aibridged_groups VALUES ('g', 'staff', '2026-01-01')",
            "INSERT INTO aibridged_group_members VALUES ('g', 'user-1', 0, '2026-01-01')",
        ):
            connection.exec_driver_sql(statement)
    return tmp_path


def exported(state, *args):
    return CliRunner().invoke(build(), ["export", "usage", *args, "--state-dir", str(state)])


@pytest.mark.parametrize("period", ["day", "hour"])
def test_rows_keep_the_rules_and_add_up(state, period):
    done = exported(state, "--format", "focus", "--charge-period", period)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [violations(row) for row in rows] == [[]] * len(rows)
    assert {row["SkuMeter"] for row in rows} == {"Input Tokens", "Output Tokens"}
    assert sum(int(float(row["BilledCost"]) * 1e9 + 0.5) for row in rows) == 9000
    assert {row["ProviderName"] for row in rows} == {"OpenAI"}
    assert {json.loads(row["Tags"])["aibridged/groups"] for row in rows} == {"staff"}


def test_what_has_no_cost_is_told_and_fails(state, tmp_path):
    file = tmp_path / "focus.csv"
    done = exported(state, "--format", "focus", "--output", str(file))
    assert done.exit_code == 1
    assert "Not in the file, since they have no cost: 1 request of gpt-5.2 (1)." in done.stderr
    assert "aibridge.prices" in done.stderr
    assert len(file.read_text().splitlines()) == 3
    assert exported(state, "--format", "focus", "--model", "none").exit_code == 0


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--format", "focus", "--by", "model"), "has columns of its own"),
        (("--charge-period", "hour"), "it is for --format focus"),
        (("--format", "jsonl", "--charge-period", "hour"), "it is for --format focus"),
        (("--format", "focus", "--charge-period", "month"), "--charge-period"),
    ],
)
def test_options_that_do_not_fit_are_refused(state, args, told):
    done = exported(state, *args)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
