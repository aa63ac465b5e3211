"""Every record reaches the answer, under the names that Coder's API documents."""

import msgspec
import pytest

from aibridged.api import session_shapes, shapes
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.query import Query
from aibridged.records.query_results import Filter
from aibridged.records.store import Store
from tests.viewers import EVERYTHING

COST = {"cost_nanos": 87_500_000, "cost_label": "exact"}
PRICED = {**COST, "price_version": "sha256:0123456789ab"}

# What Coder's API reference documents for GET /api/v2/aibridge/….
CODERS = {
    shapes.Interception: (
        "api_key_id client ended_at id initiator metadata model provider provider_name started_at"
        " token_usages tool_usages user_prompts"
    ),
    shapes.TokenUsage: (
        "cache_read_input_tokens cache_write_input_tokens created_at id input_tokens"
        " interception_id metadata output_tokens provider_response_id"
    ),
    shapes.ToolUsage: (
        "created_at id injected input interception_id invocation_error metadata"
        " provider_response_id server_url tool"
    ),
    shapes.UserPrompt: "created_at id interception_id metadata prompt provider_response_id",
    shapes.Interceptions: "count results",
    shapes.Session: (
        "client ended_at id initiator last_active_at last_prompt metadata models providers"
        " started_at threads token_usage_summary"
    ),
    shapes.Sessions: "count sessions",
    session_shapes.SessionThreads: (
        "client ended_at id initiator metadata models page_ended_at page_started_at providers"
        " started_at threads token_usage_summary"
    ),
    session_shapes.Thread: (
        "agentic_actions credential_hint credential_kind ended_at error_message error_type id model"
        " prompt provider started_at token_usage"
    ),
    session_shapes.AgenticAction: "model thinking token_usage tool_calls",
    session_shapes.Thinking: "text",
    session_shapes.TokenTotals: (
        "cache_read_input_tokens cache_write_input_tokens input_tokens metadata output_tokens"
    ),
    session_shapes.ToolCall: (
        "created_at id injected input interception_id metadata provider_response_id server_url tool"
    ),
}


@pytest.mark.parametrize("shape", CODERS, ids=lambda shape: shape.__name__)
def test_coders_names(shape):
    assert set(CODERS[shape].split()) <= set(shape.__struct_fields__)


@pytest.fixture
def query(database, clock):
    """One finished interception with a record of each kind, and an open one without any."""
    store = Store(database.engine)
    store.connect()

    def start(model, username=None, **fields):
        clock.advance(1)
        return InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id="00000000-0000-4000-8000-00000000000a",
            username=username,
            provider="openai",
            provider_name="azure",
            model=model,
            client_session_id="s",
            started_at=clock.wall(),
            **fields,
        )

    whole = start("first", username="ann", api_key_id="k", metadata={"a": 1})
    made = {"interception_id": whole.id, "created_at": clock.wall()}
    facts = [
        UserPromptRecord(id=uuid7(clock.wall()), prompt="Hello?", **made),
        TokenUsageRecord(id=uuid7(clock.wall()), input_tokens=3, output_tokens=4, **PRICED, **made),
        ToolUsageRecord(
            id=uuid7(clock.wall()), tool="ls", input="{}", provider_tool_call_id="c", **made
        ),
        ModelThoughtRecord(
            id=uuid7(clock.wall()), content="Hm.", metadata={"source": "thinking"}, **made
        ),
        InterceptionEnd(
            interception_id=whole.id,
            ended_at=clock.wall(),
            outcome=Outcome.COMPLETED,
            status_code=200,
            **COST,
        ),
    ]
    store.write([whole], [])
    store.write([], facts)
    store.write([start("second", tool_result_ids=("c",))], [])
    store.close()
    return Query(database.engine, clock, EVERYTHING)


def strictly(answer):
    """The answer, read back from its JSON by its own type, which refuses what isn't of it."""
    return msgspec.json.decode(msgspec.json.encode(answer), type=type(answer), strict=True)


def test_the_head_of_an_interception_is_all_but_its_lists(query):
    for found in query.interceptions(Filter()):
        head, whole = shapes.interception_head(found), shapes.interception(found)
        assert strictly(head) == head
        fields = msgspec.structs.asdict(whole)
        assert {name: fields[name] for name in head.__struct_fields__} == msgspec.structs.asdict(
            head
        )
        assert set(fields) - set(head.__struct_fields__) == set(shapes.CHILD_KINDS)


def test_an_interception_with_all_that_belongs_to_it(query):
    open_one, whole = map(shapes.interception, query.interceptions(Filter()))
    assert strictly(whole) == whole
    assert strictly(open_one) == open_one
    assert whole.initiator == shapes.Initiator(id=whole.initiator.id, username="ann")
    assert (whole.outcome, whole.status_code, whole.metadata) == ("completed", 200, {"a": 1})
    assert [each.prompt for each in whole.user_prompts] == ["Hello?"]
    assert [each.tool for each in whole.tool_usages] == ["ls"]
    assert [each.metadata for each in whole.model_thoughts] == [{"source": "thinking"}]
    belonging = (whole.token_usages, whole.user_prompts, whole.tool_usages, whole.model_thoughts)
    assert {each.interception_id for kind in belonging for each in kind} == {whole.id}
    assert (open_one.ended_at, open_one.initiator.username) == (None, "")
    assert (open_one.metadata, open_one.token_usages) == ({}, [])
    usage = whole.token_usages[0]
    assert (whole.cost, whole.cost_label) == (usage.cost, usage.cost_label) == ("0.0875", "exact")
    assert usage.price_version == PRICED["price_version"]
    assert (open_one.cost, open_one.cost_label) == (None, None)


def test_a_session(query):
    (session,) = map(shapes.session, query.sessions(Filter()))
    assert strictly(session) == session
    assert (session.id, session.interceptions, session.threads) == ("s", 2, 1)
    assert (session.cost, session.cost_label) == ("0.0875", "exact")
    assert session.token_usage_summary == shapes.Tokens(
        input_tokens=3, output_tokens=4, cache_read_input_tokens=0, cache_write_input_tokens=0
    )
