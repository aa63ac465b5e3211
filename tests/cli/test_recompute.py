"""`aibridged prices recompute`, as an operator types it."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.records.database import database_url, make_engine
from tests.migrated import migrate

SETTINGS = """\
aibridge:
  prices:
    - {model: claude, input: 4, output: 20}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command on a state directory of the test's own."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    monkeypatch.setenv("CODER_CONFIG_PATH", str(tmp_path / "settings.yaml"))
    monkeypatch.setenv("CODER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args):
        args = ("prices", "recompute", *args)
        return CliRunner().invoke(build(asked_for(args)), args)

    return run


@pytest.fixture
def database(tmp_path, populate):
    """A database with an interception by each of two models, of a million tokens each."""
    migrate(tmp_path)
    engine = make_engine(database_url(tmp_path))
    populate(engine, models=["claude", "gpt-unknown"])
    opened = sqlite3.connect(tmp_path / "aibridged.db")
    opened.execute(
        "INSERT INTO aibridge_token_usages (id, interception_id, created_at, provider_response_id,"
        " input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens)"
        " SELECT id, id, started_at, 'r', 1000000, 0, 0, 0 FROM aibridge_interceptions"
    )
    opened.commit()
    yield opened
    opened.close()


def costs(database):
    sql = "SELECT cost_nanos, cost_label FROM aibridge_interceptions ORDER BY started_at"
    return database.execute(sql).fetchall()


def audit(database):
    sql = "SELECT target, before, after FROM aibridged_audit WHERE action = 'price.recompute'"
    return [
        (target, json.loads(before), json.loads(after))
        for target, before, after in database.execute(sql)
    ]


SINCE = ("--since", "2026-01-01", "--until", "2026-01-02")


def test_it_tells_what_has_changed_and_leaves_a_row_in_the_audit_log(run, database):
    done = run(*SINCE)
    assert (done.exit_code, done.stdout) == (
        0,
        "Of 2 interceptions, 2 changed: together $0.00 before, $4.00+ after.\n"
        "1 interception used a model without a price.\n",
    )
    assert costs(database) == [(4 * 10**9, "exact"), (None, "unpriced")]
    after = {"cost": "4", "interceptions": 2}
    period = "2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z"
    assert audit(database) == [(period, {"cost": "0"}, after)]
    assert "2 interceptions, 0 changed: together $4.00 before, $4.00+ after" in run(*SINCE).stdout
    assert len(audit(database)) == 1


def test_a_dry_run_only_tells(run, database):
    done = run(*SINCE, "--dry-run", "--model", "claude", "--user", "alice", "-o", "json")
    assert json.loads(done.stdout) == {
        "dry_run": True,
        "interceptions": 1,
        "changed": 1,
        "before": "0",
        "after": "4",
        "unpriced": 0,
    }
    assert costs(database) == [(None, None)] * 2
    assert audit(database) == []


def test_a_filter_is_in_the_audit_log(run, database):
    assert run(*SINCE, "--provider", "local", "--model", "claude").exit_code == 0
    [(_, _, after)] = audit(database)
    assert after == {"cost": "4", "interceptions": 1, "provider": "local", "model": "claude"}


def test_what_matches_nothing_is_told(run, database):
    done = run("--since", "2025-01-01", "--until", "2025-02-01")
    assert (done.exit_code, done.stdout) == (0, "No interception that has ended matches.\n")


def test_models_without_a_price_may_have_a_rate(run, database, monkeypatch):
    monkeypatch.setenv("CODER_AIBRIDGE_UNPRICED", "15")
    assert "together $0.00 before, $19.00 after" in run(*SINCE).stdout
    assert costs(database) == [(4 * 10**9, "exact"), (15 * 10**9, "estimated")]


@pytest.mark.parametrize("since", ["yesterday", ""])
def test_a_time_must_be_one(run, database, since):
    done = run("--since", since)
    assert done.exit_code == 2
    assert "--since" in done.stderr


def test_a_period_must_be_given(run, database):
    assert run().exit_code == 2
