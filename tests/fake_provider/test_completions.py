"""Legacy completions, through the official SDK."""

import openai
import pytest


async def test_openai_sdk_completes(gpt):
    made = await gpt.completions.create(model="gpt-x", prompt="to be or")
    assert made.choices[0].text.endswith("to be or")
    assert made.usage.prompt_tokens == 3


async def test_openai_sdk_streams_a_completion(gpt):
    stream = await gpt.completions.create(
        model="gpt-x", prompt="hi", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(each.choices[0].text for each in chunks[:-1]).endswith("hi")
    assert (chunks[-1].choices, chunks[-1].usage.prompt_tokens) == ([], 1)
    assert all(each.usage is None for each in chunks[:-1])


async def test_openai_sdk_finds_the_error_in_a_stream(gpt):
    stream = await gpt.completions.create(model="fake-error-overloaded", prompt="hi", stream=True)
    with pytest.raises(openai.APIError, match="Overloaded"):
        [chunk async for chunk in stream]


async def test_an_engine_is_named_by_the_path(http):
    body = {"prompt": "hi", "stream": True}
    headers = {"Authorization": "Bearer sk-any"}
    async with http.post("/v1/engines/gpt-x/completions", json=body, headers=headers) as response:
        assert response.status == 200
        assert b"[DONE]" in await response.read()
