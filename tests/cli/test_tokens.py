"""`aibridged tokens`, as a person would use it."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from typer.testing import Result

from aibridged.cli.tokens import tokens
from aibridged.clock import SystemClock
from aibridged.identity.base import TokenRejectedError
from aibridged.identity.tables import tokens as table
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(invoke_on_a_store: Callable[[typer.Typer], Invoke]) -> Invoke:
    return invoke_on_a_store(tokens())


@pytest.fixture
def daemon(invoke: Invoke, tmp_path: Path) -> TokenStore:
    """The same store as a running daemon has it open; it has the users alice and bob."""
    store = TokenStore(make_engine(database_url(tmp_path)), SystemClock())
    store.create_user("alice")
    store.create_user("bob")
    return store


def make(invoke: Invoke, *args: str) -> dict[str, str]:
    made: dict[str, str] = json.loads(invoke("create", "--output", "json", *args).stdout)
    return made


def test_a_token_is_shown_once_and_works_in_a_running_daemon(
    invoke: Invoke, daemon: TokenStore
) -> None:
    made = invoke("create", "--user", "alice", "--name", "laptop")
    assert made.exit_code == 0
    token = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"aib_[0-9a-z]{10}_[0-9A-Za-z]{43}", token)
    assert made.stderr.startswith("Save it now: it won't be shown again. It expires on ")
    actor = daemon.authenticate(token)
    assert actor is not None
    assert actor.username == "alice"
    secret = token.rpartition("_")[2]
    for args in ((), ("--revoked",), ("--output", "json")):
        assert secret not in invoke("list", *args).output


@pytest.mark.parametrize(
    ("args", "days"), [((), 30), (("--lifetime", "90d"), 90), (("--lifetime", "12h"), 0.5)]
)
def test_a_token_expires_after_its_lifetime(
    invoke: Invoke, daemon: TokenStore, args: tuple[str, ...], days: float
) -> None:
    made = make(invoke, "--user", "alice", *args)
    created, expires = (datetime.fromisoformat(made[key]) for key in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=days)


def test_a_lifetime_of_0_is_for_ever(invoke: Invoke, daemon: TokenStore) -> None:
    made = invoke("create", "--user", "alice", "--lifetime", "0")
    assert "never expires" in made.stderr
    assert "never" in invoke("list").stdout


def test_a_lifetime_that_is_none_is_a_usage_error(invoke: Invoke, daemon: TokenStore) -> None:
    failed = invoke("create", "--user", "alice", "--lifetime", "30")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert "has no unit: write 30s, 30m, 30h or 30d" in failed.stderr
    assert daemon.list_tokens() == []


def test_tokens_are_listed_with_their_last_use(invoke: Invoke, daemon: TokenStore) -> None:
    laptop = make(invoke, "--user", "alice", "--name", "laptop", "--lifetime", "0")
    make(invoke, "--user", "bob", "--name", "ci")
    daemon.record_uses({laptop["id"]: datetime.fromisoformat("2026-01-02T03:04:05Z")})
    lines = invoke("list").stdout.splitlines()
    assert lines[0].split() == ["ID", "USER", "NAME", "STATUS", "EXPIRES", "LAST", "USED"]
    assert lines[1].split() == [
        laptop["id"], "alice", "laptop", "active", "never", "2026-01-02", "03:04:05",
    ]  # fmt: skip
    assert lines[2].split()[1:4] == ["bob", "ci", "active"]
    assert [line.split()[1] for line in invoke("list", "--user", "bob").stdout.splitlines()] == [
        "USER",
        "bob",
    ]


def test_a_revoked_token_is_worthless_and_hidden(invoke: Invoke, daemon: TokenStore) -> None:
    made = make(invoke, "--user", "alice")
    done = invoke("revoke", made["id"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Revoked {made['id']} of alice. A running daemon rejects it")
    with pytest.raises(TokenRejectedError):
        daemon.authenticate(made["token"])
    assert made["id"] not in invoke("list").stdout
    for flag in ("--revoked", "--all"):
        assert "revoked" in invoke("list", flag).stdout
        [row] = json.loads(invoke("list", flag, "-o", "json").stdout)
        assert (row["id"], row["status"]) == (made["id"], "revoked")
    assert json.loads(invoke("revoke", made["id"], "-o", "json").stdout)["revoked_at"]


def test_tokens_of_sign_ins_are_shown_on_request_alone(
    invoke: Invoke, daemon: TokenStore, tmp_path: Path
) -> None:
    made = make(invoke, "--user", "alice")
    with make_engine(database_url(tmp_path)).begin() as connection:
        connection.execute(sa.update(table).values(sign_in_id="0123456789"))
    assert made["id"] not in invoke("list", "--revoked").stdout
    shown = invoke("list", "--all")
    assert made["id"] in shown.stdout
    [row] = json.loads(invoke("list", "--all", "-o", "json").stdout)
    assert row["sign_in_id"] == "0123456789"


def test_a_token_of_a_sign_in_is_not_marked_as_ending(
    invoke: Invoke, daemon: TokenStore, tmp_path: Path
) -> None:
    make(invoke, "--user", "alice", "--lifetime", "1h")
    with make_engine(database_url(tmp_path)).begin() as connection:
        connection.execute(sa.update(table).values(sign_in_id="0123456789"))
    listed = invoke("list", "--all")
    assert listed.stdout.splitlines()[1].split()[2] == "active"
    assert "within 7 days" not in listed.stderr
    [row] = json.loads(invoke("list", "--all", "-o", "json").stdout)
    assert row["ends_soon"] is False


def test_a_token_that_ends_within_a_week_is_marked_and_can_be_renewed(
    invoke: Invoke, daemon: TokenStore
) -> None:
    soon = make(invoke, "--user", "alice", "--lifetime", "6d")
    make(invoke, "--user", "bob", "--lifetime", "8d")
    listed = invoke("list")
    assert [line.split()[2] for line in listed.stdout.splitlines()[1:]] == ["expiring", "active"]
    assert listed.stderr == "1 token ends within 7 days: `aibridged tokens renew TOKEN-ID`.\n"
    rows = json.loads(invoke("list", "-o", "json").stdout)
    assert [(row["status"], row["ends_soon"]) for row in rows] == [
        ("active", True),
        ("active", False),
    ]
    renewed = invoke("renew", soon["id"][:8])
    assert (renewed.exit_code, renewed.stderr) == (0, "")
    assert renewed.stdout.startswith(f"Renewed {soon['id']} of alice. It expires on ")
    after = json.loads(invoke("list", "-o", "json").stdout)[0]["expires_at"]
    left = datetime.fromisoformat(after) - SystemClock().wall()
    assert timedelta(days=29) < left < timedelta(days=30)
    assert invoke("list").stderr == ""
    refused = invoke("renew", soon["id"], "--lifetime", "1d")
    assert (refused.exit_code, "give a longer --lifetime" in refused.stderr) == (1, True)
    assert "never expires" in invoke("renew", soon["id"], "--lifetime", "0").stdout


@pytest.mark.parametrize("command", ["create", "renew"])
@pytest.mark.parametrize("lifetime", ["0", "41d"])
def test_no_token_lasts_longer_than_the_maximum(
    invoke: Invoke, daemon: TokenStore, command: str, lifetime: str
) -> None:
    id = make(invoke, "--user", "alice", "--lifetime", "1d")["id"]
    what = ("--user", "alice") if command == "create" else (id,)
    limits = ("--max-token-lifetime", "40d", "--default-token-lifetime", "50d")
    refused = invoke(command, *what, *limits, "--lifetime", lifetime)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "longer than --max-token-lifetime" in refused.stderr
    done = json.loads(invoke(command, *what, *limits, "-o", "json").stdout)
    left = datetime.fromisoformat(done["expires_at"]) - SystemClock().wall()
    assert timedelta(days=39) < left < timedelta(days=40), "the default is within it"


def test_the_default_lifetime_is_a_setting(invoke: Invoke, daemon: TokenStore) -> None:
    made = make(invoke, "--user", "alice", "--default-token-lifetime", "3d")
    created, expires = (datetime.fromisoformat(made[key]) for key in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=3)


def test_an_empty_list_says_where_it_looked(
    invoke: Invoke, daemon: TokenStore, tmp_path: Path
) -> None:
    assert invoke("list").stderr == f"There are no tokens in {tmp_path}/aibridged.db.\n"
    assert invoke("list", "--user", "bob").stderr == (
        f"bob has no tokens in {tmp_path}/aibridged.db.\n"
    )
    assert json.loads(invoke("list", "-o", "json").stdout) == []


@pytest.mark.parametrize("command", ["create", "list"])
def test_an_unknown_user_is_answered_with_the_nearest(
    invoke: Invoke, daemon: TokenStore, command: str
) -> None:
    failed = invoke(command, "--user", "alise")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "There is no user 'alise'. Did you mean alice?\n"


def test_a_whole_token_given_as_an_id_is_not_repeated(invoke: Invoke, daemon: TokenStore) -> None:
    made = make(invoke, "--user", "alice")
    failed = invoke("revoke", made["token"])
    assert failed.exit_code == 1
    assert made["token"] not in failed.output
    assert "aibridged tokens list" in failed.stderr


def test_help_says_when_a_running_daemon_notices(invoke: Invoke) -> None:
    shown = invoke("revoke", "--help").stdout
    assert "within a few seconds" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
