"""The commands that ask what was recorded, typed after requests that were really made."""

import asyncio
import csv
import io
import json
import os
import signal
import sys

import pytest
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.fake_provider import Script

PATH = "/anthropic/v1/messages"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state-0"


@pytest.fixture
def ask(state, monkeypatch):
    """Types a command; returns what it said on stdout."""
    for name in os.environ:
        if name.startswith("CODER_"):
            monkeypatch.delenv(name)

    def ask(*args, exits=0):
        result = CliRunner().invoke(build(asked_for(args)), [*args, "--state-dir", str(state)])
        assert result.exit_code == exits, result.output
        return result.stdout if exits == 0 else result.stderr

    return ask


@pytest.fixture
async def asked(start_gateway, client, fake, clock):
    """Three requests of one session, one of them refused, and one without a session."""
    gateway = await start_gateway(shutdown_timeout=5.0)

    async def post(prompt, model, **headers):
        body = {
            "model": model,
            "max_tokens": 9,
            "messages": [{"role": "user", "content": prompt}],
        }
        async with client.post(gateway.url + PATH, json=body, headers=headers) as response:
            await response.read()
        clock.advance(1)

    session = {"X-Claude-Code-Session-Id": "s-1", "User-Agent": "claude-cli/2.1.0 (external)"}
    await post("first of all", "claude-a", **session)
    await post("think hard, from cache", "claude-b", **session)
    fake.play(Script(status=529))
    await post("red \x1b[31m\nand more", "claude-b", **session)
    await post("alone", "claude-c")
    await gateway.stop()


async def test_a_list_leads_to_the_one(asked, ask):
    heading, *rows = ask("interceptions", "list").splitlines()
    assert heading.split() == [
        "ID", "STARTED", "USER", "MODEL", "STATUS", "TOOK", "IN", "OUT", "COST", "REASON",
    ]  # fmt: skip
    assert rows[1].endswith("  provider: overloaded_error: Overloaded")
    assert [row.split()[5] for row in rows] == ["200", "529", "200", "200"]
    id = rows[-1].split()[0]
    shown = json.loads(ask("interceptions", "show", id))
    assert shown["id"] == id  # as it is in the log, the API and every other form
    assert shown["user_prompts"][0]["prompt"] == "first of all"
    assert (shown["client"], shown["client_session_id"]) == ("Claude Code", "s-1")


async def test_every_form_holds_the_same(asked, ask):
    whole = json.loads(ask("interceptions", "list", "--output", "json"))
    lines = ask("interceptions", "list", "--output", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == whole
    table = list(csv.DictReader(io.StringIO(ask("interceptions", "list", "-o", "csv"))))
    assert [row["model"] for row in table] == [each["model"] for each in whole]


async def test_why_one_failed_is_told_in_every_form(asked, ask):
    [failed] = json.loads(ask("interceptions", "list", "--status", "failed", "-o", "json"))
    shown = json.loads(ask("interceptions", "show", failed["id"]))
    written = ask("interceptions", "list", "--status", "failed", "-o", "csv")
    [row] = csv.DictReader(io.StringIO(written))
    for each in (failed, shown, row):
        assert {name: each[name] for name in each if name.startswith("error_")} == {
            "error_type": "overloaded",
            "error_source": "provider",
            "error_code": "overloaded_error",
            "error_message": "Overloaded",
        }


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("interceptions", "list"), "--after-id with the last ID goes on."),
        (("sessions", "list"), "Narrow the filters, or raise it (up to 1000)."),
        (("usage", "--by", "model"), "Narrow the filters, or raise it (up to 1000)."),
    ],
)
@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
async def test_a_list_says_when_it_stopped_at_its_limit(asked, state, args, said, output):
    def run(limit):
        flags = ("--limit", limit, "-o", output, "--state-dir", str(state))
        return CliRunner().invoke(build(asked_for(args)), [*args, *flags])

    stopped = run("1")
    assert stopped.stderr == f"There are more: the list stops at --limit 1. {said}\n"
    assert "There are more" not in stopped.stdout
    everything = run("4")
    assert everything.stderr == ""
    assert len(everything.stdout) > len(stopped.stdout)


async def test_filters_and_pages(asked, ask):
    def models(*flags):
        found = ask("interceptions", "list", "-o", "jsonl", *flags).splitlines()
        return [json.loads(line)["model"] for line in found]

    assert models("--model", "claude-b") == ["claude-b", "claude-b"]
    assert models("--status", "failed") == ["claude-b"]
    assert models("--session", "s-1", "--limit", "1") == ["claude-b"]
    assert models("--started-before", "2025-12-31") == []
    assert len(models("--initiator", "local")) == 4
    first = json.loads(ask("interceptions", "list", "-o", "jsonl", "--limit", "1"))
    assert models("--after-id", first["id"]) == ["claude-b", "claude-b", "claude-a"]


async def test_a_session_reads_like_a_story(asked, ask):
    _, *rows = ask("sessions", "list", "--columns", "session_id,n,first_prompt").splitlines()
    assert [row.split(maxsplit=2)[1:] for row in rows] == [["1", "alone"], ["3", "first of all"]]
    story = ask("sessions", "show", "s-1")
    lines = story.splitlines()
    assert lines[0] == "Session s-1"
    assert all(len(line) <= 80 for line in lines)
    assert story.index("> first of all") < story.index("> think hard, from cache")
    assert "    ~ " in story  # a thought
    assert "    ! provider: overloaded_error: Overloaded" in story
    assert "cached)" in story
    assert "\x1b" not in story  # nobody's prompt drives the reader's terminal


async def test_a_request_of_the_agents_own_is_marked(start_gateway, client, fake, ask):
    gateway = await start_gateway(shutdown_timeout=5.0)
    said = "Generate a title for this conversation:\n"
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": said}]}
    async with client.post(gateway.url + PATH, json=body) as response:
        await response.read()
    await gateway.stop()
    session = ask("sessions", "list").splitlines()[1].split()[0]
    story = ask("sessions", "show", session)
    assert "  m  (title)  200  " in story
    assert ">" not in story


async def test_totals(asked, ask):
    heading, *rows = ask("usage", "--by", "model").splitlines()
    assert heading.split()[0] == "MODEL"
    assert {row.split()[0]: row.split()[1] for row in rows} == {
        "claude-a": "1",
        "claude-b": "2",
        "claude-c": "1",
        "TOTAL": "4",
    }
    [day] = json.loads(ask("usage", "--by", "day", "-o", "json"))
    assert (day["key"], day["interceptions"]) == ("2026-01-01", 4)
    assert 0 < day["cached_share"] < 1


@pytest.mark.parametrize(
    ("args", "exits", "said"),
    [
        (("interceptions", "show", "nope"), 1, "aibridged interceptions list"),
        (("sessions", "show", "nope"), 1, "aibridged sessions list"),
        (("interceptions", "list", "--after-id", "nope"), 1, "no interception"),
        (("interceptions", "list", "--started-after", "soon"), 2, "soon"),
        (("interceptions", "list", "--limit", "1001"), 2, "1000"),
        (("interceptions", "list", "--status", "odd"), 2, "odd"),
        (("usage", "--by", "mood"), 2, "mood"),
    ],
)
async def test_mistakes_are_sentences(asked, ask, args, exits, said):
    assert said in ask(*args, exits=exits)


@pytest.fixture
async def start_tail(state):
    """Starts `aibridged tail` as a process, which doesn't outlive the test."""
    started = []

    async def start(*args):
        tail = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "aibridged", "tail", "--state-dir", str(state), *args),
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(tail)
        return tail

    yield start
    for tail in started:
        if tail.returncode is None:
            tail.kill()
            await tail.wait()


async def test_tail_shows_each_once_as_it_ends(start_gateway, start_tail, client, fake):
    gateway = await start_gateway()
    tail = await start_tail("--since", "2026-01-01", "-o", "jsonl")

    async def post(model):
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        async with client.post(gateway.url + PATH, json=body) as response:
            await response.read()

    async with asyncio.timeout(20):
        for model in ("one", "two"):
            await post(model)
            line = json.loads(await tail.stdout.readline())
            assert (line["model"], line["outcome"]) == (model, "completed")
        tail.send_signal(signal.SIGINT)
        assert await tail.stdout.read() == b""
        assert await tail.wait() == 0


async def test_what_runs_in_the_background_is_queued_until_it_is_fetched(
    start_gateway, client, ask
):
    gateway = await start_gateway(shutdown_timeout=5.0)
    body = {"model": "gpt-x", "input": "hi", "background": True}
    async with client.post(f"{gateway.url}/openai/v1/responses", json=body) as response:
        assert response.status == 200
        await response.read()
    await gateway.stop()
    assert "queued" in ask("interceptions", "list")
    [row] = json.loads(ask("interceptions", "list", "--output", "json"))
    assert (row["background_status"], row["outcome"]) == ("queued", "completed")
