"""Facts: the records of an interception, one frozen value per row, or for the end of one.

The values are msgspec structs and not dataclasses because the spool writes them as JSON lines and
must tell them apart when it reads them back, and because they are cheap to create.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from aibridged.core.budgets import Check
from aibridged.core.prices import FREE
from aibridged.records.schema import MAX_NAME

Metadata = dict[str, str | int | float | bool | None]

_MAX_RESULTS = 64


class Outcome(StrEnum):
    """How an interception ended.

    `interrupted` are those that the gateway has ended: at a shutdown, for a token that is no longer
    valid, or because an administrator, or who made it, wanted that. The next start of the daemon
    says so, too, of requests that its predecessor left open.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    CLIENT_CLOSED = "client_closed"
    INTERRUPTED = "interrupted"


class ErrorType(StrEnum):
    """What kind of error an interception ended with: the words of Coder's AI Bridge."""

    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


class ErrorSource(StrEnum):
    """Whose error it is: the provider's response was one, or the gateway answered by itself."""

    PROVIDER = "provider"
    GATEWAY = "gateway"


class Failure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why an interception failed.

    `code` is the gateway's code for the error (see `errors`), or the provider's own word for it.
    """

    type: ErrorType
    source: ErrorSource
    code: str | None
    message: str | None


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request is going to cost at the worst, reserved if all checks allow for it.

    It is charged to its initiator, and to the subjects `charged_to` besides.
    """

    amount: int = 0
    checks: tuple[Check, ...] = ()
    charged_to: tuple[str, ...] = ()


class InterceptionStart(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="interception_start"
):
    """The start of a request, recorded before it goes upstream.

    `provider` is the type and `provider_name` the configured name. `credential_kind` is
    centralized or byok; `credential_hint` is masked already. `tool_result_ids` are the ids of the
    tool calls whose results it carries: the last one finds the interception that this continues.
    `reservation` is None where no spend limit concerns it. `recorder_id` is that of the recorder
    whose it is, where another process writes it.
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
    reservation: Reservation | None = None
    recorder_id: int | None = None

    @property
    def correlating_tool_call_id(self) -> str | None:
        """The tool call by which the preceding interception is found."""
        return self.tool_result_ids[-1] if self.tool_result_ids else None


class InterceptionEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="interception_end"):
    """The end of a request.

    `status_code` is that of the client's response, None where it got none. `usage_partial` says
    that some used tokens weren't counted. `prompt_response_id` is the id of the first response,
    where there was a prompt: it is added to the prompt's row. The `error_` fields are those of a
    `Failure`, if it failed. `metadata` is added to the start's: `unread` in it is the first kind of
    part of the response that couldn't be read. The cost is that of all turns; see `core.prices`.
    """

    interception_id: str
    ended_at: datetime
    outcome: Outcome
    status_code: int | None = None
    usage_partial: bool = False
    time_to_first_byte_ms: int | None = None
    prompt_response_id: str | None = None
    error_type: str | None = None
    error_source: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    metadata: Metadata = {}
    cost_nanos: int | None = None
    cost_label: str | None = None


def refused_end(start: InterceptionStart) -> InterceptionEnd:
    """The end of a request whose start wasn't recorded, or wasn't known to be."""
    return InterceptionEnd(
        interception_id=start.id,
        ended_at=start.started_at,
        outcome=Outcome.FAILED,
        status_code=503,
        cost_nanos=FREE.amount,
        cost_label=str(FREE.label),
    )


def given_up_end(start: InterceptionStart, elapsed: float) -> InterceptionEnd:
    """The end of a request whose client has gone after so many seconds, before its start was known
    to be committed."""
    return InterceptionEnd(
        interception_id=start.id,
        ended_at=ended_at(start.started_at, elapsed),
        outcome=Outcome.CLIENT_CLOSED,
    )


class TokenUsageRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="token_usage"):
    """Tokens of one response; `input_tokens` excludes the two cache counts.

    `provider_model` used them, None for the interception's own. `metadata` holds the `iteration` of
    a usage that the response's own excludes (see `wire.facts.TokenUsage`), and what its cost is
    computed of: see `core.cost_notes`.
    """

    id: str
    interception_id: str
    created_at: datetime
    provider_response_id: str = ""
    provider_model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    cost_nanos: int | None = None
    cost_label: str | None = None
    price_version: str | None = None
    metadata: Metadata = {}


class UserPromptRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="prompt_usage"):
    """The user's last message. `provider_response_id` is empty until the interception's end."""

    id: str
    interception_id: str
    created_at: datetime
    prompt: str
    provider_response_id: str = ""
    metadata: Metadata = {}


class ToolUsageRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="tool_usage"):
    """A tool call by the model.

    `server_url` and `invocation_error` are set for injected tools, which the gateway itself calls.
    `metadata` marks `partial` arguments and `server_side` calls, and has the `duration_ms` of calls
    that the gateway made.
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


class StoredObjectRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="stored_object"):
    """Who made a response or conversation that the provider stores, for those who have its key.

    `is_background` says that what it comes to is to be read when it is fetched. `continuation` says
    how a request goes on from it, where that isn't from this very object; it may be told later.
    """

    provider_name: str
    object_id: str
    initiator_id: str
    created_at: datetime
    interception_id: str | None = None
    is_background: bool = False
    continuation: str | None = None


class BackgroundRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="background"):
    """The status of a response that runs in the background: a last one is never followed.

    `outcome` and `usage_partial` are None as long as those of the interception's end hold, and its
    error does, too.
    """

    interception_id: str
    status: str
    outcome: Outcome | None = None
    usage_partial: bool | None = None
    error_type: str | None = None
    error_source: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    cost_nanos: int | None = None
    cost_label: str | None = None


class ToolRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of a call of an injected tool.

    `tool` is the name that the server at `server_url` knows, `call_id` the id that the provider was
    told: a model may give a call none. `error` is what the model was told, or why the tool wasn't
    called; then `seconds` is None.
    """

    tool: str
    server_url: str
    call_id: str
    error: str | None = None
    seconds: float | None = None


Fact = (
    InterceptionEnd
    | TokenUsageRecord
    | UserPromptRecord
    | ToolUsageRecord
    | ModelThoughtRecord
    | StoredObjectRecord
    | BackgroundRecord
)
"""Everything that is recorded of an interception after its start."""

Record = InterceptionStart | Fact


def ended_at(started_at: datetime, elapsed: float) -> datetime:
    """The end of an interval that began at `started_at` and took `elapsed` monotonic seconds.

    Never before the start: the wall clock isn't read again, since it may be coarse or step back.
    """
    return started_at + timedelta(seconds=max(0.0, elapsed))


def last_results(call_ids: Sequence[str]) -> tuple[str, ...]:
    """The tool calls whose results a request carries; only the last ones are recorded."""
    return tuple(id[:MAX_NAME] for id in call_ids[-_MAX_RESULTS:]) if call_ids else ()
