"""`aibridged budgets`, as a person would use it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aibridged.cli import asked_for, build
from aibridged.cli.budgets import budgets
from aibridged.clock import SystemClock
from aibridged.core.budgets import CENT
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine
from aibridged.records.schema import spend


@pytest.fixture
def engine(invoke_on_a_store, tmp_path: Path):
    invoke_on_a_store(budgets())
    return make_engine(database_url(tmp_path))


@pytest.fixture
def run(engine, tmp_path: Path) -> Callable[..., Result]:
    """Runs commands on a store with ann and bob in the group dev, ann in ops, too."""

    def run(*args: str) -> Result:
        return CliRunner().invoke(build(asked_for(args)), [*args, "--state-dir", str(tmp_path)])

    for username in ("ann", "bob"):
        run("users", "create", username)
    for group, *members in (("dev", "ann", "bob"), ("ops", "ann")):
        run("groups", "create", group)
        run("groups", "add", group, *members)
    return run


@pytest.fixture
def spent(engine, run):
    """Puts it into the ledger that somebody has spent so many cents today, and reserved more."""
    ids = {user.username: user.id for user in TokenStore(engine, SystemClock()).list_users()}

    def spent(who, cents, reserved=0):
        subject = f"user:{ids[who]}" if who in ids else who
        row = {"spent_nanos": cents * CENT, "reserved_nanos": reserved * CENT}
        with engine.begin() as connection:
            today = SystemClock().wall().date()
            connection.execute(spend.insert().values(subject=subject, day=today, **row))

    return spent


def rows(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def test_limits_are_set_listed_with_what_is_used_and_deleted(run, spent):
    assert run("budgets", "list").stderr == "There are no limits: nobody's spending is limited.\n"
    said = run("budgets", "set", "--user", "ann", "--monthly", "50", "--daily", "$1,250.5")
    assert said.stdout.startswith("Set user ann: $1,250.50 daily, $50.00 monthly. A running")
    run("budgets", "set", "--group", "dev", "--monthly", "40")
    run("budgets", "set", "--organization", "--monthly", "unlimited")
    spent("ann", 1000, reserved=250)
    spent("bob", 1000)
    listed = run("budgets", "list", "--columns", "scope,period,amount,used,share,fullest,people")
    assert rows(listed) == [
        ["LIMIT", "PERIOD", "AMOUNT", "USED", "SHARE", "BY", "PEOPLE"],
        ["organization", "monthly", "unlimited", "$0.00", "-", "0"],
        ["group", "dev", "monthly", "$40.00", "$10.00", "25%", "bob", "1"],
        ["user", "ann", "daily", "$1,250.50", "$12.50", "1%", "-"],
        ["user", "ann", "monthly", "$50.00", "$12.50", "25%", "-"],
    ]
    found = json.loads(run("budgets", "list", "-o", "json").stdout)
    [daily] = (each for each in found if each["period"] == "daily")
    tomorrow = datetime.combine(SystemClock().wall().date() + timedelta(days=1), time(), UTC)
    expected = {
        "scope": "user",
        "name": "ann",
        "amount": "1250.5",
        "spent": "10",
        "reserved": "2.5",
        "left": "1238",
        "people": None,
    }
    assert {name: daily[name] for name in expected} == expected
    assert datetime.fromisoformat(daily["resets_at"]) == tomorrow
    gone = run("budgets", "delete", daily["id"][:12], "--yes")
    assert gone.stdout.startswith("Deleted the limit of user ann: $1,250.50 daily. A running")
    left = json.loads(run("budgets", "list", "-o", "json").stdout)
    assert [each["period"] for each in left] == ["monthly"] * 3
    assert "Nothing was changed" in run("budgets", "delete", left[0]["id"]).stderr


def test_show_explains_which_limits_count_and_what_is_left(run, spent, engine):
    nothing = run("budgets", "show", "bob")
    assert "No limit counts: what they spend is unlimited." in nothing.stdout
    run("budgets", "set", "--organization", "--daily", "5", "--weekly", "9")
    run("budgets", "set", "--group", "dev", "--monthly", "40", "--weekly", "0")
    run("budgets", "set", "--group", "ops", "--monthly", "30")
    run("budgets", "set", "--user", "ann", "--daily", "7")
    made = run("budgets", "set", "--pool", "dev", "--monthly", "100", "-o", "json")
    [pool] = json.loads(made.stdout)
    spent("ann", 200, reserved=100)
    spent(f"group_pool:{pool['scope_id']}", 2500)
    shown = run("budgets", "show", "ann")
    lines = shown.stdout.splitlines()
    assert lines[0] == "ann is in dev, ops."
    assert [line.split()[:8] for line in lines[2:6]] == [
        ["daily", "user", "ann", "$7.00", "$2.00", "$1.00", "$4.00", "43%"],
        ["weekly", "group", "dev", "$0.00", "$2.00", "$1.00", "$0.00", "100%"],
        ["monthly", "group", "ops", "$30.00", "$2.00", "$1.00", "$27.00", "10%"],
        ["monthly", "pool", "dev", "$100.00", "$25.00", "$0.00", "$75.00", "25%"],
    ]
    assert lines[6:] == [
        "Daily: user ann counts, over organization ($5.00).",
        "Weekly: group dev counts, over organization ($9.00).",
        "Monthly: group ops counts, over group dev ($40.00).",
    ]
    data = json.loads(run("budgets", "show", "ann", "-o", "json").stdout)
    assert data["groups"] == ["dev", "ops"]
    monthly = data["budgets"][2]
    assert (monthly["limit"]["name"], monthly["left"]) == ("ops", "27")
    assert [each["amount"] for each in monthly["overrides"]] == ["40"]


def test_the_limits_of_a_token_are_its_users_too(run, engine, spent):
    made = run("tokens", "create", "--user", "ann", "--name", "ci", "-o", "json")
    id = json.loads(made.stdout)["id"]
    assert run("budgets", "set", "--token", id[:8], "--daily", "5").exit_code == 0
    spent(f"token:{id}", 100)
    [*_, line] = run("budgets", "show", "ann").stdout.splitlines()
    assert line.split()[:6] == ["daily", "token", "ci", "$5.00", "$1.00", "$0.00"]
    listed = run("budgets", "list", "--columns", "limit")
    assert listed.stdout.splitlines()[1] == "token ann ci"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--user", "anne", "--daily", "1"), "Did you mean ann?"),
        (("--pool", "dve", "--daily", "1"), "Did you mean dev?"),
        (("--token", "nothing", "--daily", "1"), "part between the underscores of a token; see"),
        (("--user", "ann"), "--daily, --weekly, --monthly: at least one"),
        (("--daily", "1"), "one of them says whose limit it is."),
        (("--user", "ann", "--organization", "--daily", "1"), "limit it is, and no other."),
        (("--user", "ann", "--daily", "1.005"), "dollars with at most two decimals"),
        (("--user", "ann", "--daily=-1"), "'-1' is not an amount of dollars"),
        (("--user", "ann", "--daily", "9999999999"), "A spend limit is from $0.00 to"),
    ],
)
def test_mistakes_are_sentences(run, args, said):
    failed = run("budgets", "set", *args)
    assert (failed.exit_code == 0, failed.stdout) == (False, "")
    message = f"{failed.stderr} {failed.exception.__cause__ or failed.exception}"
    assert said in " ".join(message.split())
    assert json.loads(run("budgets", "list", "-o", "json").stdout) == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("show", "anne"), "Did you mean ann?"),
        (("delete", "spl_none", "--yes"), "See `aibridged budgets list`."),
    ],
)
def test_what_is_not_there_is_a_sentence(run, args, said):
    failed = run("budgets", *args)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert said in failed.stderr
