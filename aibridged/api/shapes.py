"""The answers as JSON, in the shapes of Coder's API for AI Bridge and with more fields than it has.

The OpenAPI document is made from these types.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

import msgspec

from aibridged.records import answers

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Uuid = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Initiator(msgspec.Struct, kw_only=True):
    """Whose it is; the username is empty where it wasn't known."""

    id: str
    username: str


class TokenUsage(msgspec.Struct, kw_only=True):
    """Tokens of one response; `input_tokens` leaves out what the two cache counts hold."""

    id: Uuid
    interception_id: Uuid
    provider_response_id: str
    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count
    cache_write_input_tokens: Count
    metadata: dict[str, Any]
    created_at: Moment


class UserPrompt(msgspec.Struct, kw_only=True):
    """What the user said last."""

    id: Uuid
    interception_id: Uuid
    provider_response_id: str
    prompt: str
    metadata: dict[str, Any]
    created_at: Moment


class ToolUsage(msgspec.Struct, kw_only=True):
    """A tool call of the model's; `metadata` marks `partial` and `server_side` ones."""

    id: Uuid
    interception_id: Uuid
    provider_response_id: str
    provider_tool_call_id: str | None
    provider_item_id: str | None
    server_url: str | None
    tool: str
    input: str
    injected: bool
    invocation_error: str | None
    metadata: dict[str, Any]
    created_at: Moment


class ModelThought(msgspec.Struct, kw_only=True):
    """A piece of reasoning; `metadata` holds its `source`."""

    id: Uuid
    interception_id: Uuid
    content: str
    metadata: dict[str, Any]
    created_at: Moment


class Interception(msgspec.Struct, kw_only=True):
    """One request with its response. `outcome` is null while it is open."""

    id: Uuid
    initiator: Initiator
    api_key_id: str | None
    provider: str
    provider_name: str
    model: str
    client: str
    user_agent: str | None
    client_session_id: str | None
    session_id: str
    credential_kind: str
    credential_hint: str
    thread_parent_id: Uuid | None
    thread_root_id: Uuid | None
    started_at: Moment
    ended_at: Moment | None
    status_code: int | None
    outcome: str | None
    usage_partial: bool | None
    time_to_first_byte_ms: int | None
    metadata: dict[str, Any]
    token_usages: list[TokenUsage]
    user_prompts: list[UserPrompt]
    tool_usages: list[ToolUsage]
    model_thoughts: list[ModelThought]


class Interceptions(msgspec.Struct, kw_only=True):
    """A page; `count` is of all pages."""

    count: Count
    results: list[Interception]


class Tokens(msgspec.Struct, kw_only=True):
    """Tokens of several responses."""

    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count
    cache_write_input_tokens: Count


class Session(msgspec.Struct, kw_only=True):
    """What a session comes to; `last_active_at` is when its last interception started."""

    id: str
    initiator: Initiator
    client: str
    providers: list[str]
    models: list[str]
    started_at: Moment
    last_active_at: Moment
    ended_at: Moment | None
    interceptions: Count
    threads: Count
    token_usage_summary: Tokens
    last_prompt: str | None


class Sessions(msgspec.Struct, kw_only=True):
    """A page; `count` is of all pages."""

    count: Count
    sessions: list[Session]


class Thread(msgspec.Struct, kw_only=True):
    """What one prompt started. A long thread may go on on the session's next page."""

    id: Uuid
    prompt: str | None
    token_usage: Tokens
    interceptions: list[Interception]


class SessionThreads(msgspec.Struct, kw_only=True):
    """A page of a session, in order."""

    id: str
    threads: list[Thread]


def interception(found: answers.Interception) -> Interception:
    """As the API shows it."""
    fields = msgspec.structs.asdict(found)
    fields |= {
        "initiator": _initiator(fields.pop("initiator_id"), fields.pop("username")),
        "metadata": found.metadata or {},
        "token_usages": [TokenUsage(**_row(found, each)) for each in found.token_usages],
        "user_prompts": [UserPrompt(**_row(found, each)) for each in found.user_prompts],
        "tool_usages": [ToolUsage(**_row(found, each)) for each in found.tool_usages],
        "model_thoughts": [ModelThought(**_row(found, each)) for each in found.model_thoughts],
    }
    return Interception(**fields)


def session(found: answers.Session) -> Session:
    """As the API shows it."""
    return Session(
        id=found.session_id,
        initiator=_initiator(found.initiator_id, found.username),
        client=found.client,
        providers=found.providers,
        models=found.models,
        started_at=found.started_at,
        last_active_at=found.last_at,
        ended_at=found.ended_at,
        interceptions=found.interceptions,
        threads=found.threads,
        token_usage_summary=Tokens(
            **{name: getattr(found, name) for name in Tokens.__struct_fields__}
        ),
        last_prompt=found.last_prompt,
    )


def session_threads(id: str, found: Sequence[answers.Interception]) -> SessionThreads:
    """A session's interceptions, which come thread by thread."""
    threads = groupby(found, key=lambda each: each.thread_root_id or each.id)
    return SessionThreads(id=id, threads=[_thread(root, list(each)) for root, each in threads])


def _thread(id: str, found: Sequence[answers.Interception]) -> Thread:
    prompts = [row["prompt"] for row in found[0].user_prompts]
    return Thread(
        id=id,
        prompt=prompts[-1] if prompts else None,
        token_usage=Tokens(
            **{name: sum(each.tokens(name) for each in found) for name in Tokens.__struct_fields__}
        ),
        interceptions=[interception(each) for each in found],
    )


def _initiator(id: str, username: str | None) -> Initiator:
    return Initiator(id=id, username=username or "")


def _row(found: answers.Interception, row: answers.Row) -> dict[str, Any]:
    return {**row, "interception_id": found.id, "metadata": row["metadata"] or {}}
