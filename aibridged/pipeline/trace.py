"""Spans of a request: recorded as it passes, or created at its end from its times.

The table in `observe.spans` lists them. Of a request that isn't sampled only the trace context is
known, for the log.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from multidict import MultiMapping
from yarl import URL

from aibridged.clock import Clock
from aibridged.observe.request_summary import RequestOutcome, RequestSummary
from aibridged.observe.scope import Attributes, Scope
from aibridged.observe.spans import SpanName
from aibridged.pipeline.bridge_pool import BridgeKey
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    ModelThoughtRecord,
    Record,
    StoredObjectRecord,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)

if TYPE_CHECKING:
    from aibridged.observe.tracing import OtelSpan, Tracing

# Bound on interceptions whose records aren't committed yet: while the database is away they pile
# up.
_MAX_UNCOMMITTED = 10_000

_RECORDED: Mapping[type[Record], SpanName] = {
    UserPromptRecord: SpanName.RECORD_PROMPT_USAGE,
    TokenUsageRecord: SpanName.RECORD_TOKEN_USAGE,
    ToolUsageRecord: SpanName.RECORD_TOOL_USAGE,
    ModelThoughtRecord: SpanName.RECORD_MODEL_THOUGHT,
    InterceptionEnd: SpanName.RECORD_INTERCEPTION_ENDED,
}


class Traces:
    """Starts and ends the traces of requests, and is told when their records are committed."""

    def __init__(self, tracing: "Tracing", clock: Clock) -> None:
        self._tracing = tracing
        self._clock = clock
        self._uncommitted: OrderedDict[str, RequestTrace] = OrderedDict()

    def begin(
        self, headers: MultiMapping[str], scope: Scope, began: float
    ) -> "RequestTrace | None":
        """Start the trace of a request; None where it isn't sampled."""
        span = self._tracing.begin("request", headers, began)
        scope.span = span
        return RequestTrace(self, scope, span, self._clock) if span.is_sampled else None

    def await_commits(self, interception_id: str, trace: "RequestTrace") -> None:
        """Note that records of the interception will be committed."""
        self._uncommitted[interception_id] = trace
        if len(self._uncommitted) > _MAX_UNCOMMITTED:
            self._uncommitted.popitem(last=False)

    def committed(self, record: Record) -> None:
        """Create the record's span. The recorder calls this from its thread, too."""
        name = _RECORDED.get(type(record))
        if name is None or isinstance(record, InterceptionStart | StoredObjectRecord):
            return
        trace = self._uncommitted.get(record.interception_id)
        if trace is not None:
            trace.committed(name)
            if name is SpanName.RECORD_INTERCEPTION_ENDED:
                self._uncommitted.pop(record.interception_id, None)


class RequestTrace:
    """The spans of one sampled request. Those that are open end with it, innermost first."""

    def __init__(self, traces: Traces, scope: Scope, span: "OtelSpan", clock: Clock) -> None:
        self._traces = traces
        self._scope = scope
        self._open = [span]
        self._monotonic = clock.monotonic
        self._intercept = self._process = span
        self._attributes: Attributes = {}
        self._id: Attributes = {}
        self._path = ""
        self._prompt_at = self._answer_at = 0.0
        self._turns = 0
        self._asked_at: float | None = None

    def acquire(self, key: BridgeKey, path: str) -> None:
        """The caller's bridge is about to be taken from the pool, for a request to that path."""
        self._path = path
        caller = _given({"user_id": key.initiator_id, "api_key_id": key.api_key_id})
        self._enter(self._open[-1].child(SpanName.ACQUIRE, attributes=caller))

    def acquired(self) -> None:
        """The bridge has been taken from the pool."""
        self._leave()

    def intercept(self, start: InterceptionStart, began: float, *, streaming: bool) -> None:
        """An interception has been created since `began`; its start is about to be recorded."""
        self._attributes = _interception(start, self._path, streaming=streaming)
        self._id = {"interception_id": start.id}
        now = self._monotonic()
        self._intercept = self._open[-1].child(SpanName.INTERCEPT, began, self._attributes)
        self._enter(self._intercept)
        self._child(SpanName.CREATE_INTERCEPTOR, began).end(now)
        self._enter(self._child(SpanName.RECORD_INTERCEPTION, now))

    def recorded(self, interception_id: str) -> None:
        """The start is committed: the request goes upstream now."""
        self._leave()
        self._prompt_at = self._monotonic()
        self._process = self._child(SpanName.PROCESS_REQUEST, self._prompt_at)
        self._enter(self._process)
        self._traces.await_commits(interception_id, self)

    def turn_asked(self) -> None:
        """A turn's request goes upstream; further turns may follow."""
        self._asked_at = self._monotonic()

    def turn_answered(self) -> None:
        """A turn's response has tool calls, which the gateway runs now."""
        if self._asked_at is not None:
            self._open[-1].child(
                SpanName.UPSTREAM, self._asked_at, self._attributes, to_provider=True
            ).end()
        self._turns += 1
        self._asked_at = None

    def answered(self) -> None:
        """The response's facts are handed to the recorder."""
        self._answer_at = self._monotonic()

    def committed(self, name: SpanName) -> None:
        """A record is committed. Thread-safe."""
        asked = name is SpanName.RECORD_PROMPT_USAGE
        above = self._intercept if name is SpanName.RECORD_INTERCEPTION_ENDED else self._process
        above.child(name, self._prompt_at if asked else self._answer_at, self._id).end()

    def end(self, finished: RequestSummary, base_url: Callable[[], str]) -> None:
        """The request has ended; `base_url` is called for the provider's if it was sent."""
        error = _error(finished)
        asked_at = self._asked_at if self._turns else finished.sent_at
        if asked_at is not None:
            if finished.bridged:
                name = SpanName.UPSTREAM
                attributes = {**self._attributes, **_model_call(finished), **_server(base_url())}
            else:
                name, attributes = SpanName.PASSTHROUGH, {**_passthrough(finished, base_url())}
            asking = self._open[-1].child(name, asked_at, attributes, to_provider=True)
            asking.end(finished.ended, error)
        root, *inner = self._open
        if self._intercept in inner:
            self._intercept.annotate({"outcome": finished.outcome.value})
        for span in reversed(inner):
            span.end(finished.ended, error)
        # A path that isn't served may be anything, and names of spans are to be few.
        is_known = finished.endpoint is not None or (finished.status or 500) < 400
        root.rename(f"{finished.method} {finished.path}" if is_known else finished.method)
        root.annotate(_request(finished))
        # A client error is no failure of the gateway's.
        theirs = finished.status is not None and 400 <= finished.status < 500
        root.end(finished.ended, None if theirs else error)

    def _child(self, name: SpanName, began: float) -> "OtelSpan":
        return self._intercept.child(name, began, self._id)

    def _enter(self, span: "OtelSpan") -> None:
        self._open.append(span)
        self._scope.span = span

    def _leave(self) -> None:
        self._open.pop().end()
        self._scope.span = self._open[-1]


def _interception(start: InterceptionStart, path: str, *, streaming: bool) -> Attributes:
    return _given(
        {
            "interception_id": start.id,
            "request_path": path,
            "user_id": start.initiator_id,
            "api_key_id": start.api_key_id,
            "provider": start.provider_name,
            "model": start.model,
            "streaming": streaming,
        }
    )


def _model_call(finished: RequestSummary) -> Attributes:
    """OpenTelemetry's attributes of a model call, whose kind is chat."""
    first, tokens = finished.first_byte_at, finished.all_tokens
    since = None if first is None or finished.sent_at is None else first - finished.sent_at
    return _given(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": finished.provider_type,
            "gen_ai.request.model": finished.model,
            "gen_ai.request.stream": finished.streamed,
            "gen_ai.response.id": finished.response_id,
            "gen_ai.response.model": finished.response_model,
            "gen_ai.response.time_to_first_chunk": since,
            "gen_ai.usage.input_tokens": tokens.all_input if tokens else None,
            "gen_ai.usage.output_tokens": tokens.output if tokens else None,
            "gen_ai.usage.cache_read.input_tokens": tokens.cache_read if tokens else None,
            "gen_ai.usage.cache_creation.input_tokens": tokens.cache_write if tokens else None,
            "cost_dollars": None if finished.cost is None else float(finished.cost),
            "cost_label": finished.cost_label,
            "http.request.method": finished.method,
            "http.response.status_code": finished.status,
        }
    )


def _passthrough(finished: RequestSummary, base_url: str) -> Attributes:
    """Coder's attributes, without what callers put into the path or the query."""
    return _given(
        {
            "user_id": finished.initiator_id,
            "api_key_id": finished.api_key_id,
            "provider": finished.provider,
            "passthrough_method": finished.method,
            "passthrough_url": finished.endpoint,
            "passthrough_upstream_url": f"{base_url}{finished.endpoint}",
            "http.response.status_code": finished.status,
        }
    )


def _request(finished: RequestSummary) -> Attributes:
    return _given(
        {
            "http.request.method": finished.method,
            "http.route": finished.path if finished.endpoint else None,
            "http.response.status_code": finished.status,
            "client.address": finished.remote,
            "request_id": finished.request_id,
            "outcome": finished.outcome.value,
            "user_id": finished.initiator_id,
            "provider": finished.provider,
        }
    )


@lru_cache(maxsize=64)
def _server(base_url: str) -> Attributes:
    url = URL(base_url)
    return _given({"server.address": url.host, "server.port": url.port})


def _error(finished: RequestSummary) -> str | None:
    """The error type, if it failed. A client may disconnect when it likes."""
    if finished.outcome in (RequestOutcome.COMPLETED, RequestOutcome.CLIENT_CLOSED):
        return None
    if finished.outcome is RequestOutcome.INTERRUPTED:
        return finished.outcome.value
    status = finished.status
    answered = str(status) if status is not None and status >= 400 else "broken_off"
    return finished.reason or finished.provider_error or answered


def _given(attributes: Mapping[str, str | int | float | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
