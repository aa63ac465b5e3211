"""`aibridged policies`, as a person would use it."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner, Result

from aibridged.cli.policies import policies
from aibridged.clock import SystemClock
from aibridged.identity import tables
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine

Invoke = Callable[..., Result]
SETTINGS = """\
aibridge:
  policies:
    - groups: [contractors, agency]
      models: [claude-haiku-*, gpt-5.4-nano]
      providers: [anthropic]
      allow_byok: false
      rate_limit: 2
      max_concurrency: 4
      mcp_servers: []
      claude_code: {model: haiku, env: {SECRET: canary}}
      session: {action: end, max_cost: 25, compactions: 0}
      budget: {warn_at: 80%, switch_at: 90%, models: {claude-*: claude-haiku-4-5}}
    - groups: [staff]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS)
    return file


@pytest.fixture
def invoke(
    invoke_on_a_store: Callable[[typer.Typer], Invoke],
    monkeypatch: pytest.MonkeyPatch,
    settings: Path,
    tmp_path: Path,
) -> Invoke:
    """Runs `policies explain` with users ann (of an agency), bob (staff) and joe (no group)."""
    explain = invoke_on_a_store(policies())
    monkeypatch.setenv("CODER_CONFIG_PATH", str(settings))
    clock = SystemClock()
    engine = make_engine(database_url(tmp_path))
    store = TokenStore(engine, clock)
    for username, group in (("ann", "agency"), ("bob", "staff"), ("joe", None)):
        row = {"user_id": store.create_user(username).id, "created_at": clock.wall()}
        if group is not None:
            id = str(uuid4())
            with engine.begin() as connection:
                connection.execute(
                    tables.groups.insert().values(id=id, name=group, created_at=clock.wall())
                )
                connection.execute(
                    tables.group_members.insert().values(**row, group_id=id, by_sign_in=True)
                )
    engine.dispose()

    def invoke(*args: str) -> Result:
        return explain("explain", *args)

    return invoke


def test_what_holds_for_a_user_and_why(invoke: Invoke) -> None:
    said = invoke("ann", "claude-haiku-4-5")
    assert (said.exit_code, said.stderr) == (0, "")
    assert (
        said.stdout
        == """\
ann is in agency.
Policy 1 counts: it is the first one for a group of theirs (agency).
  models                claude-haiku-*, gpt-5.4-nano
  providers             anthropic
  own keys (BYOK)       no
  requests per second   2
  requests at once      4
  MCP servers           none
  Claude Code settings  env, model
  sessions              action end, max_cost 25, repeated_calls 30
  budget                warn_at 80%, switch_at 90%, claude-* -> claude-haiku-4-5
claude-haiku-4-5 is granted by claude-haiku-*.
"""
    )


@pytest.mark.parametrize(
    ("args", "last"),
    [
        (("ann", "claude-opus-4-8"), "claude-opus-4-8 is not granted."),
        (("bob", "claude-opus-4-8"), "claude-opus-4-8 is granted."),
        (("joe",), "No policy fits: nothing is granted."),
        (("joe", "claude-haiku-4-5"), "claude-haiku-4-5 is not granted."),
    ],
)
def test_each_verdict(invoke: Invoke, args: tuple[str, ...], last: str) -> None:
    said = invoke(*args)
    assert (said.exit_code, said.stdout.splitlines()[-1]) == (0, last)


def test_without_policies_all_is_granted(invoke: Invoke, settings: Path) -> None:
    settings.write_text("")
    assert invoke("joe", "m").stdout.splitlines() == [
        "joe is in no group.",
        "There are no policies: everything is granted to everybody.",
        "m is granted.",
    ]


def test_a_policy_for_everybody(invoke: Invoke, settings: Path) -> None:
    settings.write_text("aibridge: {policies: [{groups: [x]}, {models: [m]}]}\n")
    said = invoke("ann").stdout
    assert "Policy 2 counts: it is for everybody whom no earlier one fits." in said
    assert "as --aibridge-allow-byok says" in said


def test_the_same_as_json(invoke: Invoke) -> None:
    said = json.loads(invoke("ann", "claude-opus-4-8", "-o", "json").stdout)
    assert (said["groups"], said["policy_number"], said["model_granted"]) == (["agency"], 1, False)
    assert said["policy"]["claude_code"]["model"] == "haiku"
    assert said["policy"]["session"] == {
        "action": "end",
        "max_cost": "25",
        "max_requests": None,
        "repeated_calls": 30,
        "compactions": None,
        "tokens_per_minute": None,
    }
    assert said["policy"]["budget"] == {
        "warn_at": "80%",
        "switch_at": "90%",
        "models": {"claude-*": "claude-haiku-4-5"},
    }
    assert json.loads(invoke("joe", "-o", "json").stdout)["policy"] is None


def test_an_unknown_user_and_settings_with_mistakes(invoke: Invoke, settings: Path) -> None:
    said = invoke("an")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "There is no user 'an'. Did you mean ann?" in said.stderr
    settings.write_text("aibridge: {policies: [{rate_limit: 0}]}\n")
    said = invoke("ann")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "0 is less than 1" in said.stderr


def test_the_list_needs_no_database(
    settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    listed = CliRunner().invoke(policies(), ["list", "-c", str(settings)])
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert [" ".join(line.split()) for line in listed.stdout.splitlines()] == [
        "# GROUPS MODELS PROVIDERS BYOK RATE AT ONCE MCP",
        "1 contractors, agency claude-haiku-*, gpt-5.4-nano anthropic no 2 4 none",
        "2 staff all all yes - - all",
    ]
    settings.write_text("")
    listed = CliRunner().invoke(policies(), ["list", "-c", str(settings)])
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert listed.stderr == "There are no policies: everything is granted to everybody.\n"
