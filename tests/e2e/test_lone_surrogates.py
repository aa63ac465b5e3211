"""Half an emoji in a request: legal JSON that no decoder takes. It passes, untouched."""

import io
import json

import pytest

from aibridged.fake_provider.script import Script

PATHS = {
    "messages": "/anthropic/v1/messages",
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
}
HALF = r"\ud83d"


def body(api: str, *, padding: int = 0, stream: bool = False) -> bytes:
    """A request whose history holds half an emoji, as its prompt does."""
    said = [
        f'{{"role":"user","content":"cut {HALF}{"x" * padding}"}}',
        '{"role":"assistant","content":"x"}',
        f'{{"role":"user","content":"next {HALF}"}}',
    ]
    field = "input" if api == "responses" else "messages"
    options = '"stream":true,' if stream else ""
    return f'{{"model":"m",{options}"max_tokens":9,"{field}":[{",".join(said)}]}}'.encode()


@pytest.mark.parametrize("padding", [0, 3_000_000])
@pytest.mark.parametrize("api", PATHS)
async def test_it_goes_to_the_provider_and_on_record(recording, fake, client, api, padding):
    gateway = await recording.start()
    fake.play(Script(body=b"{}"))
    sent = body(api, padding=padding)
    async with client.post(gateway.url + PATHS[api], data=io.BytesIO(sent)) as reply:
        assert reply.status == 200
    assert fake.requests[-1].body == sent
    (row,) = await recording.rows()
    assert [prompt["prompt"] for prompt in row["aibridge_user_prompts"]] == ["next \ufffd"]


async def test_a_stream_is_asked_for_its_usage(start_gateway, fake, client):
    gateway = await start_gateway()
    fake.play(Script(stream=(b"data: [DONE]\n\n",)))
    sent = body("chat", stream=True)
    async with client.post(gateway.url + PATHS["chat"], data=sent) as reply:
        assert reply.status == 200
    got = fake.requests[-1].body
    assert json.loads(got)["stream_options"] == {"include_usage": True}
    assert got.replace(b'"stream_options":{"include_usage":true},', b"", 1) == sent


@pytest.mark.parametrize("api", PATHS)
async def test_what_is_no_json_is_refused(start_gateway, fake, client, api):
    gateway = await start_gateway()
    for wrong in (b'"\n"', rb'"\x"', rb'"\ud83"', b"NaN"):
        sent = body(api).replace(b'"next', b"%b," % wrong + b'"next', 1)
        async with client.post(gateway.url + PATHS[api], data=sent) as reply:
            assert reply.status == 400
            assert (await reply.json())["error"]["message"] == "The request body is not valid JSON."
    assert fake.requests == []
