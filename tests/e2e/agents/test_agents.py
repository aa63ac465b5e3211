"""Real agents through the daemon: what is on record is what was typed, said and used."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.clock import SystemClock
from aibridged.fake_provider import FakeProvider, Script
from aibridged.fake_provider.answer import Answer, ToolCall
from aibridged.fake_provider.received import Received
from aibridged.identity.tokens import TokenStore
from aibridged.records.database import database_url, make_engine
from aibridged.records.migrations import upgrade
from tests.e2e.agents.agents import CASES, Case, Setting
from tests.e2e.agents.packages import PACKAGES, node, program

FOLDER = Path(os.environ["AIBRIDGED_AGENTS"]).resolve()
PROGRAMS = {package.name: program(FOLDER, package) for package in PACKAGES}
INSTALLED = [case for case in CASES if PROGRAMS[case.package].exists()]

BRIDGED = ("/messages", "/chat/completions", "/responses")
SHELLS = (
    *("Bash", "bash", "shell", "exec_command", "run_shell_command", "run_commands", "terminal"),
)
FINAL = ("submit_and_exit", "finish")
KEPT = ("PATH", "LANG", "TERM", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
COMMAND_S = 120

pytestmark = pytest.mark.timeout(3 * COMMAND_S)


@pytest.mark.parametrize("case", INSTALLED, ids=lambda case: case.name)
async def test_what_is_on_record(case, daemon_in_front_of, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("CODER_")]:
        monkeypatch.delenv(name)
    fake = FakeProvider(choose=_SCRIPTS[case.script])
    await fake.start()
    state = tmp_path / "state"
    variables = {"CODER_STATE_DIR": str(state)}
    token = "token"
    if case.signs_in:
        variables["CODER_AIBRIDGE_AUTH"] = "token"
        token = _new_token(state)
    try:
        async with daemon_in_front_of(fake.base_url, **variables) as daemon:
            said = await _run(case, daemon.url, token, tmp_path)
            daemon.process.send_signal(signal.SIGTERM)
            await daemon.process.wait()
    finally:
        await fake.stop()
    sent = [each for each in fake.requests if _bridged(each)]
    assert sent, said
    rows, story = _recorded(state)
    print(story)  # of `make agents`, to be looked at
    _check(case, sent, rows, said)


SESSIONS = ("claude", "codex", "opencode-messages", "opencode-responses", "opencode-chat")
LIMIT = 4


@pytest.mark.parametrize(
    "case", [case for case in INSTALLED if case.name in SESSIONS], ids=lambda case: case.name
)
async def test_an_agent_in_a_loop_shows_the_end_and_stops(
    case, daemon_in_front_of, tmp_path, monkeypatch
):
    for name in [name for name in os.environ if name.startswith("CODER_")]:
        monkeypatch.delenv(name)
    fake = FakeProvider(choose=_always_the_same)
    await fake.start()
    state = tmp_path / "state"
    variables = {
        "CODER_STATE_DIR": str(state),
        "CODER_AIBRIDGE_POLICY_0_SESSION": json.dumps({"action": "end", "repeated_calls": LIMIT}),
    }
    try:
        async with daemon_in_front_of(fake.base_url, **variables) as daemon:
            said = await _run(case, daemon.url, "token", tmp_path, only_first=True)
    finally:
        await fake.stop()
    print(said)  # of `make agents`, to be looked at
    calls = [each for each in fake.requests if _always_the_same(each) not in (None, _DONE)]
    assert len(calls) == LIMIT, said
    assert "The gateway has ended this session" in said
    assert f"has made the same tool calls {LIMIT} times in a row" in said


def _check(case: Case, sent: Sequence[Received], rows: Sequence[Mapping[str, Any]], said: str):
    assert len(rows) == len(sent), said
    prompts = [prompt["prompt"] for row in rows for prompt in row["user_prompts"]]
    assert tuple(prompts) == case.prompts, said
    purposes = [(row["metadata"] or {}).get("purpose") for row in rows]
    assert {purpose for purpose in purposes if purpose} <= case.purposes
    own = [row for row, purpose in zip(rows, purposes, strict=True) if not purpose]
    assert {row["client"] for row in own} == {case.client}
    if case.is_one_session:
        assert len({row["session_id"] for row in rows}) == 1
    assert {row["outcome"] for row in own} == {"completed"}
    used = Counter((each.usage.all_input, each.usage.output) for each in sent if each.usage)
    assert used == Counter(_used(usage) for row in rows for usage in row["token_usages"])
    _check_threads(rows, sent)


def _used(usage: Mapping[str, int]) -> tuple[int, int]:
    cached = usage["cache_read_input_tokens"] + usage["cache_write_input_tokens"]
    return usage["input_tokens"] + cached, usage["output_tokens"]


def _check_threads(rows: Sequence[Mapping[str, Any]], sent: Sequence[Received]) -> None:
    """Who brings the result of a call, or word of it, is in the thread of that call."""
    calls = [call["provider_tool_call_id"] for row in rows for call in row["tool_usages"]]
    brought = [each for each in sent if any(call in _end_of(each) for call in calls)]
    assert len(brought) == sum(row["thread_parent_id"] is not None for row in rows)


def _end_of(each: Received) -> str:
    """What stands behind the model's last words."""
    body = each.json()
    items = body.get("messages") or body.get("input") or []
    models = [n for n, item in enumerate(items) if _is_models(item)] if items else []
    return json.dumps(items[models[-1] + 1 :]) if models else ""


def _is_models(item: Any) -> bool:
    called = isinstance(item, dict) and str(item.get("type")).endswith("_call")
    return called or (isinstance(item, dict) and item.get("role") == "assistant")


def _recorded(state: Path) -> tuple[Sequence[Mapping[str, Any]], str]:
    """All interceptions, the oldest first, and the sessions as people read them."""

    def ask(*arguments: str) -> str:
        result = CliRunner().invoke(build(), [*arguments, "--state-dir", str(state)])
        assert result.exit_code == 0, result.output
        return result.stdout

    listed = map(json.loads, ask("sessions", "list", "-o", "jsonl").splitlines())
    sessions = [each["session_id"] for each in listed]
    rows = [row for id in sessions for row in json.loads(ask("sessions", "show", id, "-o", "json"))]
    rows.sort(key=lambda row: row["started_at"])
    return rows, "\n".join(ask("sessions", "show", id) for id in sessions)


def _new_token(state: Path) -> str:
    """A token of a user in the state directory, which is made."""
    state.mkdir(mode=0o700)
    engine = make_engine(database_url(state))
    upgrade(engine)
    store = TokenStore(engine, SystemClock())
    store.create_user("ann")
    _, token = store.create_token("ann", name="laptop", lifetime=None)
    engine.dispose()
    return token.reveal()


async def _run(case: Case, url: str, token: str, folder: Path, *, only_first: bool = False) -> str:
    """Run the agent in a home of its own, or only its first command; what it said."""
    home, work = folder / "home", folder / "home" / "work"
    work.mkdir(parents=True)
    (work / "notes.txt").write_text("hello\n")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    at = Setting(home, url, str(PROGRAMS[case.package]), token)
    commands = case.prepare(at)
    variables = {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "NO_COLOR": "1",
        "CI": "1",
        "PATH": f"{node(FOLDER)}{os.pathsep}{kept['PATH']}",
        **at.variables,
    }
    said = []
    for command in commands[:1] if only_first else commands:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=work,
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), COMMAND_S)
        finally:
            _end(process)
        said.append(out.decode(errors="replace")[-4000:])
    return "\n".join(said)


def _end(process: asyncio.subprocess.Process) -> None:
    """Whatever the agent has started ends with it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _bridged(each: Received) -> bool:
    return each.method == "POST" and each.path.endswith(BRIDGED)


def _read(each: Received) -> tuple[dict[str, Any], str]:
    """The tools that a request offers, and its conversation as text."""
    body = each.json()
    tools = {}
    for tool in body.get("tools") or ():
        described = tool.get("function") or tool
        schema = described.get("parameters") or described.get("input_schema") or {}
        tools[described.get("name")] = schema
    return tools, json.dumps(body.get("messages") or body.get("input") or "")


def _has_result(conversation: str) -> bool:
    return any(mark in conversation for mark in ('"tool_result"', '"role": "tool"', '_output"'))


def _call(name: str, schema: Mapping[str, Any], command: str) -> Script:
    """A call of a tool that runs a command, or that ends the run."""
    properties = schema.get("properties", {})
    arguments = {}
    for field in schema.get("required") or list(properties)[:1]:
        shape = properties.get(field, {})
        kind = shape.get("type", "string")
        if "enum" in shape:
            arguments[field] = shape["enum"][0]
        elif field in ("command", "cmd", "commands"):
            arguments[field] = [command] if kind == "array" else command
        else:
            arguments[field] = {"integer": 1000, "number": 1000, "boolean": False}.get(kind, "list")
    return Script(answer=Answer(text="I see.", calls=(ToolCall(name, json.dumps(arguments)),)))


_DONE = Script(answer=Answer(text="All done."))


def _tool(each: Received, command: str = "ls") -> Script | None:
    """A tool is called once; then it is done."""
    if not _bridged(each):
        return None
    tools, conversation = _read(each)
    shell = next((name for name in SHELLS if name in tools), None)
    if shell is None:
        return _DONE
    if not _has_result(conversation):
        return _call(shell, tools[shell], command)
    if final := next((name for name in FINAL if name in tools), None):
        return _call(final, tools[final], command)
    if "COMPLETE_TASK_AND_SUBMIT" in conversation:
        return _call(shell, tools[shell], "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT")
    return _DONE


def _always_the_same(each: Received) -> Script | None:
    """The same tool is called again and again."""
    if not _bridged(each):
        return None
    tools, _ = _read(each)
    shell = next((name for name in SHELLS if name in tools), None)
    return _DONE if shell is None else _call(shell, tools[shell], "ls")


def _waiting_tool(each: Received) -> Script | None:
    return _tool(each, 'touch "$HOME/running"; until test -e "$HOME/go"; do sleep 0.1; done; ls')


def _background(each: Received) -> Script | None:
    """An agent is started that runs longer than the answer takes."""
    if not _bridged(each):
        return None
    tools, conversation = _read(each)
    if "Agent" in tools and not _has_result(conversation):
        if "pears" in conversation:
            return Script(answer=Answer(text="Pears it is."), delay_headers=1.0)
        arguments = {"description": "fruit", "prompt": "Think of pears.", "run_in_background": True}
        call = ToolCall("Agent", json.dumps({**arguments, "subagent_type": "general-purpose"}))
        return Script(answer=Answer(text="I start.", calls=(call,)))
    if "Agent" not in tools and "pears" in conversation:
        return Script(answer=Answer(text="Pears it is."), delay_headers=1.0)
    return _DONE


_SCRIPTS = {
    "text": lambda each: _DONE if _bridged(each) else None,
    "tool": _tool,
    "waiting tool": _waiting_tool,
    "background": _background,
}
