"""Facts: the records of an interception, one frozen value per row, or for the end of one.

The values are msgspec structs and not dataclasses because the spool writes them as JSON lines and
must tell them apart when it reads them back; a request pays for making several, too.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from aibridged.records.ids import uuid7
from aibridged.records.schema import MAX_ID, MAX_NAME
from aibridged.wire.collector import OMITTED
from aibridged.wire.facts import ResponseFacts

Metadata = dict[str, str | int | float | bool | None]

_MAX_SEQUENCE = 4095
_MAX_RESULTS = 64


class Outcome(StrEnum):
    """How an interception ended.

    `interrupted` is not said by whoever handled the request, but by the next start of the daemon
    about requests that its predecessor left open.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    CLIENT_CLOSED = "client_closed"
    INTERRUPTED = "interrupted"


class InterceptionStart(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="interception_start"
):
    """A request that is about to go upstream.

    `provider` is the type and `provider_name` the configured name. `credential_kind` is
    centralized or byok; `credential_hint` is masked already. `tool_result_ids` are the call ids
    that the request answers: the last one names the interception that this one continues.
    """

    id: str
    initiator_id: str
    provider: str
    provider_name: str
    model: str
    started_at: datetime
    username: str | None = None
    api_key_id: str | None = None
    client: str = "Unknown"
    user_agent: str | None = None
    client_session_id: str | None = None
    credential_kind: str = "centralized"
    credential_hint: str = ""
    tool_result_ids: tuple[str, ...] = ()
    metadata: Metadata = {}

    @property
    def correlating_tool_call_id(self) -> str | None:
        """The tool call by which the interception before this one is found."""
        return self.tool_result_ids[-1] if self.tool_result_ids else None


class InterceptionEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="interception_end"):
    """How a request ended.

    `status_code` is what the client was answered, None where it was answered nothing.
    `usage_partial` says that tokens were used which nobody counted. `prompt_response_id` is the id
    of the first answer, where there was a prompt: its row has it from then on.
    """

    interception_id: str
    ended_at: datetime
    outcome: Outcome
    status_code: int | None = None
    usage_partial: bool = False
    time_to_first_byte_ms: int | None = None
    prompt_response_id: str | None = None


class TokenUsageRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="token_usage"):
    """Tokens of one response; `input_tokens` leaves out what the two cache counts hold."""

    id: str
    interception_id: str
    created_at: datetime
    provider_response_id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    metadata: Metadata = {}


class UserPromptRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="prompt_usage"):
    """What the user said last. `provider_response_id` is empty until the interception's end."""

    id: str
    interception_id: str
    created_at: datetime
    prompt: str
    provider_response_id: str = ""
    metadata: Metadata = {}


class ToolUsageRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="tool_usage"):
    """A tool call of the model's.

    `server_url` and `invocation_error` are of injected tools, which the gateway itself calls.
    `metadata` marks `partial` arguments and `server_side` calls, and tells the `duration_ms` of one
    that the gateway has run.
    """

    id: str
    interception_id: str
    created_at: datetime
    tool: str
    input: str
    provider_response_id: str = ""
    provider_tool_call_id: str | None = None
    provider_item_id: str | None = None
    server_url: str | None = None
    injected: bool = False
    invocation_error: str | None = None
    metadata: Metadata = {}


class ModelThoughtRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="model_thought"):
    """A piece of reasoning; `metadata` holds its `source`, and marks it where it is `partial`."""

    id: str
    interception_id: str
    created_at: datetime
    content: str
    metadata: Metadata = {}


class ToolRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the gateway has to say of a call of an injected tool.

    `error` is what the model was told, or why it was never run; then there are no `seconds`.
    """

    server_url: str
    error: str | None = None
    seconds: float | None = None


Fact = InterceptionEnd | TokenUsageRecord | UserPromptRecord | ToolUsageRecord | ModelThoughtRecord
"""All that is recorded of an interception after its start."""

Record = InterceptionStart | Fact


_NO_RUNS: Mapping[str, ToolRun] = {}


def ended_at(started_at: datetime, elapsed: float) -> datetime:
    """The end of what began at `started_at` and took `elapsed` seconds of the monotonic clock.

    Never before the start: the wall clock isn't asked again, since it may be coarse or step back.
    """
    return started_at + timedelta(seconds=max(0.0, elapsed))


def last_results(call_ids: Sequence[str]) -> tuple[str, ...]:
    """The tool calls that a request answers, as far as they are recorded: the last ones."""
    return tuple(id[:MAX_NAME] for id in call_ids[-_MAX_RESULTS:]) if call_ids else ()


def response_records(
    interception_id: str,
    response: ResponseFacts,
    created_at: datetime,
    runs: Mapping[str, ToolRun] = _NO_RUNS,
) -> Sequence[Fact]:
    """The rows that a response leaves: usage, thoughts and tool calls, whose ids keep the order.

    `runs` are the calls of injected tools, by their call ids. Names and ids are cut to their
    bounds here already: each record of an answer with many calls has the answer's. The metadata of
    the last row says how many tool calls and thoughts are `omitted`, if any are.
    """
    response_id = (response.response_id or "")[:MAX_ID]
    records: list[TokenUsageRecord | ModelThoughtRecord | ToolUsageRecord] = []
    usage = response.usage
    if usage is not None:
        records.append(
            TokenUsageRecord(
                id=uuid7(created_at),
                interception_id=interception_id,
                created_at=created_at,
                provider_response_id=response_id,
                input_tokens=usage.input,
                output_tokens=usage.output,
                cache_read_input_tokens=usage.cache_read,
                cache_write_input_tokens=usage.cache_write,
                metadata=dict(usage.extra),
            )
        )
    for number, thought in enumerate(response.thoughts):
        records.append(
            ModelThoughtRecord(
                id=uuid7(created_at, min(number, _MAX_SEQUENCE)),
                interception_id=interception_id,
                created_at=created_at,
                content=thought.content,
                metadata={"source": thought.source, **_marks(partial=not thought.complete)},
            )
        )
    for number, call in enumerate(response.tool_calls):
        run = runs.get(call.call_id)
        records.append(
            ToolUsageRecord(
                id=uuid7(created_at, min(number, _MAX_SEQUENCE)),
                interception_id=interception_id,
                created_at=created_at,
                tool=call.name[:MAX_NAME],
                input=call.arguments,
                provider_response_id=response_id,
                provider_tool_call_id=call.call_id[:MAX_NAME],
                provider_item_id=call.item_id and call.item_id[:MAX_ID],
                server_url=run.server_url if run else None,
                injected=run is not None,
                invocation_error=run.error if run else None,
                metadata={
                    **_marks(partial=not call.complete, server_side=call.server_side),
                    **(_duration(run) if run else {}),
                },
            )
        )
    if records and (omitted := response.anomalies.get(OMITTED)):
        records[-1].metadata["omitted"] = omitted
    return records


def _duration(run: ToolRun) -> Metadata:
    return {} if run.seconds is None else {"duration_ms": round(run.seconds * 1000)}


def _marks(**marks: bool) -> Metadata:
    return {name: True for name, is_set in marks.items() if is_set}
