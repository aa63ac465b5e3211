"""What a provider stores is for the person who made it, and what runs in the background is counted.

All callers share the organisation's key here, so the provider itself would show anyone anything.
"""

import asyncio
import json
import sqlite3

import openai
import pytest

from aibridged.config.secret import Secret
from aibridged.fake_provider import Script
from aibridged.identity.tokens import TokenStore
from aibridged.records import schema

TOKENS = schema.TOKEN_COUNTS
USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 5,
    "total_tokens": 35,
}
COUNTED = (20, 5, 10, 0)
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": "{}",
    "status": "completed",
}


def stored(id, status, *, usage=USAGE, error=None, output=(CALL,)):
    """A response as the provider stores it."""
    return {
        "id": id,
        "object": "response",
        "created_at": 1,
        "model": "gpt-x",
        "status": status,
        "background": True,
        "output": list(output),
        "usage": usage,
        "error": error,
    }


def answer(*args, **options):
    return Script(body=json.dumps(stored(*args, **options)).encode())


QUEUED = {"usage": None, "output": ()}


@pytest.fixture
def users(database, clock):
    """Makes a token of a user's."""
    store = TokenStore(database.engine, clock)

    def token(name):
        if name not in {user.username for user in store.list_users()}:
            store.create_user(name)
        return store.create_token(name, name="laptop", lifetime=None)[1].reveal()

    return token


@pytest.fixture
def sdk_of(users, connect_sdk):
    """A user's SDK, in front of a gateway."""
    return lambda name, gateway: connect_sdk("openai", gateway.url, api_key=users(name))


def told(row):
    kept = row["interception"]
    usages = row[schema.token_usages.name]
    counts = tuple(sum(usage[name] for usage in usages) for name in TOKENS)
    names = ("outcome", "background_status", "usage_partial")
    return (*(kept[name] for name in names), counts if usages else None)


# --- in the background


@pytest.mark.parametrize("background", [True, None])
async def test_what_is_never_fetched_is_completed_and_says_that_it_is_queued(
    recording, fake, connect_sdk, background
):
    """Some providers queue what didn't ask for it."""
    gateway = await recording.start()
    fake.play(answer("resp_1", "queued", **QUEUED))
    sdk = connect_sdk("openai", gateway.url)
    made = await sdk.responses.create(
        model="gpt-x", input="hello", **({"background": True} if background else {})
    )
    assert made.status == "queued"
    [row] = await recording.rows()
    assert told(row) == ("completed", "queued", True, None)
    [prompt] = row[schema.user_prompts.name]
    assert (prompt["prompt"], prompt["provider_response_id"]) == ("hello", "resp_1")


async def test_what_is_fetched_is_counted_once(recording, fake, connect_sdk):
    """However often it is polled and by whom, at the same time, and after a restart."""
    gateway = await recording.start()
    fake.play(answer("resp_1", "queued", **QUEUED))
    sdk = connect_sdk("openai", gateway.url)
    await sdk.responses.create(model="gpt-x", input="hello", background=True)
    fake.play(answer("resp_1", "in_progress", **QUEUED))
    assert (await sdk.responses.retrieve("resp_1")).status == "in_progress"
    fake.play(Script(times=6, body=answer("resp_1", "completed").body))
    got = await asyncio.gather(*[sdk.responses.retrieve("resp_1") for _ in range(5)])
    assert {each.usage.total_tokens for each in got} == {35}
    again = connect_sdk("openai", (await recording.start()).url)
    assert (await again.responses.retrieve("resp_1")).usage.total_tokens == 35
    [row] = await recording.rows()
    assert told(row) == ("completed", "completed", False, COUNTED)
    [tool] = row[schema.tool_usages.name]
    assert (tool["tool"], tool["provider_tool_call_id"]) == ("weather", "call_1")


@pytest.mark.parametrize(
    ("status", "options", "expected"),
    [
        ("incomplete", {}, ("completed", "incomplete", False, COUNTED)),
        (
            "failed",
            {"usage": None, "error": {"code": "server_error", "message": "m"}, "output": ()},
            ("failed", "failed", True, None),
        ),
        (
            "failed",
            {"error": {"code": "server_error", "message": "m"}},
            ("failed", "failed", False, COUNTED),
        ),
        ("cancelled", QUEUED, ("client_closed", "cancelled", True, None)),
        # A word that isn't known yet: it stays as it was.
        ("reticulating", QUEUED, ("completed", "queued", True, None)),
    ],
)
async def test_however_it_ends(recording, fake, connect_sdk, status, options, expected):
    gateway = await recording.start()
    sdk = connect_sdk("openai", gateway.url)
    fake.play(answer("resp_1", "queued", **QUEUED), answer("resp_1", status, **options))
    await sdk.responses.create(model="gpt-x", input="hello", background=True)
    if status == "cancelled":
        await sdk.responses.cancel("resp_1")
        # What comes late changes nothing.
        fake.play(answer("resp_1", "in_progress", **QUEUED))
    await sdk.responses.retrieve("resp_1")
    [row] = await recording.rows()
    assert told(row) == expected
    kept = row["interception"]
    failed = ("provider", "server_error", "m") if status == "failed" else (None, None, None)
    assert (kept["error_source"], kept["error_code"], kept["error_message"]) == failed


@pytest.mark.parametrize("starting_after", [None, 2])
async def test_a_stream_that_is_entered_later_is_read(recording, connect_sdk, starting_after):
    gateway = await recording.start()
    sdk = connect_sdk("openai", gateway.url)
    made = await sdk.responses.create(model="gpt-x", input="hello", background=True)
    options = {} if starting_after is None else {"starting_after": starting_after}
    for _ in range(2):
        events = [
            each async for each in await sdk.responses.retrieve(made.id, stream=True, **options)
        ]
        assert events[-1].type == "response.completed"
    [row] = await recording.rows()
    assert told(row) == ("completed", "completed", False, (1, 6, 0, 0))


async def test_a_stream_that_was_read_to_its_end_is_not_counted_again(recording, fake, connect_sdk):
    gateway = await recording.start()
    sdk = connect_sdk("openai", gateway.url)
    stream = await sdk.responses.create(
        model="gpt-x", input="to be or", background=True, stream=True
    )
    done = [each async for each in stream][-1].response
    fake.play(Script(body=done.to_json().encode()))
    assert (await sdk.responses.retrieve(done.id)).usage == done.usage
    [row] = await recording.rows()
    assert told(row)[:3] == ("completed", "completed", False)
    assert told(row)[3][:2] == (3, done.usage.output_tokens)
    assert len(row[schema.token_usages.name]) == 1


async def test_a_stream_that_was_left_goes_on_at_the_provider(recording, fake, connect_sdk):
    gateway = await recording.start()
    sdk = connect_sdk("openai", gateway.url)
    fake.play(Script(stall_after=2))
    stream = await sdk.responses.create(model="gpt-x", input="hi", background=True, stream=True)
    made = (await anext(stream)).response
    await stream.close()
    await asyncio.wait_for(fake.requests[0].disconnected.wait(), 5)
    await recording.stop()
    left = recording.database.row(schema.interceptions)
    assert (left["outcome"], left["background_status"]) == ("completed", "in_progress")
    sdk = connect_sdk("openai", (await recording.start()).url)
    await sdk.responses.retrieve(made.id)
    [row] = await recording.rows()
    assert told(row) == ("completed", "completed", False, (1, 6, 0, 0))


async def test_two_daemons_count_once(
    postgres_database, start_gateway, fake, connect_sdk, tmp_path
):
    url = Secret(postgres_database.url.render_as_string(hide_password=False))
    gateways = [
        await start_gateway(postgres_url=url, state_dir=tmp_path / name, shutdown_timeout=10.0)
        for name in ("one", "two")
    ]
    one, two = (connect_sdk("openai", gateway.url) for gateway in gateways)
    fake.play(answer("resp_1", "queued", **QUEUED))
    await one.responses.create(model="gpt-x", input="hello", background=True)
    fake.play(Script(times=6, body=answer("resp_1", "completed").body))
    await asyncio.sleep(0)
    for _ in range(50):  # until the other one can know of it
        if postgres_database.rows(schema.stored_objects):
            break
        await asyncio.sleep(0.02)
    await asyncio.gather(*[sdk.responses.retrieve("resp_1") for sdk in (one, two) * 3])
    for gateway in gateways:
        await gateway.stop()
    assert postgres_database.counts()["aibridge_token_usages"] == 1
    assert postgres_database.counts()["aibridge_tool_usages"] == 1
    row = postgres_database.row(schema.interceptions)
    assert (row["background_status"], row["usage_partial"]) == ("completed", False)


async def test_no_tools_are_put_into_what_runs_in_the_background(recording, fake, connect_sdk):
    """They would never be run: the response is fetched past the tool loop."""
    gateway = await recording.start()
    sdk = connect_sdk("openai", gateway.url)
    await sdk.responses.create(model="gpt-x", input="hello", background=True)
    assert "tools" not in fake.requests[0].json()


# --- whose it is


def uses(id, conversation):
    """Everything that can be done with a response and a conversation."""
    go_on = {"model": "gpt-x", "input": "go on"}
    return {
        "retrieve": lambda sdk: sdk.responses.retrieve(id),
        "encoded": lambda sdk: sdk.get(f"/responses/%72{id[1:]}", cast_to=object),
        "stream": lambda sdk: sdk.responses.retrieve(id, stream=True),
        "items": lambda sdk: sdk.responses.input_items.list(id),
        "cancel": lambda sdk: sdk.responses.cancel(id),
        "delete": lambda sdk: sdk.responses.delete(id),
        "go on": lambda sdk: sdk.responses.create(**go_on, previous_response_id=id),
        "compact": lambda sdk: sdk.responses.compact(**go_on, previous_response_id=id),
        "count": lambda sdk: sdk.responses.input_tokens.count(**go_on, previous_response_id=id),
        "large": lambda sdk: sdk.responses.create(
            model="gpt-x", input="x," * 60_000, previous_response_id=id
        ),
        "unreadable": lambda sdk: sdk.post(
            "/responses",
            body={"model": "m", "input": {"a": 1}, "previous_response_id": id},
            cast_to=object,
        ),
        "conversation": lambda sdk: sdk.responses.create(**go_on, conversation=conversation),
        "by object": lambda sdk: sdk.responses.create(**go_on, conversation={"id": conversation}),
        "count of it": lambda sdk: sdk.responses.input_tokens.count(
            **go_on, conversation=conversation
        ),
        "its retrieval": lambda sdk: sdk.conversations.retrieve(conversation),
        "its update": lambda sdk: sdk.conversations.update(conversation, metadata={}),
        "its items": lambda sdk: sdk.conversations.items.list(conversation),
        "new items": lambda sdk: sdk.conversations.items.create(conversation, items=[]),
        "an item": lambda sdk: sdk.conversations.items.retrieve(
            "msg", conversation_id=conversation
        ),
        "its deletion": lambda sdk: sdk.conversations.delete(conversation),
    }


async def test_what_one_person_has_made_is_not_there_for_another(
    recording, fake, sdk_of, monkeypatch
):
    monkeypatch.setattr("aibridged.records.stored_objects._RECENT_S", 0.0)
    gateway = await recording.start(auth="token")
    ann = sdk_of("ann", gateway)
    made = await ann.responses.create(model="gpt-x", input="hi")
    conversation = await ann.conversations.create()
    for _ in range(2):  # with what the daemon remembers, and from the database
        bob = sdk_of("bob", gateway)
        seen = fake.seen
        for name, use in uses(made.id, conversation.id).items():
            with pytest.raises(openai.NotFoundError) as caught:
                await use(bob)
            error = caught.value
            assert error.type == "invalid_request_error", name
            assert error.code in ("stored_object_not_found", "previous_response_not_found"), name
        assert fake.seen == seen
        ann = sdk_of("ann", gateway)  # of whom another token is the same person's
        for name, use in uses(made.id, conversation.id).items():
            if name != "unreadable":
                await use(ann)
        with pytest.raises(openai.NotFoundError):
            await ann.responses.retrieve("resp_unknown")
        gateway = await recording.start(auth="token")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tools", [False, True])
async def test_it_can_be_used_as_soon_as_its_id_is_told(recording, fake, sdk_of, stream, tools):
    """Even while its stream goes on."""
    gateway = await recording.start(auth="token")
    ann = sdk_of("ann", gateway)
    goes_on = asyncio.Event()
    if stream:
        fake.play(Script(before_write={2: goes_on}))
    made = await ann.responses.create(
        model="gpt-x",
        input="use the tool" if tools else "hi",
        tools=[{"type": "function", "name": "f", "parameters": {}, "strict": False}],
        stream=stream,
    )
    id = (await anext(made)).response.id if stream else made.id
    assert (await ann.responses.cancel(id)).id == id
    goes_on.set()
    if stream:
        assert [each async for each in made][-1].type == "response.completed"


async def test_what_is_not_stored_is_nobodys(recording, fake, sdk_of, monkeypatch):
    monkeypatch.setattr("aibridged.records.stored_objects._RECENT_S", 0.0)
    gateway = await recording.start(auth="token")
    ann = sdk_of("ann", gateway)
    made = await ann.responses.create(model="gpt-x", input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        await ann.responses.retrieve(made.id)
    await recording.stop()
    assert recording.database.rows(schema.stored_objects) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","input":"hi","previous_response_id":"%b","previous_response_id":null}',
        b'{"model":"m","input":"hi","previous\\u005fresponse_id":"%b","previous_response_id":"x"}',
        b'{"model":"m","input":"hi","c\\u006fnversation":"%b","c\\u006fnversation":null}',
    ],
)
async def test_a_field_that_is_there_twice_is_refused(recording, users, fake, client, sdk_of, body):
    """A provider may take the other one."""
    gateway = await recording.start(auth="token")
    made = await sdk_of("ann", gateway).responses.create(model="gpt-x", input="hi")
    async with client.post(
        f"{gateway.url}/openai/v1/responses",
        data=body % made.id.encode(),
        headers={"Authorization": f"Bearer {users('bob')}"},
    ) as response:
        assert response.status in (400, 404)
    assert fake.seen == 1


async def test_with_an_own_key_the_provider_decides(recording, fake, sdk_of, users, connect_sdk):
    gateway = await recording.start(auth="token")
    ann = sdk_of("ann", gateway)
    made = await ann.responses.create(model="gpt-x", input="hi")
    conversation = await ann.conversations.create()
    token = users("bob")
    bob = connect_sdk(
        "openai", gateway.url, api_key="sk-own", default_headers={"X-Coder-Token": token}
    )
    for name, use in uses(made.id, conversation.id).items():
        if name != "unreadable":
            await use(bob)
    assert fake.requests[-1].header("Authorization") == "Bearer sk-own"
    # What was made with it isn't shown to who has the organisation's.
    own = await bob.responses.create(model="gpt-x", input="hi")
    for sdk in (ann, sdk_of("bob", gateway)):
        with pytest.raises(openai.NotFoundError):
            await sdk.responses.retrieve(own.id)


async def test_an_own_keys_background_is_counted_too(recording, fake, users, connect_sdk):
    gateway = await recording.start(auth="token")
    bob = connect_sdk(
        "openai", gateway.url, api_key="sk-own", default_headers={"X-Coder-Token": users("bob")}
    )
    made = await bob.responses.create(model="gpt-x", input="hi", background=True)
    await bob.responses.retrieve(made.id)
    [row] = await recording.rows()
    assert told(row) == ("completed", "completed", False, (1, 6, 0, 0))


async def test_without_authentication_there_is_one_person(recording, connect_sdk):
    """Who may have made it before there was a gateway, or past it."""
    gateway = await recording.start()
    sdk = connect_sdk("openai", gateway.url)
    for name, use in uses("resp_before", "conv_before").items():
        if name != "unreadable":
            await use(sdk)
    await recording.stop()


async def test_without_a_database_nobody_is_shown_anything(
    sqlite_database, start_gateway, fake, connect_sdk, clock
):
    store = TokenStore(sqlite_database.engine, clock)
    store.create_user("ann")
    token = store.create_token("ann", name="laptop", lifetime=None)[1].reveal()
    gateway = await start_gateway(auth="token", state_dir=sqlite_database.state_dir)
    ann = connect_sdk("openai", gateway.url, api_key=token)
    made = await ann.responses.create(model="gpt-x", input="hi")
    with sqlite3.connect(sqlite_database.state_dir / "aibridged.db") as other:
        other.execute("ALTER TABLE aibridged_stored_objects RENAME TO elsewhere")
    with pytest.raises(openai.InternalServerError) as caught:
        await ann.responses.retrieve("resp_unknown")
    assert (caught.value.status_code, caught.value.code) == (503, "lookup_failed")
    assert caught.value.response.headers["Retry-After"] == "1"
    with pytest.raises(openai.InternalServerError):
        await ann.responses.create(model="gpt-x", input="hi", previous_response_id="resp_unknown")
    assert fake.seen == 1
    # What the daemon remembers needs no database.
    assert (await ann.responses.retrieve(made.id)).id == made.id
    with sqlite3.connect(sqlite_database.state_dir / "aibridged.db") as other:
        other.execute("ALTER TABLE elsewhere RENAME TO aibridged_stored_objects")


@pytest.mark.parametrize("path", ["/responses", "/conversations"])
async def test_lists_of_what_others_have_made_are_not_served(
    start_gateway, fake, connect_sdk, path
):
    gateway = await start_gateway()
    with pytest.raises(openai.APIStatusError) as caught:
        await connect_sdk("openai", gateway.url).get(path, cast_to=object)
    assert caught.value.code == "method_not_allowed"
    assert fake.seen == 0
