"""What is logged: no token, key or prompt, unless structured logging is on, and then as lines."""

import json
from collections import Counter
from contextlib import suppress

import aiohttp
import pytest
from loguru import logger

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Answer, Script, ToolCall
from aibridged.identity.tokens import TokenStore
from aibridged.observe.logging import configure

# Each in a place of its own: what was asked, what was answered, and what must stay secret.
PROMPT = "canary-prompt"
THOUGHT = "canary-thought"
ARGUMENT = "canary-argument"
RESULT = "canary-result"
TEXT = "canary-text"
OWN_KEY = "sk-ant-canary-own-0123456789abcdef"
ORGANISATION_KEY = "sk-ant-canary-organisation-0123456789"
SECRETS = (OWN_KEY, ORGANISATION_KEY)
CONTENT = (PROMPT, THOUGHT, ARGUMENT, RESULT, TEXT)

ANSWER = Answer(
    text=TEXT, thinking=THOUGHT, calls=(ToolCall("weather", json.dumps({"city": ARGUMENT})),)
)
BROKEN = b'data: {"type": "content_block_delta", "delta": %b\n\n' % TEXT.encode()
MARTIAN = b'event: martian\ndata: {"type": "martian", "x": "%b"}\n\n' % TEXT.encode()
SCRIPTS = [
    Script(answer=ANSWER),
    Script(answer=ANSWER, cut_after=900),
    Script(answer=ANSWER, error="overloaded_error", error_after=9),
    Script(stream=(BROKEN, MARTIAN)),
    Script(body=b'{"error": "%b' % TEXT.encode()),
    Script(status=400),
    Script(status=529),
    Script(close=True),
    Script(gzip=True, body=b"{}", headers=(("Content-Encoding", "gzip, martian"),)),
]
PATHS = {
    "/anthropic/v1/messages": {
        "messages": [{"role": "user", "content": f"{PROMPT}\n\x1b[31m"}],
        "max_tokens": 9,
        "metadata": {"user_id": "somebody"},
    },
    "/openai/v1/chat/completions": {"messages": [{"role": "user", "content": PROMPT}]},
    "/openai/v1/responses": {"input": PROMPT},
}
RESULTS = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "t", "content": RESULT}],
}


@pytest.fixture
def logs(tmp_path):
    """All that this process logs, at every level: lines for people, and as JSON."""
    human, lines = tmp_path / "log", tmp_path / "log.json"
    configure(str(human), str(lines), "", (), True, trace_logs=True)
    yield lambda: (
        human.read_text(),
        [json.loads(line) for line in lines.read_text().splitlines()],
    )
    logger.remove()


@pytest.fixture
def run(recording, client, fake, clock):
    """Lets a gateway meet everything once; returns what is recorded and the token it was with."""

    async def ask(url, token, path, body, headers):
        clock.advance(1)
        with suppress(aiohttp.ClientError):
            async with client.post(
                url + path, json={"model": "m", **body}, headers={"X-Coder-Token": token, **headers}
            ) as response:
                await response.read()

    async def run(**changes):
        keys = {
            "providers": tuple(
                ProviderSettings(name, name, Secret(ORGANISATION_KEY), url)
                for name, url in (("anthropic", fake.base_url), ("openai", fake.openai_url))
            )
        }
        gateway = await recording.start(auth="token", **keys, **changes)
        store = TokenStore(recording.database.engine, clock)
        store.create_user("ann")
        token = store.create_token("ann", name="laptop", lifetime=None)[1].reveal()
        for path, body in PATHS.items():
            for script in SCRIPTS:
                fake.play(script)
                own = {"Authorization": f"Bearer {OWN_KEY}"}
                await ask(gateway.url, token, path, {**body, "stream": True}, own)
            await ask(gateway.url, token[:-1] + "-", path, body, {})
            await ask(gateway.url, token, path, {**body, "model": 7}, {})
        await ask(gateway.url, token, "/anthropic/v1/messages", {"messages": [RESULTS]}, {})
        return await recording.rows(), token

    return run


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_no_log_line_holds_a_token_a_key_or_a_prompt(run, logs):
    rows, token = await run()
    assert len(rows) == len(PATHS) * len(SCRIPTS) + 1
    text, lines = logs()
    assert "could not be parsed for the record" in text
    assert "aborted its response" in text
    assert not any("record_type" in line["fields"] for line in lines)
    for canary in (*SECRETS, *CONTENT, token, token.rpartition("_")[2]):
        assert canary not in text, canary
        assert canary not in json.dumps(lines), canary


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_no_span_holds_a_token_a_key_or_a_prompt(run, logs, received_spans):
    rows, token = await run(trace=True)
    assert received_spans.count(b"Intercept.ProcessRequest.Upstream") == len(rows)
    assert b"aborted its response" in received_spans  # the lines are events
    for canary in (*SECRETS, *CONTENT, token, token.rpartition("_")[2]):
        assert canary.encode() not in received_spans, canary


async def test_with_structured_logging_each_record_is_a_line(run, logs):
    rows, token = await run(structured_logging=True)
    text, lines = logs()
    records = [line["fields"] for line in lines if line["msg"] == "interception log"]
    # What a provider didn't tell is estimated: the rows leave that out.
    told = [line for line in records if "estimated_input" not in line.get("metadata", ())]
    kinds = Counter(line["record_type"] for line in told)
    assert kinds == {
        "interception_start": len(rows),
        "interception_end": len(rows),
        "prompt_usage": sum(len(row["aibridge_user_prompts"]) for row in rows),
        "token_usage": sum(len(row["aibridge_token_usages"]) for row in rows),
        "tool_usage": sum(len(row["aibridge_tool_usages"]) for row in rows),
        "model_thought": sum(len(row["aibridge_model_thoughts"]) for row in rows),
    }
    assert min(kinds.values()) > 3
    # For people, too, a record is one line, whatever the caller put into it.
    assert text.count("\n") == len(lines)
    assert "\x1b" not in text
    # Records are written together: none speaks in the name of the request that is served then.
    assert not any("request_id" in line for line in records)
    for canary in (PROMPT, THOUGHT, ARGUMENT):
        assert canary in text
    ended = {line["interception_id"] for line in records if line["record_type"].endswith("_end")}
    assert {line["interception_id"] for line in records} == ended
    for canary in (*SECRETS, RESULT, token, token.rpartition("_")[2]):
        assert canary not in text, canary
