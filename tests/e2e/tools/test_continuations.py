"""A stored response is continued from its last turn after a restart and through other gateways."""

import json

import openai
import pytest

from aibridged.config.options import McpServerSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Answer, Script, ToolCall
from aibridged.identity.tokens import TokenStore
from aibridged.records import schema
from tests.waiting import until

OURS = ToolCall("bmcp_files_read", '{"path":"a"}')
OWN = ToolCall("weather", '{"city":"Bern"}')
TOOLS = {"mcp_servers": (McpServerSettings("files", "http://files/mcp"),)}


def continuations(database):
    """The responses by which those on record go on, by the ids of those that clients name."""
    found = {row["object_id"]: row["continuation"] for row in database.rows(schema.stored_objects)}
    return {name: json.loads(each)["instead"] for name, each in found.items() if each is not None}


async def goes_on(talk_to, gateway, fake, shown, last):
    assert last != shown
    talk = talk_to(gateway, "responses", "streaming")
    talk.options = {"previous_response_id": shown}
    for _ in range(2):
        talk.history = []
        await talk.say("And now?")
        assert fake.requests[-1].json()["previous_response_id"] == last


async def test_after_a_restart(recording, talk_to, fake, toolbox):
    talk = talk_to(await recording.start(**TOOLS), "responses", "streaming")
    fake.play(Script(answer=Answer(text="Hm.", calls=(OURS,))))
    shown = (await talk.say("Read.")).id
    gateway = await recording.start(**TOOLS)
    [(name, last)] = continuations(recording.database).items()
    assert name == shown
    await goes_on(talk_to, gateway, fake, shown, last)


async def test_through_another_gateway(
    start_gateway, postgres_database, talk_to, fake, toolbox, tmp_path
):
    url = Secret(postgres_database.url.render_as_string(hide_password=False))
    first, second = [await start_gateway(postgres_url=url, **TOOLS) for _ in range(2)]
    talk = talk_to(first, "responses", "streaming")
    fake.play(Script(answer=Answer(text="Hm.", calls=(OURS,))))
    shown = (await talk.say("Read.")).id
    at_once = talk_to(second, "responses", "streaming")
    at_once.options = {"previous_response_id": shown}
    await at_once.say("And then?")
    await until(lambda: continuations(postgres_database))
    last = continuations(postgres_database)[shown]
    assert fake.requests[-1].json()["previous_response_id"] == last
    await goes_on(talk_to, second, fake, shown, last)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_call_that_was_not_run_is_answered(recording, talk_to, fake, toolbox, way):
    talk = talk_to(await recording.start(**TOOLS), "responses", way)
    talk.offer("weather")
    fake.play(Script(answer=Answer(calls=(OURS, OWN))))
    answer = await talk.say("Read, and tell the weather.")
    again = talk_to(await recording.start(**TOOLS), "responses", way)
    again.offer("weather")
    again.options = {"previous_response_id": answer.id}
    ((call, _),) = talk.calls(answer)
    await again.bring((call, "sun"))  # the provider refuses it where a result is missing
    outputs = [item for item in fake.requests[-1].json()["input"] if "output" in item]
    assert [item["output"] for item in outputs] == [
        "Not run. Call it again if it is needed.",
        "sun",
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_with_a_key_of_ones_own_and_for_its_maker_alone(
    recording, connect_sdk, fake, toolbox, clock
):
    users = TokenStore(recording.database.engine, clock)

    def user(name):
        users.create_user(name)
        token = users.create_token(name, name="laptop", lifetime=None)[1].reveal()
        return {"api_key": "sk-own", "default_headers": {"X-Coder-Token": token}}

    ann, eve = user("ann"), user("eve")
    gateway = await recording.start(auth="token", **TOOLS)
    fake.play(Script(answer=Answer(text="Hm.", calls=(OURS,))))
    sdk = connect_sdk("openai", gateway.url, **ann)
    async with sdk.responses.stream(model="m", input="Read.") as stream:
        shown = (await stream.get_final_response()).id
    gateway = await recording.start(auth="token", **TOOLS)
    asked = {"model": "m", "input": "And?", "previous_response_id": shown}
    with pytest.raises(openai.BadRequestError):  # the provider's: eve's goes as it came
        await connect_sdk("openai", gateway.url, **eve).responses.create(**asked)
    assert fake.requests[-1].json()["previous_response_id"] == shown
    await connect_sdk("openai", gateway.url, **ann).responses.create(**asked)
    last = continuations(recording.database)[shown]
    assert fake.requests[-1].json()["previous_response_id"] == last
