"""What a caller sends at length goes to the provider whole, and on record as far as is kept."""

import io
import json
from dataclasses import replace
from hashlib import sha256

import pytest

PROMPT = "漢" + "x" * (4 * 1024 * 1024)


@pytest.fixture
def ask(client, fake, clock):
    async def ask(gateway, prompt):
        clock.advance(1)
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": prompt}]}
        data = io.BytesIO(json.dumps(body).encode())
        headers = {"Content-Type": "application/json"}
        url = f"{gateway.url}/anthropic/v1/messages"
        async with client.post(url, data=data, headers=headers) as reply:
            assert reply.status == 200
            await reply.read()
        assert json.loads(fake.requests[-1].body)["messages"][0]["content"] == prompt

    return ask


async def test_a_prompt_is_stored_up_to_the_bound_that_is_in_force(recording, ask):
    gateway = await recording.start(max_stored_text=1000)
    await ask(gateway, PROMPT)
    gateway.reconfigure(replace(gateway.settings, max_stored_text=10))
    await ask(gateway, PROMPT)
    await ask(gateway, "short")
    stored = [row["aibridge_user_prompts"][0] for row in await recording.rows()]
    whole = PROMPT.encode()
    marks = {"cut": True, "length": len(whole), "sha256": sha256(whole).hexdigest()}
    assert [(row["prompt"], row["metadata"]) for row in stored] == [
        (PROMPT[:998], marks),
        (PROMPT[:8], marks),
        ("short", None),
    ]
    assert all(row["provider_response_id"].startswith("msg_") for row in stored)
