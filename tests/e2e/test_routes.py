"""What reaches a model is recorded, whatever its path."""

import json

import openai
import pytest

from aibridged.config.options import ProviderSettings
from aibridged.fake_provider import Script
from aibridged.records import schema

TOKENS = schema.TOKEN_COUNTS
EMBEDDING = {"model": "text-embedding", "input": "a private file"}


def tokens(row):
    """The sums of the four counts."""
    usages = row[schema.token_usages.name]
    return tuple(sum(usage[name] for usage in usages) for name in TOKENS)


def told(row):
    kept = row["interception"]
    return kept["model"], kept["outcome"], kept["usage_partial"], tokens(row)


async def test_a_compaction_is_recorded_with_its_tokens(recording, fake, connect_sdk):
    gateway = await recording.start()
    usage = {"input_tokens": 192_000, "output_tokens": 900, "total_tokens": 192_900}
    body = {"id": "resp_c", "object": "response.compaction", "created_at": 1, "usage": usage}
    body["output"] = [{"type": "compaction", "id": "cmp", "encrypted_content": "E"}]
    fake.play(Script(body=json.dumps(body).encode()))
    sdk = connect_sdk("openai", gateway.url)
    made = await sdk.responses.compact(
        model="gpt-x", input=[{"role": "user", "content": "an earlier prompt"}]
    )
    assert made.output[0].encrypted_content == "E"
    assert fake.requests[0].header("Authorization") == "Bearer sk-openai-organisation"
    [row] = await recording.rows()
    assert told(row) == ("gpt-x", "completed", False, (192_000, 900, 0, 0))
    assert row[schema.user_prompts.name] == []


async def test_a_compaction_of_megabytes_is_read_in_slices(recording, fake, connect_sdk):
    gateway = await recording.start()
    history = [{"role": "user", "content": "x y" * 1000} for _ in range(1000)]
    sdk = connect_sdk("openai", gateway.url)
    await sdk.responses.compact(model="gpt-x", input=history)
    assert fake.requests[0].json()["input"] == history
    [row] = await recording.rows()
    assert row["interception"]["outcome"] == "completed"
    assert tokens(row)[1] == 2


async def test_a_compaction_has_a_circuit_of_its_own(start_gateway, fake, client):
    gateway = await start_gateway(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
    fake.play(Script(status=503))
    statuses = []
    for path in ("/responses/compact", "/responses/compact", "/responses"):
        async with client.post(
            f"{gateway.url}/openai/v1{path}", json={"model": "m", "input": "hi"}
        ) as response:
            statuses.append((response.status, response.headers.get("X-Aibridge-Reason")))
    assert statuses == [(503, None), (503, "circuit_open"), (200, None)]


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_embeddings_are_recorded_without_their_input(recording, fake, client, form):
    gateway = await recording.start()
    request = {**EMBEDDING, "encoding_format": form, "dimensions": 50_000}
    async with client.post(f"{gateway.url}/openai/v1/embeddings", json=request) as response:
        assert response.status == 200
        body = await response.read()
    assert len(body) > 250_000
    assert len(body) == fake.requests[0].sent
    assert json.loads(body)["model"] == "text-embedding"
    [row] = await recording.rows()
    assert told(row) == ("text-embedding", "completed", False, (3, 0, 0, 0))
    assert row[schema.user_prompts.name] == []


async def test_vectors_of_any_size_are_relayed_and_their_tokens_found(recording, fake, client):
    """More than a decoder should be given, with the usage behind it."""
    gateway = await recording.start()
    body = b'{"data":[{"embedding":[%b]}],"model":"m","usage":{"total_tokens":7}}' % (
        b"-0.0023064255," * 1_800_000 + b"0"
    )
    fake.play(Script(stream=tuple(body[at : at + 65536] for at in range(0, len(body), 65536))))
    async with client.post(f"{gateway.url}/openai/v1/embeddings", json=EMBEDDING) as response:
        assert await response.read() == body
    [row] = await recording.rows()
    assert told(row) == ("text-embedding", "completed", False, (7, 0, 0, 0))


@pytest.mark.parametrize("stream", [False, True])
async def test_legacy_completions_are_recorded(recording, fake, connect_sdk, stream):
    gateway = await recording.start()
    sdk = connect_sdk("openai", gateway.url)
    made = await sdk.completions.create(model="gpt-x", prompt="private code", stream=stream)
    if stream:
        chunks = [chunk async for chunk in made]
        assert all(chunk.choices for chunk in chunks)  # the usage is the gateway's alone
    [row] = await recording.rows()
    model, outcome, partial, counts = told(row)
    assert (model, outcome, partial) == ("gpt-x", "completed", False)
    assert counts[0] == 2
    assert row[schema.user_prompts.name] == []


OWN = {"X-Coder-Token": "gateway-token", "Authorization": "Bearer tid=1;sku=plan"}


async def test_copilots_routes_that_run_a_model_are_recorded(recording, fake, client):
    providers = (ProviderSettings("copilot", "copilot", None, fake.base_url),)
    gateway = await recording.start(providers=providers)
    asked = {
        "/embeddings": {"model": "embed", "input": ["private"]},
        "/chunks": {"content": "private", "embedding_model": "metis"},
        "/search/code": {"prompt": "private"},
        "/v1/engines/engine/completions": {"prompt": "private", "stream": True},
        "/responses/compact": {"model": "gpt-x", "input": "private"},
    }
    for path, body in asked.items():
        if path in ("/chunks", "/search/code"):
            fake.play(Script(body=b'{"chunks":[],"results":[]}'))
        async with client.post(f"{gateway.url}/copilot{path}", json=body, headers=OWN) as response:
            assert (path, response.status) == (path, 200)
            await response.read()
        received = fake.requests[-1]
        assert (received.raw_path, received.json()) == (path, body)
        assert received.header("Authorization") == OWN["Authorization"]
    rows = await recording.rows()
    partial = {row["interception"]["model"]: row["interception"]["usage_partial"] for row in rows}
    # Where the provider tells no tokens, the record says so.
    assert partial == {
        "embed": False,
        "metis": True,
        "search": True,
        "engine": True,
        "gpt-x": False,
    }
    assert {row["interception"]["outcome"] for row in rows} == {"completed"}
    assert not any(row[schema.user_prompts.name] for row in rows)


async def test_copilots_other_routes_are_passed_on(start_gateway, fake, client, tmp_path):
    providers = (ProviderSettings("copilot", "copilot", None, fake.base_url),)
    gateway = await start_gateway(providers=providers, dump_dir=tmp_path / "dump")
    for method, path in (
        ("GET", "/copilot_internal/v2/token"),
        ("GET", "/copilot_internal/user"),
        ("POST", "/telemetry"),
        ("POST", "/mcp"),
        ("POST", "/v1/messages/count_tokens"),
        ("GET", "/responses/resp_1"),
    ):
        fake.play(Script(body=b'{"token":"tid=2;secret","id":"resp_1"}'))
        async with client.request(method, f"{gateway.url}/copilot{path}", headers=OWN) as response:
            assert (path, response.status) == (path, 200)
            assert b"tid=2;secret" in await response.read()
        received = fake.requests[-1]
        assert (received.method, received.raw_path) == (method, path)
        assert received.header("Authorization") == OWN["Authorization"]
    await gateway.stop()  # the last dump is written by then
    dumped = [path.read_text() for path in (tmp_path / "dump" / "copilot").glob("*.req.txt")]
    assert len(dumped) == 4
    assert not any("copilot_internal" in text for text in dumped)


async def test_no_token_is_exchanged_without_an_own_one(start_gateway, fake, client):
    providers = (ProviderSettings("copilot", "copilot", None, fake.base_url),)
    gateway = await start_gateway(providers=providers)
    async with client.get(
        f"{gateway.url}/copilot/copilot_internal/v2/token",
        headers={"X-Coder-Token": "gateway-token"},
    ) as response:
        assert response.status == 401
    assert fake.seen == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/batches", 404),
        ("/images/generations", 404),
        ("/audio/speech", 404),
        ("/responses/resp_1/rerun", 405),
    ],
)
async def test_what_could_not_be_recorded_is_not_served(
    start_gateway, fake, connect_sdk, path, status
):
    gateway = await start_gateway()
    sdk = connect_sdk("openai", gateway.url)
    with pytest.raises(openai.APIStatusError, match="not served") as caught:
        await sdk.post(path, body={"model": "m"}, cast_to=object)
    assert caught.value.status_code == status
    assert fake.seen == 0
