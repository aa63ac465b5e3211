"""Models, token counts, stored responses and conversations, through the official SDKs."""

import anthropic
import openai
import pytest
from anthropic.types import ModelInfo
from openai.types import Model
from openai.types.conversations import Conversation, ConversationItemList
from openai.types.responses import Response

from aibridged.fake_provider.rest_resources import ANTHROPIC_MODELS, OPENAI_MODELS, find
from aibridged.fake_provider.vendors import ANTHROPIC, OPENAI


@pytest.mark.parametrize(
    ("kind", "vendor", "path"),
    [
        (ModelInfo, ANTHROPIC, f"/v1/models/{ANTHROPIC_MODELS[0]}"),
        (Model, OPENAI, f"/v1/models/{OPENAI_MODELS[0]}"),
        (Response, OPENAI, "/v1/responses/resp_1"),
        (Conversation, OPENAI, "/v1/conversations/conv_1"),
        (ConversationItemList, OPENAI, "/v1/conversations/conv_1/items"),
    ],
)
def test_resources_are_as_published(strictly, kind, vendor, path):
    strictly(kind, find(vendor, "GET", path, b""))


@pytest.mark.parametrize(
    ("vendor", "method", "path"),
    [
        (ANTHROPIC, "GET", "/v1/models/none"),
        (ANTHROPIC, "POST", "/v1/models"),
        (ANTHROPIC, "GET", "/v1/conversations/conv_1"),
        (OPENAI, "GET", "/v1/models/none"),
        (OPENAI, "GET", "/v1/models/"),
        (OPENAI, "GET", "/v1/files"),
    ],
)
def test_what_there_is_not(vendor, method, path):
    assert find(vendor, method, path, b"") is None


async def test_anthropic_sdk_lists_and_gets_models(claude):
    models = [model.id async for model in claude.models.list()]
    assert models == list(ANTHROPIC_MODELS)
    assert (await claude.models.retrieve(models[0])).display_name
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("none")


async def test_anthropic_sdk_counts_tokens(claude):
    counted = await claude.messages.count_tokens(
        model="claude-x", messages=[{"role": "user", "content": "to be or"}]
    )
    assert counted.input_tokens == 3


async def test_openai_sdk_lists_and_gets_models(gpt):
    models = [model.id async for model in gpt.models.list()]
    assert models == list(OPENAI_MODELS)
    assert (await gpt.models.retrieve(models[0])).owned_by
    with pytest.raises(openai.NotFoundError):
        await gpt.models.retrieve("none")


async def test_openai_sdk_uses_stored_responses(gpt):
    made = await gpt.responses.create(model="gpt-x", input="hi")
    assert (await gpt.responses.retrieve(made.id)).id == made.id
    assert (await gpt.responses.cancel(made.id)).status == "cancelled"
    assert (await gpt.responses.input_tokens.count(input="to be or")).input_tokens == 3
    items = [item.id async for item in gpt.responses.input_items.list(made.id)]
    assert len(items) == 1
    await gpt.responses.delete(made.id)


async def test_openai_sdk_uses_conversations(gpt):
    made = await gpt.conversations.create()
    assert (await gpt.conversations.create()).id != made.id
    assert (await gpt.conversations.retrieve(made.id)).id == made.id
    assert (await gpt.conversations.update(made.id, metadata={})).id == made.id
    items = gpt.conversations.items
    added = await items.create(made.id, items=[{"role": "user", "content": "hi"}])
    assert [item.id async for item in items.list(made.id)]
    item = await items.retrieve(added.data[0].id, conversation_id=made.id)
    assert item.id == added.data[0].id
    assert (await items.delete(item.id, conversation_id=made.id)).id == made.id
    assert (await gpt.conversations.delete(made.id)).deleted


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_openai_sdk_embeds(gpt, form):
    made = await gpt.embeddings.create(
        model="text-embedding", input=["to be", "or not"], encoding_format=form, dimensions=3
    )
    assert [len(each.embedding) for each in made.data] == [3 if form == "float" else 16] * 2
    assert made.usage.prompt_tokens == 4


async def test_openai_sdk_compacts_a_conversation(gpt):
    made = await gpt.responses.compact(model="gpt-x", input="to be or")
    assert (made.object, made.usage.input_tokens) == ("response.compaction", 3)
    assert made.id.startswith("resp_fake")


async def test_openai_sdk_fetches_what_runs_in_the_background(gpt):
    made = await gpt.responses.create(model="gpt-x", input="hi", background=True)
    assert (made.status, made.background, made.usage) == ("queued", True, None)
    fetched = await gpt.responses.retrieve(made.id)
    assert (fetched.id, fetched.status, fetched.usage.output_tokens) == (made.id, "completed", 6)
    events = [
        event
        async for event in await gpt.responses.retrieve(made.id, stream=True, starting_after=1)
    ]
    assert events[0].sequence_number == 2
    assert (events[-1].type, events[-1].response.id) == ("response.completed", made.id)
