"""Both official SDKs talk with a model that uses tools of the gateway's, and see none of them."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from anthropic import APIStatusError

from aibridged.config.options import PriceSettings
from aibridged.core.budgets import CENT
from aibridged.fake_provider import Answer, Script, ToolCall
from aibridged.fake_provider.answer import Usage
from aibridged.mcp.tools import ToolResult
from aibridged.pipeline.tool_loop.calls import MAX_ARGUMENTS
from aibridged.records import schema
from aibridged.wire.bounds import MAX_ELEMENTS
from tests.e2e.spend_limits import ledger, set_limit
from tests.waiting import until

OURS = ToolCall("bmcp_files_read", '{"path":"a"}')
OWN = ToolCall("weather", '{"city":"Bern"}')
TEN_CENTS = (PriceSettings(model="*", input=Decimal(0), output=Decimal(100_000)),)
"""For each token that is generated."""


async def test_a_tool_is_run_and_the_answer_is_one(with_tools, talk_to, fake, toolbox, api, way):
    talk = talk_to(await with_tools(), api, way)
    answer = await talk.say("Use the tool and think hard, please.")
    assert toolbox.called == [("read", {"path": "a path"})]
    assert talk.text(answer) == "Let me use the tool.\n\nThe tool answered: forty-two"
    assert talk.calls(answer) == []
    assert "bmcp" not in answer.to_json()
    assert len(fake.requests) == 2
    used = [request.usage for request in fake.requests]
    assert talk.tokens(answer) == (
        sum(usage.all_input for usage in used),
        sum(usage.output for usage in used),
    )


async def test_the_conversation_goes_on(with_tools, talk_to, fake, toolbox, api, way):
    talk = talk_to(await with_tools(), api, way)
    for text in ("Use the tool and think hard.", "Hello.", "Use the tool."):
        await talk.say(text)
    assert len(toolbox.called) == 2
    assert len(fake.requests) == 5


async def test_the_clients_own_tools_are_the_clients(with_tools, talk_to, fake, toolbox, api, way):
    talk = talk_to(await with_tools(), api, way)
    talk.offer("weather")
    answer = await talk.say("Use the tool weather.")
    ((name, tool),) = talk.calls(answer)
    assert tool == "weather"
    assert toolbox.called == []
    answer = await talk.bring((name, "sun"))
    assert talk.text(answer) == "The tool answered: sun"


async def test_tools_of_both_in_turn(with_tools, talk_to, fake, toolbox, api, way):
    fake.play(
        Script(answer=Answer(text="First.", calls=(OURS,))),
        Script(answer=Answer(text="Second.", thinking="Hm.", calls=(OURS,))),
        Script(answer=Answer(text="Third.", calls=(OWN,))),
        Script(answer=Answer(text="Fourth.", calls=(OURS,))),
        Script(answer=Answer(text="Fifth.")),
    )
    talk = talk_to(await with_tools(), api, way)
    talk.offer("weather")
    answer = await talk.say("Go.")
    assert talk.text(answer) == "First.\n\nSecond.\n\nThird."
    ((name, tool),) = talk.calls(answer)
    assert tool == "weather"
    answer = await talk.bring((name, "sun"))
    assert talk.text(answer) == "Fourth.\n\nFifth."
    assert len(toolbox.called) == 3


@pytest.mark.parametrize("first", [True, False])
async def test_calls_of_both_at_once_go_to_the_client_alone(
    with_tools, talk_to, fake, toolbox, api, way, first
):
    calls = (OURS, OWN) if first else (OWN, OURS)
    fake.play(Script(answer=Answer(text="Both.", thinking="Hm.", calls=calls)))
    talk = talk_to(await with_tools(), api, way)
    talk.offer("weather")
    answer = await talk.say("Go.")
    ((name, tool),) = talk.calls(answer)
    assert tool == "weather"
    assert toolbox.called == []
    answer = await talk.bring((name, "sun"))
    assert "sun" in talk.text(answer)


async def test_several_calls_of_ours_at_once_are_all_run(
    with_tools, talk_to, fake, toolbox, api, way
):
    write = ToolCall("bmcp_files_write", '{"path":"b"}')
    fake.play(Script(answer=Answer(calls=(OURS, write))))
    talk = talk_to(await with_tools(), api, way)
    answer = await talk.say("Go.")
    assert toolbox.called == [("read", {"path": "a"}), ("write", {"path": "b"})]
    assert talk.text(answer) == "The tool answered: forty-two forty-two"


async def test_a_failed_tool_is_told_to_the_model(with_tools, talk_to, fake, toolbox, api, way):
    toolbox.answers = [ToolResult("no such file", is_error=True)]
    talk = talk_to(await with_tools(), api, way)
    answer = await talk.say("Use the tool.")
    assert talk.text(answer).endswith("The tool answered: no such file")
    told = fake.requests[-1].json()
    if api == "messages":
        assert told["messages"][-1]["content"][0]["is_error"] is True


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_arguments_that_are_no_object_are_told_to_the_model(
    with_tools, talk_to, toolbox, fake, api, way
):
    """Anthropic's API has objects only, where they aren't broken off."""
    fake.play(Script(answer=Answer(calls=(ToolCall(OURS.name, "[1]"),))))
    talk = talk_to(await with_tools(), api, way)
    answer = await talk.say("Go.")
    assert "not a JSON object" in talk.text(answer)
    assert toolbox.called == []


async def test_long_arguments_are_told_to_the_model(with_tools, talk_to, toolbox, fake, api, way):
    long = ToolCall(OURS.name, f'{{"path":"{"x" * MAX_ARGUMENTS}"}}')
    fake.play(Script(answer=Answer(calls=(long, OURS))))
    talk = talk_to(await with_tools(), api, way)
    answer = await talk.say("Go.")
    assert "The arguments are too large: at most" in talk.text(answer)
    assert toolbox.called == [("read", {"path": "a"})]


async def test_crowded_arguments_are_told_to_the_model(with_tools, talk_to, toolbox, fake):
    """A table in a text isn't crowded, whatever its commas."""
    crowded = f'{{"path":[{"1," * (MAX_ELEMENTS + 1)}1]}}'
    table = f'{{"path":"{"1," * (MAX_ELEMENTS + 1)}"}}'
    fake.play(Script(answer=Answer(calls=tuple(ToolCall(OURS.name, a) for a in (crowded, table)))))
    talk = talk_to(await with_tools(), "messages", "streaming")
    answer = await talk.say("Go.")
    assert "The arguments are too large: at most" in talk.text(answer)
    assert [arguments for _, arguments in toolbox.called] == [json.loads(table)]


async def test_no_more_rounds_than_allowed(with_tools, talk_to, fake, toolbox, api, way):
    fake.play(Script(answer=Answer(text="Again.", thinking="Hm.", calls=(OURS,)), times=3))
    talk = talk_to(await with_tools(mcp_max_turns=2), api, way)
    answer = await talk.say("Go.")
    assert len(toolbox.called) == 2
    assert len(fake.requests) == 3
    assert talk.text(answer) == "Again.\n\nAgain.\n\nAgain."
    assert talk.calls(answer) == []
    assert "No more calls" not in fake.requests[1].body.decode()
    assert "No more calls" in fake.requests[2].body.decode()
    await talk.say("Thank you.")


async def test_no_more_rounds_once_a_spend_limit_is_reached(
    with_tools, talk_to, fake, toolbox, sqlite_database, clock, api, way
):
    """What is reserved at the start is for one turn."""
    again = Answer(text="Again.", calls=(OURS,), usage=Usage(input=9, output=2000))
    fake.play(Script(answer=again, times=9))
    set_limit(sqlite_database.engine, clock, 42_000)
    gateway = await with_tools(prices=TEN_CENTS, state_dir=sqlite_database.state_dir)
    talk = talk_to(gateway, api, way)
    answer = await talk.say("Go.")
    assert len(toolbox.called) == 3
    assert len(fake.requests) == 4
    assert talk.calls(answer) == []
    assert "No more calls" not in fake.requests[2].body.decode()
    assert "No more calls" in fake.requests[3].body.decode()
    await until(lambda: ledger(sqlite_database.engine) == (80_000, 0))


@pytest.mark.parametrize("api", ["messages"])
async def test_turns_of_parallel_requests_count_for_each_other(
    with_tools, talk_to, fake, toolbox, sqlite_database, clock, api, way
):
    """Though they are charged at the end of their requests."""
    again = Answer(text="Again.", calls=(OURS,), usage=Usage(input=9, output=2000))
    fake.play(Script(answer=again, times=99))
    set_limit(sqlite_database.engine, clock, 90_000)
    gateway = await with_tools(prices=TEN_CENTS, state_dir=sqlite_database.state_dir)
    toolbox.gate = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as talking:
        for _ in range(5):
            talking.create_task(talk_to(gateway, api, way).say("Go."))
        await until(lambda: len(toolbox.called) == 5)
        toolbox.gate.set()
    # Each alone would take six turns.
    assert 10 <= len(fake.requests) <= 13
    spent = len(fake.requests) * 20_000
    await until(lambda: ledger(sqlite_database.engine) == (spent, 0))


@pytest.mark.parametrize("api", ["messages"])
async def test_turns_that_have_ended_count_for_requests_that_begin(
    with_tools, talk_to, fake, toolbox, sqlite_database, clock, api, way
):
    again = Answer(text="Again.", calls=(OURS,), usage=Usage(input=9, output=2000))
    fake.play(Script(answer=again, times=2))
    set_limit(sqlite_database.engine, clock, 25_000)
    gateway = await with_tools(prices=TEN_CENTS, state_dir=sqlite_database.state_dir)
    gate, run = asyncio.Event(), toolbox.call

    async def call(*called):
        if toolbox.called:
            toolbox.gate = gate
        return await run(*called)

    toolbox.call = call
    async with asyncio.timeout(30), asyncio.TaskGroup() as talking:
        talking.create_task(talk_to(gateway, api, way).say("Go."))
        await until(lambda: len(toolbox.called) == 2)
        other = talk_to(gateway, api, way)
        other.options = {"max_tokens": 500}  # 5,000 cents, beside 20,000 and what is reserved
        with pytest.raises(APIStatusError) as refusal:
            await other.say("Me, too.")
        gate.set()
    assert "$250.00 leaves $40.00" in refusal.value.message


@pytest.mark.parametrize("api", ["messages"])
async def test_what_others_spend_meanwhile_counts_for_the_next_turn(
    with_tools, talk_to, fake, toolbox, sqlite_database, clock, api, way
):
    again = Answer(text="Again.", calls=(OURS,), usage=Usage(input=9, output=2000))
    fake.play(Script(answer=again, times=9))
    set_limit(sqlite_database.engine, clock, 110_000)
    gateway = await with_tools(prices=TEN_CENTS, state_dir=sqlite_database.state_dir)
    toolbox.gate = asyncio.Event()
    talking = asyncio.get_running_loop().create_task(talk_to(gateway, api, way).say("Go."))
    await toolbox.running.wait()
    with sqlite_database.engine.begin() as connection:
        more = schema.spend.c.spent_nanos + 90_000 * CENT
        connection.execute(schema.spend.update().values(spent_nanos=more))
    toolbox.gate.set()
    await talking
    assert len(fake.requests) == 2
    assert "No more calls" in fake.requests[1].body.decode()


async def test_responses_go_on_from_what_the_provider_has_stored(
    with_tools, talk_to, fake, toolbox, way
):
    """Whatever becomes of the configuration meanwhile."""
    gateway = await with_tools()
    talk = talk_to(gateway, "responses", way)
    talk.offer("weather")
    answer = await talk.say("Use the tool and think hard.")
    for limit, calls in enumerate(((OURS, OWN), (OWN, OURS), (OURS,), ()), start=100):
        gateway.reconfigure(replace(gateway.settings, rate_limit=limit))
        fake.play(Script(answer=Answer(text="Hm.", calls=calls)))
        talk.options = {"previous_response_id": answer.id}
        talk.history = [
            {"type": "function_call_output", "call_id": name, "output": "sun"}
            for name, _ in talk.calls(answer)
        ]
        answer = await talk.say("And now?")
    assert talk.text(answer) == "Hm."


async def test_responses_go_on_in_a_conversation(with_tools, talk_to, fake, toolbox, way):
    talk = talk_to(await with_tools(), "responses", way)
    talk.offer("weather")
    talk.options = {"conversation": "conv_1"}
    for calls in ((OURS,), (), (OURS, OWN), (), ()):
        fake.play(Script(answer=Answer(text="Hm.", calls=calls)))
        talk.history = []
        answer = await talk.say("Go.")
        for name, _ in talk.calls(answer):
            talk.history = []
            await talk.bring((name, "sun"))


@pytest.mark.parametrize("include", [[], ["reasoning.encrypted_content"]])
async def test_responses_that_are_not_stored(with_tools, talk_to, fake, toolbox, way, include):
    talk = talk_to(await with_tools(), "responses", way)
    talk.options = {"store": False, "include": include}
    answer = await talk.say("Use the tool and think hard.")
    assert "forty-two" in talk.text(answer)
    told = [item.get("type") for item in fake.requests[-1].json()["input"]]
    assert ("reasoning" in told) is bool(include)
    if include:
        await talk.say("Go on.")


async def test_what_is_sent_is_the_clients_request_and_more(with_tools, client, fake, toolbox):
    before = b' { "model":"m",\n "max_tokens" : 100, "messages":[ {"role":"user","content":'
    before += b'"use the tool"} '
    after = b'], "system":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}] } '
    gateway = await with_tools()
    url = f"{gateway.url}/anthropic/v1/messages"
    async with client.post(url, data=before + after) as response:
        assert response.status == 200
    first, second = (request.body for request in fake.requests)
    put_in = len(first) - len(before + after)
    assert first[:2] == before[:2]
    assert first[2 + put_in :] == before[2:] + after
    assert second.startswith(first[: -len(after)] + b',{"role":"assistant"')
    assert second.endswith(after)
    names = [tool["name"] for tool in json.loads(first)["tools"]]
    assert names == ["bmcp_files_read", "bmcp_files_write"]
