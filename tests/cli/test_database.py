"""Which database a command works on, and what it says of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aibridged.cli import build
from aibridged.config import service
from tests.migrated import migrate

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Runs commands in an empty home, on a machine without a service."""
    app = build()
    monkeypatch.setattr(service, "ROOT", tmp_path / "root")
    environ = {"HOME": str(tmp_path / "home"), "STATE_DIRECTORY": None, "COLUMNS": "80"}
    for name in ("CODER_STATE_DIR", "CODER_CONFIG_PATH", "CODER_PG_CONNECTION_URL"):
        environ[name] = None

    def invoke(*args: str, **variables: str) -> Result:
        return CliRunner(env={**environ, **variables}).invoke(app, args)

    return invoke


def database_in(directory: Path) -> Path:
    directory.mkdir(parents=True, mode=0o700)
    migrate(directory)
    return directory / "aibridged.db"


@pytest.fixture
def of_service(tmp_path: Path) -> Path:
    """The database of a service on this machine."""
    return database_in(tmp_path / "root/var/lib/aibridged")


@pytest.mark.parametrize(
    "args",
    [
        ("users", "list"),
        ("users", "suspend", "alice"),
        ("users", "mcp-token", "list"),
        ("users", "mcp-token", "remove", "alice", "github"),
        ("tokens", "list"),
        ("tokens", "create", "--user", "alice"),
        ("tokens", "revoke", "abc"),
        ("db", "check"),
        ("db", "prune"),
        ("usage",),
        ("sessions", "list"),
        ("interceptions", "list"),
        ("tail",),
    ],
    ids=" ".join,
)
def test_only_creating_something_makes_a_database(
    invoke: Invoke, args: tuple[str, ...], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    asked = invoke(*args, "--state-dir", str(state))
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert f"There is no database at {state}/aibridged.db: run `aibridged serve`" in asked.stderr
    assert not state.exists()


@pytest.mark.parametrize("args", [("users", "list"), ("tokens", "list"), ("usage",)], ids=" ".join)
def test_reading_migrates_no_schema(invoke: Invoke, args: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "aibridged.db").touch(mode=0o600)
    asked = invoke(*args, "--state-dir", str(tmp_path))
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "run `aibridged db upgrade`" in asked.stderr


def test_the_services_database_is_found_and_named(invoke: Invoke, of_service: Path) -> None:
    listed = invoke("users", "list")
    assert listed.exit_code == 0
    assert listed.stderr == (
        f"Using the service's database, {of_service}.\nThere are no users in {of_service}.\n"
    )


def test_flags_and_variables_outrank_the_service(
    invoke: Invoke, of_service: Path, tmp_path: Path
) -> None:
    own = database_in(tmp_path / "own")
    by_flag = invoke("users", "list", "--state-dir", str(own.parent))
    assert by_flag.stderr == f"There are no users in {own}.\n", "the flag says where"
    by_variable = invoke("users", "list", CODER_STATE_DIR=str(own.parent))
    assert by_variable.stderr.startswith(f"Using the database {own} (CODER_STATE_DIR).\n")


def test_the_default_database_needs_no_remark(invoke: Invoke, tmp_path: Path) -> None:
    own = database_in(tmp_path / "home/.local/state/aibridged")
    assert invoke("users", "list").stderr == f"There are no users in {own}.\n"


def test_the_providers_keys_of_the_service_need_not_be_readable(
    invoke: Invoke, of_service: Path, tmp_path: Path
) -> None:
    etc = tmp_path / "root/etc/aibridged"
    etc.mkdir(parents=True)
    (etc / "aibridged.yaml").write_text(
        "aibridge: {providers: [{type: openai, name: x, key_file: /run/credentials/gone}]}\n"
    )
    assert invoke("users", "list").exit_code == 0
    (etc / "aibridged.yaml").write_text("aibridge: {state_dri: /elsewhere}\n")
    misspelt = invoke("users", "list")
    assert misspelt.exit_code == 1
    assert "state_dri" in misspelt.stderr


def test_a_service_that_is_out_of_reach_is_named(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A broken link is as unusable as a directory of another user's, for root as well.
    directory = tmp_path / "root/var/lib/aibridged"
    directory.parent.mkdir(parents=True)
    directory.symlink_to("private")
    listed = invoke("users", "list")
    assert listed.exit_code == 1
    assert f"the service's state directory is {directory}, which this user can't" in listed.stderr
    assert "There is no database at" in listed.stderr
    asked = invoke("status")
    assert asked.exit_code == 1
    assert "run this as root" in asked.stderr
    assert "No daemon is running" in asked.stderr


def test_a_user_in_a_database_without_a_daemon_is_remarked_on(
    invoke: Invoke, tmp_path: Path
) -> None:
    for name, again in (("alice", False), ("bob", False), ("carol", True)):
        if again:
            (tmp_path / "state" / "spool.jsonl").touch()
        made = invoke("users", "create", name, "--state-dir", str(tmp_path / "state"))
        assert made.exit_code == 0
        assert ("no daemon has used this database" in made.stderr) is not again
