"""What of traces needs no gateway to be seen; `tests/e2e/test_traces.py` looks at whole ones."""

from types import SimpleNamespace

import pytest
from multidict import CIMultiDict
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aibridged.observe.request_summary import RequestOutcome, RequestSummary
from aibridged.observe.scope import SCOPE, Scope, span
from aibridged.observe.tracing import Tracing
from aibridged.pipeline import trace
from aibridged.pipeline.bridge_pool import BridgeKey
from aibridged.pipeline.trace import Traces
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    Outcome,
    TokenUsageRecord,
    UserPromptRecord,
)


class Traced:
    """Requests that are traced, and the spans that they have left."""

    def __init__(self, clock):
        self._exporter = InMemorySpanExporter()
        self._clock = clock
        self.tracing = Tracing(self._exporter, clock)
        self.traces = Traces(self.tracing, clock)

    def begin(self, number=1):
        """A request whose interception is recorded as begun."""
        request = SimpleNamespace(
            began=self._clock.monotonic(), scope=Scope(f"r-{number}"), trace=None
        )
        request.trace = self.traces.begin(CIMultiDict(), request.scope, request.began)
        SCOPE.set(request.scope)
        request.trace.acquire(BridgeKey("u", None), "/anthropic/v1/messages")
        with span("making", {}):
            pass
        request.trace.acquired()
        start = InterceptionStart(
            id=f"i-{number}",
            initiator_id="u",
            provider="anthropic",
            provider_name="anthropic",
            model="m",
            started_at=self._clock.wall(),
        )
        request.trace.intercept(start, self._clock.monotonic(), streaming=True)
        request.trace.recorded(start.id)
        return request

    def end(self, request):
        finished = RequestSummary(
            request_id=request.scope.request_id,
            outcome=RequestOutcome.COMPLETED,
            method="POST",
            path="/anthropic/v1/messages",
            bridged=True,
            began=request.began,
            sent_at=request.began,
            ended=self._clock.monotonic(),
            status=200,
        )
        request.trace.end(finished, lambda: "http://127.0.0.1:1/v1")

    async def spans(self, name):
        """From when to when the spans of that name last, in seconds after the first moment."""
        await self.tracing.close()
        every = self._exporter.get_finished_spans()
        first = min(span.start_time for span in every)
        return [
            ((span.start_time - first) / 1e9, (span.end_time - first) / 1e9)
            for span in every
            if span.name == name
        ]

    async def parent(self, name):
        """The name of the span above the one of that name."""
        await self.tracing.close()
        every = self._exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in every}
        [below] = [span for span in every if span.name == name]
        return names[below.parent.span_id]


@pytest.fixture
async def traced(clock):
    return Traced(clock)


async def test_a_record_takes_until_it_is_committed(traced, clock):
    request = traced.begin()
    clock.advance(1)
    at = clock.wall()
    traced.traces.committed(
        UserPromptRecord(id="p", interception_id="i-1", created_at=at, prompt="canary")
    )
    request.trace.answered()
    traced.end(request)
    clock.advance(2)
    traced.traces.committed(TokenUsageRecord(id="t", interception_id="i-1", created_at=at))
    end = InterceptionEnd(interception_id="i-1", ended_at=at, outcome=Outcome.COMPLETED)
    traced.traces.committed(end)
    # Whatever comes after the end is no interception's any more.
    traced.traces.committed(TokenUsageRecord(id="t", interception_id="i-1", created_at=at))
    assert await traced.spans("Intercept.RecordPromptUsage") == [(0, 1)]
    assert await traced.spans("Intercept.RecordTokenUsage") == [(1, 3)]
    assert await traced.spans("Intercept.RecordInterceptionEnded") == [(1, 3)]


async def test_of_interceptions_that_arent_traced_nothing_is_made(traced, clock):
    traced.end(traced.begin())
    traced.traces.committed(
        InterceptionEnd(interception_id="i-2", ended_at=clock.wall(), outcome=Outcome.COMPLETED)
    )
    assert await traced.spans("Intercept.RecordInterceptionEnded") == []


async def test_only_so_many_interceptions_wait_for_their_commits(traced, clock, monkeypatch):
    monkeypatch.setattr(trace, "_MAX_UNCOMMITTED", 2)
    for number in range(3):
        traced.end(traced.begin(number))
    for number in range(3):
        traced.traces.committed(
            InterceptionEnd(
                interception_id=f"i-{number}", ended_at=clock.wall(), outcome=Outcome.COMPLETED
            )
        )
    assert len(await traced.spans("Intercept.RecordInterceptionEnded")) == 2


async def test_what_is_done_in_between_is_below_the_span_under_way(traced):
    request = traced.begin()
    with span("asking", {}):
        pass
    traced.end(request)
    assert await traced.parent("making") == "CachedBridgePool.Acquire"
    assert await traced.parent("asking") == "Intercept.ProcessRequest"


async def test_each_turn_with_the_provider_has_its_span(traced, clock):
    request = traced.begin()
    for _ in range(2):
        request.trace.turn_asked()
        clock.advance(1)
        request.trace.turn_answered()
        clock.advance(10)  # the tools run
    request.trace.turn_asked()
    clock.advance(1)
    traced.end(request)
    upstream = await traced.spans("Intercept.ProcessRequest.Upstream")
    assert upstream == [(0, 1), (11, 12), (22, 23)]


async def test_no_turn_is_made_up_where_the_tools_were_the_end(traced, clock):
    request = traced.begin()
    request.trace.turn_asked()
    request.trace.turn_answered()
    traced.end(request)
    assert await traced.spans("Intercept.ProcessRequest.Upstream") == [(0, 0)]
