"""A session in the shape of Coder's API: threads, agentic actions and what they come to."""

import msgspec
import pytest

from aibridged.api import session_shapes, session_stream
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
from aibridged.records.store import Store
from tests.viewers import EVERYTHING

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def query(database, clock):
    return Query(database.engine, clock, EVERYTHING)


@pytest.fixture
def add(database, clock):
    """Writes an interception of the session s, and what it is told; returns its start."""
    store = Store(database.engine)
    store.connect()

    def add(
        *,
        prompt=None,
        calls=(),
        thoughts=(),
        usages=(),
        ended=True,
        error=None,
        cost=(None, None),
        **start,
    ):
        clock.advance(1)
        fields = {
            "id": uuid7(clock.wall()),
            "initiator_id": ANN,
            "provider": "openai",
            "provider_name": "azure",
            "model": "m",
            "client_session_id": "s",
            "started_at": clock.wall(),
        }
        begun = InterceptionStart(**{**fields, **start})
        store.write([begun], [])
        clock.advance(1)
        own = {"interception_id": begun.id, "created_at": clock.wall()}
        facts = [
            TokenUsageRecord(id=uuid7(clock.wall(), n), **own, **usage)
            for n, usage in enumerate(usages)
        ]
        if prompt is not None:
            facts.append(UserPromptRecord(id=uuid7(clock.wall()), prompt=prompt, **own))
        facts += [
            ModelThoughtRecord(id=uuid7(clock.wall(), n), content=text, **own)
            for n, text in enumerate(thoughts)
        ]
        facts += [
            ToolUsageRecord(
                id=uuid7(clock.wall(), n), tool="ls", input=text, provider_tool_call_id=call, **own
            )
            for n, (call, text) in enumerate(calls)
        ]
        if ended:
            outcome = Outcome.FAILED if error else Outcome.COMPLETED
            del own["created_at"]
            facts.append(
                InterceptionEnd(
                    ended_at=clock.wall(),
                    outcome=outcome,
                    error_type=error,
                    error_message=error and f"{error}!",
                    cost_nanos=cost[0],
                    cost_label=cost[1],
                    **own,
                )
            )
        store.write([], facts)
        return begun

    yield add
    store.close()


def read(query, id="s", owner=None, *, after_id=None, before_id=None, limit=50):
    """The session, by its type, which refuses what isn't of it."""
    made = session_stream.session(
        query, id, owner, after_id=after_id, before_id=before_id, limit=limit
    )
    return msgspec.json.decode(b"".join(made), type=session_shapes.SessionThreads, strict=True)


def total(found):
    return {k: v for k, v in msgspec.structs.asdict(found).items() if v}


def test_threads_have_their_agentic_actions(query, add, clock):
    began = clock.wall()
    first = add(
        prompt="go",
        username="ann",
        client="Codex",
        user_agent="codex/1",
        metadata={"purpose": "title"},
        credential_kind="byok",
        credential_hint="sk-a…mnop",
        thoughts=("hm", "aha"),
        calls=(("one", "{}"), ("two", '{"a": 1}')),
        usages=({"input_tokens": 3, "metadata": {"output_reasoning": 2, "iteration": "x"}},),
    )
    second = add(
        tool_result_ids=("two",),
        calls=(("three", "{}"),),
        model="n",
        usages=({"output_tokens": 5, "metadata": {"output_reasoning": 4}}, {"output_tokens": 1}),
    )
    add(tool_result_ids=("three",), usages=({"cache_read_input_tokens": 7},))
    other = add(prompt="stop", error="overloaded")
    found = read(query)

    assert (found.id, found.initiator.id, found.initiator.username) == ("s", ANN, "ann")
    assert (found.client, found.providers, found.models) == ("Codex", ["azure"], ["m", "n"])
    assert found.metadata == {"purpose": "title", "request_user_agent": "codex/1"}
    assert total(found.token_usage_summary) == {
        "input_tokens": 3,
        "output_tokens": 6,
        "cache_read_input_tokens": 7,
        "metadata": {"output_reasoning": 6},
    }
    assert (found.started_at - began).total_seconds() == 1
    assert (found.page_started_at, found.page_ended_at) == (found.started_at, found.ended_at)

    loop, alone = found.threads
    assert (loop.id, loop.prompt, loop.model, loop.provider) == (first.id, "go", "m", "openai")
    assert (loop.credential_kind, loop.credential_hint) == ("byok", "sk-a…mnop")
    assert (loop.started_at - began).total_seconds() == 1
    assert (loop.ended_at - began).total_seconds() == 6
    assert loop.token_usage == found.token_usage_summary
    assert (loop.error_type, loop.error_message) == (None, None)
    one, two = loop.agentic_actions
    assert (one.model, [each.text for each in one.thinking]) == ("m", ["hm", "aha"])
    assert total(one.token_usage) == {"input_tokens": 3, "metadata": {"output_reasoning": 2}}
    assert [each.input for each in one.tool_calls] == ["{}", '{"a": 1}']
    call = one.tool_calls[0]
    assert (call.interception_id, call.tool, call.injected) == (first.id, "ls", False)
    assert (call.server_url, call.provider_response_id, call.metadata) == ("", "", {})
    assert (two.model, two.thinking) == ("n", [])
    assert [each.interception_id for each in two.tool_calls] == [second.id]
    assert total(two.token_usage) == {"output_tokens": 6, "metadata": {"output_reasoning": 4}}

    assert (alone.id, alone.prompt, alone.agentic_actions) == (other.id, "stop", [])
    assert (alone.error_type, alone.error_message) == ("overloaded", "overloaded!")


def test_a_thread_that_runs_has_not_ended(query, add):
    add(ended=False)
    found = read(query)
    assert found.threads[0].ended_at is found.ended_at is found.page_ended_at is None
    assert found.threads[0].prompt is None


def test_the_totals_are_those_of_the_session_and_the_times_those_of_the_page(query, add):
    added = [add(usages=({"input_tokens": n, "metadata": {"x": 1}},)) for n in (1, 2, 4)]
    found = read(query, limit=1, after_id=added[0].id)
    assert ([each.id for each in found.threads], found.more) == ([added[1].id], True)
    assert total(found.token_usage_summary) == {"input_tokens": 7, "metadata": {"x": 3}}
    assert found.page_started_at == added[1].started_at
    assert found.started_at == added[0].started_at
    assert found.page_ended_at == found.threads[0].ended_at < found.ended_at


def test_a_cursor_may_be_any_interception_of_a_thread(query, add):
    first = add(calls=(("one", "{}"),))
    second = add()
    later = add(tool_result_ids=("one",))
    assert [each.id for each in read(query, after_id=later.id).threads] == [second.id]
    assert [each.id for each in read(query, before_id=second.id).threads] == [first.id]


def test_of_those_who_share_an_id_it_is_the_last_ones(query, add):
    of_ann = add()
    of_bob = add(initiator_id=BOB)
    found = read(query)
    assert (found.initiator.id, [each.id for each in found.threads]) == (BOB, [of_bob.id])
    found = read(query, owner=ANN)
    assert (found.initiator.id, [each.id for each in found.threads]) == (ANN, [of_ann.id])
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        read(query, owner=f"{BOB[:-1]}c")


def test_a_long_thread_is_whole_and_made_of_small_chunks(query, add, monkeypatch):
    monkeypatch.setattr(session_stream, "_AT_ONCE", 2)
    add(calls=(("0", "x" * 50_000),), thoughts=("y" * 50_000,))
    for number in range(4):
        add(tool_result_ids=(str(number),), calls=((str(number + 1), "x" * 50_000),))
    (thread,) = read(query).threads
    assert [each.tool_calls[0].input for each in thread.agentic_actions] == ["x" * 50_000] * 5
    made = session_stream.session(query, "s", None, after_id=None, before_id=None, limit=9)
    assert max(map(len, made)) < 51_000


def test_costs_are_those_of_the_session_its_threads_and_actions(query, add):
    add(calls=(("one", "{}"),), cost=(87_500_000, "exact"))
    add(tool_result_ids=("one",), cost=(1, "estimated"), calls=(("two", "{}"),))
    add(cost=(None, "unpriced"))
    add(ended=False)
    found = read(query)
    assert (found.cost, found.cost_label) == ("0.087500001", "unpriced")
    assert [(each.cost, each.cost_label) for each in found.threads] == [
        ("0.087500001", "estimated"),
        (None, "unpriced"),
        (None, None),
    ]
    assert [(each.cost, each.cost_label) for each in found.threads[0].agentic_actions] == [
        ("0.0875", "exact"),
        ("0.000000001", "estimated"),
    ]
