"""JSON schemas of one session in the shape of Coder's API: threads of agentic actions."""

from typing import Any

import msgspec

from aibridged.api import shapes
from aibridged.api.shapes import CostLabel, Dollars, Initiator, Moment, Tokens, Uuid
from aibridged.records import query_results as answers
from aibridged.records.query_results import Row


class TokenTotals(Tokens, kw_only=True):
    """Tokens of several responses; `metadata` holds the sums of the providers' other counts."""

    metadata: dict[str, int]


class Thinking(msgspec.Struct, kw_only=True):
    """A piece of reasoning."""

    text: str


class ToolCall(msgspec.Struct, kw_only=True):
    """A tool call by the model; `server_url` is empty unless the gateway ran it."""

    id: Uuid
    interception_id: Uuid
    provider_response_id: str
    server_url: str
    tool: str
    injected: bool
    input: str
    metadata: dict[str, Any]
    created_at: Moment


class AgenticActionHead(msgspec.Struct, kw_only=True):
    """An agentic action without its reasoning and tool calls."""

    model: str
    token_usage: TokenTotals
    cost: Dollars | None
    cost_label: CostLabel | None


class AgenticAction(AgenticActionHead, kw_only=True):
    """The tool calls of one response, with the reasoning before them."""

    thinking: list[Thinking]
    tool_calls: list[ToolCall]


class ThreadTotals(msgspec.Struct, kw_only=True):
    """What is known of a thread once it has been read. The error is its first interception's.

    `texts_withheld` is why its texts are "(withheld)", null where they aren't.
    """

    prompt: str | None
    model: str
    provider: str
    credential_kind: str
    credential_hint: str
    started_at: Moment
    ended_at: Moment | None
    token_usage: TokenTotals
    cost: Dollars | None
    cost_label: CostLabel | None
    error_type: str | None
    error_message: str | None
    texts_withheld: str | None


class Thread(ThreadTotals, kw_only=True):
    """What one prompt started: an agentic loop."""

    id: Uuid
    agentic_actions: list[AgenticAction]


class SessionHead(msgspec.Struct, kw_only=True):
    """A session without its threads. `metadata` is that of its first interception."""

    id: str
    initiator: Initiator
    providers: list[str]
    models: list[str]
    client: str
    metadata: dict[str, Any]
    started_at: Moment
    ended_at: Moment | None
    token_usage_summary: TokenTotals
    cost: Dollars | None
    cost_label: CostLabel | None


class SessionThreads(SessionHead, kw_only=True):
    """A session with a page of its threads, in order. `more` says whether there is another page.

    The totals are the whole session's, and `page_started_at` and `page_ended_at` the page's.
    """

    threads: list[Thread]
    more: bool
    page_started_at: Moment | None
    page_ended_at: Moment | None


def session(found: answers.Session, extra: dict[str, int]) -> SessionHead:
    """A session with its totals, `extra` among them."""
    listed = shapes.session(found)
    counts = msgspec.structs.asdict(listed.token_usage_summary)
    return SessionHead(
        token_usage_summary=TokenTotals(metadata=extra, **counts),
        **{name: getattr(listed, name) for name in _LISTED},
    )


def tool_call(interception_id: str, row: Row) -> ToolCall:
    """A row of `tool_usages`."""
    found = shapes.row("tool_usages", interception_id, row)
    return ToolCall(**{name: getattr(found, name) for name in ToolCall.__struct_fields__})


_LISTED = [name for name in SessionHead.__struct_fields__ if name != "token_usage_summary"]
