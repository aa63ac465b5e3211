"""One line for each request, and its ids in every line of it."""

import asyncio
import json
import os
import re
import signal
from contextlib import suppress
from ipaddress import ip_network

import aiohttp
import pytest
from loguru import logger

from aibridged.fake_provider import Answer, Script, Usage
from aibridged.observe.log_outputs import finish
from aibridged.observe.logging import configure

MESSAGES = "/anthropic/v1/messages"
BODY = {
    "model": "claude-sonnet-4-5",
    "stream": True,
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
}
LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def lines(tmp_path):
    """What this process logs: the fields of each line, with its level and its message."""
    path = tmp_path / "log.json"
    configure("", str(path), "", (), False)

    def lines():
        finish(10)  # those that were gathered, too
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        return [{"level": each["level"], "msg": each["msg"], **each["fields"]} for each in entries]

    yield lines
    logger.remove()


@pytest.fixture
def line(lines):
    """The only line."""

    def line():
        [only] = lines()
        return only

    return line


async def ask(client, gateway, body=BODY, path=MESSAGES, **headers):
    async with client.post(gateway.url + path, json=body, headers=headers) as response:
        await response.read()
        return response


async def test_an_answer_is_told_with_all_that_is_known(start_gateway, client, fake, clock, line):
    gateway = await start_gateway()
    first, rest = asyncio.Event(), asyncio.Event()
    usage = Usage(input=3, output=4, cache_read=7, cache_write=5)
    fake.play(
        Script(answer=Answer(text="some words", usage=usage), before_write={0: first, 3: rest})
    )
    agent = {"User-Agent": "claude-cli/2"}
    async with client.post(gateway.url + MESSAGES, json=BODY, headers=agent) as response:
        clock.advance(0.25)
        first.set()
        await response.content.readany()
        clock.advance(1)
        rest.set()
        await response.read()
    assert "X-Aibridge-Request-Id" not in response.headers
    told = line()
    assert re.fullmatch(r"[0-9a-f]{16}", told.pop("request_id"))
    assert len(told.pop("interception_id")) == 36
    assert told == {
        "level": "INFO",
        "msg": f"POST {MESSAGES} 200",
        "method": "POST",
        "path": MESSAGES,
        "status": 200,
        "outcome": "completed",
        "username": "local",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "streamed": True,
        "first_byte_ms": 250,
        "total_ms": 1250,
        "input_tokens": 3,
        "output_tokens": 4,
        "cache_read_tokens": 7,
        "cache_write_tokens": 5,
        # The table of prices doesn't know where the fake provider is.
        "cost": "0.00008985",
        "cost_label": "estimated",
        "client": "Claude Code",
    }


async def test_a_route_that_is_only_forwarded(start_gateway, client, fake, line):
    gateway = await start_gateway()
    fake.play(Script(body=b"{}"))
    async with client.get(f"{gateway.url}/openai/v1/models/canary?key=canary") as response:
        assert response.status == 200
    told = line()
    assert told["msg"] == "GET /openai/v1/models/* 200"
    assert (told["outcome"], told["provider"]) == ("completed", "openai")
    assert "model" not in told
    assert "canary" not in str(told)


REFUSALS = [
    ({}, "/antropic/v1/messages", BODY, (400, "wrong_base_url", "WARNING", None)),
    ({}, "/antropic/x?key=sk-x", BODY, (404, "route_not_supported", "WARNING", None)),
    ({}, "/anthropic/%zz", BODY, (400, "invalid_request", "WARNING", None)),
    ({}, MESSAGES, {"model": 1}, (400, "invalid_request", "WARNING", "local")),
    ({"max_request_bytes": 9}, MESSAGES, BODY, (413, "request_too_large", "WARNING", "local")),
    ({"allow_byok": False}, MESSAGES, BODY, (403, "byok_disabled", "WARNING", "local")),
    ({"auth": "token"}, MESSAGES, BODY, (401, "unauthenticated", "WARNING", None)),
]


@pytest.mark.parametrize(("settings", "path", "body", "expected"), REFUSALS)
async def test_a_refusal_has_its_line(start_gateway, client, line, settings, path, body, expected):
    gateway = await start_gateway(**settings)
    keys = {"X-Coder-Token": "t", "X-Api-Key": "own"}
    response = await ask(client, gateway, body, path, **keys)
    told = line()
    found = told["status"], told["reason"], told["level"], told.get("username")
    assert (*found, told["outcome"]) == (*expected, "rejected")
    # Only the unknown are told by their address.
    assert ("remote" in told) is (expected[-1] is None)
    assert response.headers["X-Aibridge-Request-Id"] == told["request_id"]


async def test_a_method_that_nobody_serves_is_not_quoted(start_gateway, client, line):
    gateway = await start_gateway()
    async with client.request("PROPFIND", f"{gateway.url}/anthropic/v1/messages") as response:
        assert response.status == 405
    assert line()["msg"] == "_OTHER /anthropic/v1/messages 405"


async def test_a_path_that_is_not_served_is_shown_without_what_may_be_a_secret(
    start_gateway, client, line
):
    gateway = await start_gateway()
    await ask(client, gateway, path="/antropic/v1/messages/sk-ant-canary?key=canary")
    assert line()["msg"] == "POST /antropic/v1/messages/* 404"
    assert "canary" not in str(line())


async def test_limits_have_their_lines_and_are_warnings(start_gateway, client, fake, lines):
    gateway = await start_gateway(max_concurrency=1, rate_limit=1)
    gate = asyncio.Event()
    fake.play(Script(before_write={1: gate}))
    async with client.post(gateway.url + MESSAGES, json=BODY) as response:
        assert (await ask(client, gateway)).status == 503
        gate.set()
        await response.read()
    assert (await ask(client, gateway)).status == 429
    told = {each.get("reason"): each["level"] for each in lines()}
    assert told == {"at_capacity": "WARNING", None: "INFO", "rate_limited": "WARNING"}


@pytest.fixture
async def guarded(start_gateway):
    """Starts a gateway with tokens; it, and a valid token with its public id."""

    async def start(**settings):
        gateway = await start_gateway(auth="token", **settings)
        tokens = gateway._composition.resources.tokens
        tokens.create_user("ann")
        token = tokens.create_token("ann", name="", lifetime=None)[1].reveal()
        return gateway, token, token.split("_")[1]

    return start


async def test_a_refusal_by_the_rate_limit_names_the_token_and_the_user(
    guarded, client, fake, lines
):
    gateway, token, public_id = await guarded(rate_limit=1)
    assert (await ask(client, gateway, **{"X-Coder-Token": token})).status == 200
    assert (await ask(client, gateway, **{"X-Coder-Token": token})).status == 429
    _, refused = lines()
    assert (refused["username"], refused["api_key_id"]) == ("ann", public_id)
    assert token not in str(refused)


async def test_a_token_that_nobody_has_looked_up_is_a_claim(guarded, client, lines):
    gateway, token, public_id = await guarded(max_concurrency=1)
    assert gateway.components.slots.take()
    try:
        assert (await ask(client, gateway, **{"X-Coder-Token": token})).status == 503
        assert (await ask(client, gateway, **{"X-Coder-Token": "no-token"})).status == 503
        assert (await ask(client, gateway, Authorization="none")).status == 503
    finally:
        gateway.components.slots.release()
    first, *others = lines()
    assert (first.get("username"), first["claimed_api_key_id"]) == (None, public_id)
    assert token not in str(first)
    assert not any("claimed_api_key_id" in each for each in others)


async def test_a_token_that_is_no_longer_valid_is_told_why_and_so_is_the_log(
    guarded, client, lines, fake
):
    gateway, token, public_id = await guarded()
    tokens = gateway._composition.resources.tokens
    tokens.suspend_user("ann")
    answers = [await ask(client, gateway, **{"X-Coder-Token": token}) for _ in range(2)]
    for answer in answers:
        assert (answer.status, answer.headers["X-Should-Retry"]) == (401, "false")
        assert answer.headers["X-Aibridge-Reason"] == "user_suspended"
        message = (await answer.json(content_type=None))["error"]["message"]
        assert message.startswith("The user of the gateway token is suspended")
        assert message.endswith(f"Its id is {public_id}.")
    for told in lines():
        assert (told["reason"], told["username"]) == ("user_suspended", "ann")
        assert (told["api_key_id"], told["level"]) == (public_id, "WARNING")
        assert token not in str(told)
    assert fake.seen == 0


async def test_a_wrong_secret_is_told_nothing_and_the_log_has_what_it_claims(
    guarded, client, lines
):
    gateway, token, public_id = await guarded()
    gateway._composition.resources.tokens.revoke_token(public_id)
    wrong = token[:15] + "x" * 43
    answer = await ask(client, gateway, **{"X-Coder-Token": wrong})
    assert answer.headers["X-Aibridge-Reason"] == "unauthenticated"
    assert public_id not in str(await answer.json(content_type=None))
    [told] = lines()
    assert (told.get("username"), told["claimed_api_key_id"]) == (None, public_id)
    assert "x" * 43 not in str(told)


async def test_a_failed_request_says_where_it_went(start_gateway, client, fake, lines):
    gateway = await start_gateway()
    fake.play(Script(status=500), Script(close=True))
    for _ in range(2):
        await ask(client, gateway, path=f"{MESSAGES}?key=canary")
    answered, warning, unanswered = lines()
    where = f"{fake.base_url}/v1/messages"
    assert (answered["upstream"], unanswered["upstream"]) == (where, where)
    assert warning["msg"] == (
        f"Provider anthropic did not respond: {where}: it closed an idle connection"
    )
    assert "canary" not in str(lines())


FAILURES = [
    (Script(status=529), ("failed", 529, None, "WARNING")),
    (Script(close=True), ("failed", 502, "upstream_unreachable", "WARNING")),
    (Script(cut_after=300), ("failed", 200, None, "WARNING")),
    (Script(error="api_error", error_after=2), ("failed", 200, None, "WARNING")),
]


@pytest.mark.parametrize(("script", "expected"), FAILURES)
async def test_what_fails_is_told_and_each_line_has_the_ids(
    start_gateway, client, fake, lines, script, expected
):
    gateway = await start_gateway()
    fake.play(script)
    with suppress(aiohttp.ClientError):
        await ask(client, gateway)
    *before, last = lines()
    assert (last["outcome"], last["status"], last.get("reason"), last["level"]) == expected
    assert all(each["request_id"] == last["request_id"] for each in before)
    assert all(each["interception_id"] == last["interception_id"] for each in before)
    assert bool(before) is (script.close or script.cut_after is not None)


async def test_a_client_that_leaves(start_gateway, client, fake, lines):
    gateway = await start_gateway(shutdown_timeout=5.0)
    fake.play(Script(stall_after=2))
    async with client.post(gateway.url + MESSAGES, json=BODY) as response:
        await response.content.readany()
        response.close()
    await gateway.stop()
    [told] = lines()
    assert (told["outcome"], told["status"]) == ("client_closed", 200)


async def test_a_request_that_the_end_cuts_off(start_gateway, client, fake, lines):
    gateway = await start_gateway(shutdown_timeout=0.0)
    fake.play(Script(stall_after=2))
    async with client.post(gateway.url + MESSAGES, json=BODY) as response:
        await response.content.readany()
        await gateway.stop()
    [told] = [each for each in lines() if each["msg"].startswith("POST")]
    assert (told["outcome"], told["status"]) == ("interrupted", 200)


async def test_probes_leave_no_line_and_questions_do(start_gateway, client, line):
    gateway = await start_gateway()
    for path in ("/healthz", "/readyz", "/api/v2/aibridge/interceptions?limit=1"):
        async with client.get(gateway.url + path) as response:
            assert response.status == 200
    told = line()
    assert told["msg"] == "GET /api/v2/aibridge/interceptions 200"
    assert told["username"] == "local"


async def test_one_connection_has_many_requests_with_an_id_each(start_gateway, client, lines):
    gateway = await start_gateway()
    for _ in range(3):
        await ask(client, gateway)
    assert len({each["request_id"] for each in lines()}) == 3


@pytest.mark.parametrize(
    ("origins", "given", "taken"),
    [
        (LOOPBACK, "req-1.A_z", True),
        ((), "req-1", False),
        (LOOPBACK, "x" * 65, False),
        (LOOPBACK, "two words", False),
        (LOOPBACK, "", False),
    ],
)
async def test_a_trusted_proxy_may_name_a_request(
    start_gateway, client, fake, line, origins, given, taken
):
    gateway = await start_gateway(proxy_trusted_origins=origins)
    await ask(client, gateway, **{"X-Request-Id": given})
    assert (line()["request_id"] == given) is taken
    headers = {name.lower(): value for name, value in fake.requests[-1].raw_headers}
    assert headers[b"x-request-id"] == given.encode()


async def test_an_id_that_is_given_twice_is_none(start_gateway, client, line):
    gateway = await start_gateway(proxy_trusted_origins=LOOPBACK)
    headers = [("X-Request-Id", "one"), ("X-Request-Id", "two")]
    async with client.post(gateway.url + MESSAGES, json=BODY, headers=headers) as response:
        await response.read()
    assert line()["request_id"] not in ("one", "two")


async def test_the_address_is_the_one_that_the_proxy_names(start_gateway, client, line):
    gateway = await start_gateway(
        proxy_trusted_origins=LOOPBACK, proxy_trusted_headers=("X-Forwarded-For",)
    )
    await ask(client, gateway, path="/nowhere", **{"X-Forwarded-For": "192.0.2.7"})
    assert line()["remote"] == "192.0.2.7"


async def test_a_log_that_fails_spoils_no_answer(start_gateway, client, lines, monkeypatch):
    def fail(finished):
        raise RuntimeError("a bug")

    monkeypatch.setattr("aibridged.daemon.resources.request_finished", fail)
    gateway = await start_gateway()
    assert (await ask(client, gateway)).status == 200
    assert [each["msg"] for each in lines()] == ["Failed to log a finished request"]


async def test_text_of_a_callers_is_one_line_for_people(start_gateway, client, tmp_path):
    configure(str(tmp_path / "log"), "", "", (), False)
    gateway = await start_gateway()
    forged = "x\n2026-01-01 00:00:00.000 [INFO]  forged\r\x1b[2J\u202e"
    await ask(client, gateway, {**BODY, "model": forged})
    logger.remove()
    [text] = (tmp_path / "log").read_text().splitlines()
    assert text.isprintable()
    assert "model=" in text


async def test_sigusr1_opens_files_that_were_moved_away(start_daemon, client, tmp_path):
    path = tmp_path / "log.json"
    daemon = await start_daemon("--log-json", str(path))
    await ask(client, daemon)
    rotated = path.rename(tmp_path / "log.json.1")
    daemon.process.send_signal(signal.SIGUSR1)
    await daemon.until("Reopened the log files")
    await ask(client, daemon, {**BODY, "model": "after"})
    daemon.process.terminate()
    await daemon.process.wait()
    assert "claude-sonnet-4-5" in rotated.read_text()
    assert "Shutting down" not in rotated.read_text()
    _, first, *_ = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["fields"]["model"] == "after"


async def test_a_reader_of_the_log_that_is_stuck_holds_up_nobody(daemon_in_front_of, fake, client):
    """Standard output is a pipe that nobody reads, and more is written than it holds."""
    reading, writing = os.pipe()
    async with daemon_in_front_of(
        fake.base_url, "--log-json", "/dev/stdout", stdout=writing
    ) as daemon:
        os.close(writing)
        for _ in range(300):
            response = await ask(client, daemon, {**BODY, "model": "m" * 200})
            assert response.status == 200
    os.close(reading)
