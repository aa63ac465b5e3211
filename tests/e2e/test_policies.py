"""What people are granted by their groups, through the whole gateway."""

import asyncio
import gzip
import json
from dataclasses import replace
from io import BytesIO
from uuid import uuid4

import anthropic
import openai
import pytest
import sqlalchemy as sa

from aibridged.config.options import (
    McpServerSettings,
    PolicySettings,
    ProviderSettings,
    Settings,
)
from aibridged.config.secret import Secret
from aibridged.fake_provider import Script
from aibridged.identity import tables
from aibridged.identity.tokens import TokenStore
from aibridged.records.open_database import open_database
from tests.waiting import until

SMALL = PolicySettings(("contractors",), ("claude-fake-small", "gpt-fake-small"))
STAFF = PolicySettings(("staff",))
MESSAGES = [{"role": "user", "content": "hi"}]
GRANTED = "Granted: claude-fake-small, gpt-fake-small. Ask the operator of the gateway."


class People:
    """The users of one database, and their groups."""

    def __init__(self, engine, clock):
        self.store = TokenStore(engine, clock)
        self._engine, self._clock = engine, clock

    def token(self, username, *groups):
        """A token of a user, who is made a member of these groups."""
        now = self._clock.wall()
        if username not in {user.username for user in self.store.list_users()}:
            self.store.create_user(username)
        token = self.store.create_token(username, name="laptop", lifetime=None)[1].reveal()
        of_user = self.store.authenticate(token).id
        with self._engine.begin() as connection:
            for name in groups:
                query = sa.select(tables.groups.c.id).where(tables.groups.c.name == name)
                id = connection.scalar(query)
                if id is None:
                    id = str(uuid4())
                    connection.execute(
                        tables.groups.insert().values(id=id, name=name, created_at=now)
                    )
                member = {
                    "group_id": id,
                    "user_id": of_user,
                    "by_sign_in": False,
                    "created_at": now,
                }
                connection.execute(tables.group_members.insert().values(member))
        return token


@pytest.fixture
def people(tmp_path, clock):
    """Those of the gateways that `start` starts."""
    engine = open_database(replace(Settings(), state_dir=tmp_path))
    yield People(engine, clock)
    engine.dispose()


@pytest.fixture
def start(start_gateway, people, fake, tmp_path):
    """Starts a gateway with policies and three providers."""
    providers = (
        ProviderSettings("anthropic", "anthropic", Secret("sk-a"), fake.base_url),
        ProviderSettings("openai", "openai", Secret("sk-o"), f"{fake.base_url}/v1"),
        ProviderSettings("copilot", "copilot", None, fake.base_url),
    )

    async def start(*policies, **changes):
        return await start_gateway(
            auth="token", state_dir=tmp_path, providers=providers, policies=policies, **changes
        )

    return start


@pytest.fixture
def send(client):
    """Sends a request with a token; the status, the reason, the sentence and the body."""

    async def send(gateway, token, path, body=None, *, method=None, **headers):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        method = method or ("GET" if data is None else "POST")
        given = {"X-Coder-Token": token, **headers}
        data = data if data is None else BytesIO(data)
        async with client.request(method, gateway.url + path, data=data, headers=given) as response:
            content = await response.read()
        return response, content

    return send


def code(response):
    return response.status, response.headers.get("X-Aibridge-Reason")


async def test_each_sdk_raises_its_own_exception_with_the_model_and_what_is_granted(
    recording, connect_sdk, fake, clock
):
    token = People(recording.database.engine, clock).token("ann", "contractors")
    gateway = await recording.start(auth="token", policies=(SMALL, STAFF))
    claude, gpt = (
        connect_sdk(name, gateway.url, api_key=token) for name in ("anthropic", "openai")
    )
    with pytest.raises(anthropic.BadRequestError) as said:
        await claude.messages.create(model="claude-fake-large", max_tokens=9, messages=MESSAGES)
    assert said.value.body["error"]["message"] == (
        f"The model claude-fake-large is not granted to you. {GRANTED}"
    )
    assert said.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.BadRequestError):
        await claude.messages.count_tokens(model="claude-fake-large", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as said:
        await gpt.chat.completions.create(model="gpt-fake-large", messages=MESSAGES)
    assert said.value.code == "model_not_allowed"
    assert "The model gpt-fake-large is not granted to you" in said.value.message
    with pytest.raises(openai.BadRequestError):
        await gpt.responses.create(model="gpt-fake-large", input="hi")
    with pytest.raises(openai.BadRequestError):
        await gpt.embeddings.create(model="gpt-fake-large", input="hi")
    assert fake.requests == []
    await claude.messages.create(model="claude-fake-small", max_tokens=9, messages=MESSAGES)
    await claude.messages.count_tokens(model="claude-fake-small", messages=MESSAGES)
    await gpt.chat.completions.create(model="gpt-fake-small", messages=MESSAGES)
    await gpt.responses.create(model="gpt-fake-small", input="hi")
    models = [row["interception"]["model"] for row in await recording.rows()]
    assert sorted(models) == ["claude-fake-small", "gpt-fake-small", "gpt-fake-small"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/anthropic/v1/messages", {"fallbacks": [{"model": "claude-fake-large"}]}),
        ("/anthropic/v1/messages", {"tools": [{"name": "a", "model": "claude-fake-large"}]}),
        ("/anthropic/v1/messages/count_tokens", {"fallbacks": ["claude-fake-large"]}),
        ("/openai/v1/chat/completions", {"models": ["gpt-fake-large"]}),
        ("/openai/v1/responses", {"prompt": {"id": "pmpt_1"}, "input": "hi"}),
        ("/openai/v1/responses/compact", {"model": "gpt-fake-large", "input": "hi"}),
        ("/openai/v1/responses/input_tokens", {"model": "gpt-fake-large", "input": "hi"}),
        ("/openai/v1/responses/input_tokens", {"model": None, "previous_response_id": "resp_1"}),
        ("/openai/v1/completions", {"model": "gpt-fake-large", "prompt": "hi"}),
        ("/openai/v1/embeddings", {"embedding_model": "gpt-fake-large", "input": "hi"}),
        ("/copilot/v1/engines/gpt-fake-large/completions", {"prompt": "hi"}),
        ("/copilot/v1/engines/gpt-fake-large/completions", {"model": None, "prompt": "hi"}),
        ("/copilot/chunks", {"model": None, "content": "hi"}),
        ("/copilot/agents/tasks", {"prompt": "hi"}),
        ("/copilot/v1/messages/count_tokens", {"model": "gpt-fake-large"}),
    ],
)
async def test_what_else_may_choose_a_model_is_refused_before_it_is_sent(
    start, people, send, fake, path, body
):
    token = people.token("ann", "contractors")
    gateway = await start(SMALL)
    asked = {"model": "claude-fake-small", "messages": MESSAGES, **body}
    own = {"Authorization": "Bearer own"} if path.startswith("/copilot") else {}
    for content in (asked, gzip.compress(json.dumps(asked).encode())):
        coded = {"Content-Encoding": "gzip"} if isinstance(content, bytes) else {}
        response, said = await send(gateway, token, path, content, **own, **coded)
        assert code(response) == (400, "model_not_allowed"), said
        assert response.headers["X-Should-Retry"] == "false"
    assert fake.requests == []


async def test_a_large_request_is_checked_as_a_small_one_is(start, people, send, fake):
    token = people.token("ann", "contractors")
    gateway = await start(SMALL)
    text = [{"role": "user", "content": "x"} for _ in range(60_000)]
    asked = {"model": "claude-fake-small", "max_tokens": 9, "messages": text}
    for extra, wanted in (({}, (200, None)), ({"fallbacks": ["x"]}, (400, "model_not_allowed"))):
        response, _ = await send(gateway, token, "/anthropic/v1/messages", {**asked, **extra})
        assert code(response) == wanted


async def test_a_name_that_may_be_a_key_is_not_repeated(start, people, send, fake):
    token = people.token("ann", "contractors")
    gateway = await start(SMALL)
    for model in ("sk-ant-api03-0123456789abcdefghijkl", "x\x00\n" * 100, token, "\ud800"):
        asked = {"model": model, "messages": MESSAGES}
        response, said = await send(gateway, token, "/anthropic/v1/messages", asked)
        assert code(response) == (400, "model_not_allowed")
        assert json.loads(said)["message"] == f"The model * is not granted to you. {GRANTED}"


async def test_who_fits_no_policy_gets_nothing(start, people, send, fake):
    token = people.token("bob", "other")
    gateway = await start(SMALL, STAFF)
    for path, body in (
        ("/anthropic/v1/messages", {"model": "m", "messages": MESSAGES}),
        ("/openai/v1/models", None),
        ("/anthropic/api/event_logging/batch", {}),
    ):
        response, said = await send(gateway, token, path, body)
        assert code(response) == (400, "provider_not_allowed")
        assert "No policy of the gateway fits your groups" in json.loads(said)["message"]
    assert fake.requests == []


async def test_providers_and_keys_of_ones_own(start, people, send, fake):
    contractor, staff = people.token("ann", "contractors"), people.token("bob", "staff")
    policy = PolicySettings(("contractors",), providers=("openai",), allow_byok=False)
    gateway = await start(policy, STAFF)
    claude = ("/anthropic/v1/messages", {"model": "m", "max_tokens": 9, "messages": MESSAGES})
    gpt = ("/openai/v1/chat/completions", {"model": "m", "messages": MESSAGES})
    own = {"Authorization": "Bearer sk-own"}
    response, said = await send(gateway, contractor, *claude)
    assert code(response) == (400, "provider_not_allowed")
    assert json.loads(said)["message"] == (
        "The provider anthropic is not granted to you. Granted: openai. Ask the operator of the "
        "gateway."
    )
    response, _ = await send(gateway, contractor, *gpt, **own)
    assert code(response) == (403, "byok_disabled")
    assert fake.requests == []
    for token, question, headers in ((contractor, gpt, {}), (staff, claude, {}), (staff, gpt, own)):
        response, _ = await send(gateway, token, *question, **headers)
        assert response.status == 200


async def test_a_persons_own_rate_counts_all_of_their_tokens(start, people, send, fake, clock):
    tokens = [people.token("ann", "staff"), people.token("ann")]
    other = people.token("bob", "staff")
    policy = replace(STAFF, rate_limit=2)
    gateway = await start(policy)
    asked = ("/openai/v1/chat/completions", {"model": "m", "messages": MESSAGES})
    for token in tokens:
        assert (await send(gateway, token, *asked))[0].status == 200
    response, said = await send(gateway, tokens[0], *asked)
    assert code(response) == (429, "rate_limited")
    assert response.headers["Retry-After"] == "1"
    assert "X-Should-Retry" not in response.headers
    assert "your limit is 2 a second" in json.loads(said)["message"]
    assert (await send(gateway, other, *asked))[0].status == 200
    clock.advance(1)
    assert (await send(gateway, tokens[1], *asked))[0].status == 200
    assert len(fake.requests) == 4


async def test_a_persons_own_requests_at_once(start, people, send, fake):
    ann, bob = people.token("ann", "staff"), people.token("bob", "staff")
    gateway = await start(replace(STAFF, max_concurrency=1))
    gate = asyncio.Event()
    fake.play(Script(before_headers=gate))
    asked = ("/openai/v1/chat/completions", {"model": "m", "messages": MESSAGES})
    async with asyncio.TaskGroup() as group:
        first = group.create_task(send(gateway, ann, *asked))
        await until(lambda: fake.requests)
        response, said = await send(gateway, ann, *asked)
        assert code(response) == (429, "concurrency_limited")
        assert response.headers["Retry-After"] == "1"
        assert "your limit is 1" in json.loads(said)["message"]
        assert (await send(gateway, bob, *asked))[0].status == 200
        gate.set()
    assert first.result()[0].status == 200
    assert (await send(gateway, ann, *asked))[0].status == 200
    assert len(gateway.components.person_limits) == 0


async def test_a_reload_changes_what_is_granted_and_keeps_the_rest(start, people, send, fake):
    token = people.token("ann", "contractors")
    gateway = await start()
    asked = ("/openai/v1/chat/completions", {"model": "large", "messages": MESSAGES})
    assert (await send(gateway, token, *asked))[0].status == 200
    gateway.reconfigure(replace(gateway.settings, policies=(SMALL,)))
    assert code((await send(gateway, token, *asked))[0]) == (400, "model_not_allowed")
    kept = gateway.components.policies
    gateway.reconfigure(replace(gateway.settings, retention=60.0))
    assert gateway.components.policies is kept
    gateway.reconfigure(replace(gateway.settings, policies=()))
    assert (await send(gateway, token, *asked))[0].status == 200


async def test_both_lists_of_models_show_what_is_granted(start, people, connect_sdk, fake):
    token = people.token("ann", "contractors")
    gateway = await start(SMALL)
    claude, gpt = (
        connect_sdk(name, gateway.url, api_key=token) for name in ("anthropic", "openai")
    )
    page = await claude.models.list(limit=1)
    assert [model.id async for model in page] == ["claude-fake-small"]
    assert (page.has_more, page.first_id, page.last_id) == (
        False,
        "claude-fake-small",
        "claude-fake-small",
    )
    assert [model.id async for model in gpt.models.list()] == ["gpt-fake-small"]
    assert (await claude.models.retrieve("claude-fake-small")).id == "claude-fake-small"
    assert (await gpt.models.retrieve("gpt-fake-small")).id == "gpt-fake-small"
    seen = len(fake.requests)
    with pytest.raises(anthropic.NotFoundError) as said:
        await claude.models.retrieve("claude-fake-large")
    assert said.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(openai.NotFoundError) as said:
        await gpt.models.retrieve("gpt-fake-large")
    assert said.value.code == "model_not_found"
    assert len(fake.requests) == seen


async def test_without_a_restriction_a_list_is_the_providers_byte_for_byte(
    start, people, send, fake
):
    staff = people.token("bob", "staff")
    gateway = await start(SMALL, STAFF)
    body = b'{"data": [ {"id": "x"} ],\n "has_more": true}'
    fake.play(Script(body=body, headers=(("ETag", '"1"'),)))
    response, content = await send(gateway, staff, "/anthropic/v1/models?limit=1")
    assert (content, response.headers["ETag"]) == (body, '"1"')
    assert fake.requests[-1].raw_path == "/v1/models?limit=1"


@pytest.mark.parametrize("is_coded", [False, True])
async def test_a_filtered_list_has_its_own_length_and_no_coding_or_tag(
    start, people, send, fake, is_coded
):
    token = people.token("ann", "contractors")
    gateway = await start(SMALL)
    body = b'{"object":"list","data":[{"id":"gpt-fake-small"},{"id":"x"}]}'
    coding = (("Content-Encoding", "gzip"),) if is_coded else ()
    fake.play(
        Script(
            body=gzip.compress(body) if is_coded else body,
            headers=(*coding, ("ETag", '"1"'), ("X-Kept", "1")),
        )
    )
    response, content = await send(gateway, token, "/openai/v1/models")
    assert json.loads(content) == {"object": "list", "data": [{"id": "gpt-fake-small"}]}
    assert response.headers["Content-Length"] == str(len(content))
    assert response.headers["X-Kept"] == "1"
    assert "ETag" not in response.headers
    assert "Content-Encoding" not in response.headers
    fake.play(Script(body=b""))
    response, content = await send(gateway, token, "/openai/v1/models", method="HEAD")
    assert (response.status, content) == (200, b"")


@pytest.mark.parametrize(
    "script",
    [
        Script(body=b"<html>"),
        Script(body=b'{"data":[{"id":"gpt-fake-small","x":"%b"}]}' % (b"x" * 2 * 1024 * 1024)),
        Script(body=b"\x1f\x8bnot", headers=(("Content-Encoding", "gzip"),)),
        Script(body=b'{"data":[]}', headers=(("Content-Encoding", "br"),)),
        Script(status=206, body=b'{"data":[{"id":"gpt-fake-large"'),
    ],
)
async def test_a_list_that_can_not_be_filtered_is_not_shown(start, people, send, fake, script):
    token = people.token("ann", "contractors")
    gateway = await start(SMALL)
    fake.play(script)
    response, content = await send(gateway, token, "/openai/v1/models")
    assert code(response) == (502, "upstream_invalid")
    assert b"gpt-fake-large" not in content


async def test_a_providers_error_in_place_of_a_list_is_relayed(start, people, send, fake):
    token = people.token("ann", "contractors")
    gateway = await start(SMALL)
    fake.play(Script(status=429, body=b"slow down"))
    response, content = await send(gateway, token, "/openai/v1/models")
    assert (response.status, content) == (429, b"slow down")


async def test_managed_settings_are_for_those_who_have_signed_in(start, people, send, fake):
    ann, bob = people.token("ann", "contractors"), people.token("bob", "staff")
    policy = replace(SMALL, claude_code='{"model":"haiku"}')
    gateway = await start(policy, STAFF)
    response, content = await send(gateway, ann, "/managed/settings")
    assert json.loads(content)["settings"] == {"model": "haiku"}
    tag = response.headers["ETag"]
    response, content = await send(
        gateway, ann, "/managed/settings", **{"If-None-Match": f'W/{tag}, "x"'}
    )
    assert (response.status, content) == (304, b"")
    assert code((await send(gateway, bob, "/managed/settings"))[0]) == (404, "no_managed_settings")
    assert (await send(gateway, "wrong", "/managed/settings"))[0].status == 401
    gateway.reconfigure(replace(gateway.settings, policies=()))
    assert (await send(gateway, ann, "/managed/settings"))[0].status == 404
    assert fake.requests == []


async def test_a_bridge_has_the_tools_of_the_servers_that_are_granted(start, people, send, fake):
    """With another policy it is another bridge, at once."""
    token = people.token("ann", "contractors")
    servers = (McpServerSettings("tickets", "http://127.0.0.1:1/mcp"),)
    gateway = await start(mcp_servers=servers)
    asked = ("/openai/v1/embeddings", {"model": "m", "input": "hi"})
    seen = []
    for granted in (None, (), ("tickets",)):
        policies = (PolicySettings(mcp_servers=granted),)
        gateway.reconfigure(replace(gateway.settings, policies=policies))
        assert (await send(gateway, token, *asked))[0].status == 200
        key, lease = list(gateway.components.bridges._leases.items())[-1]
        seen.append((key.mcp_servers, lease.bridge._tools is not None))
    assert seen == [(None, True), ((), False), (("tickets",), True)]
