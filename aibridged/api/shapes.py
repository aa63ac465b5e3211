"""JSON schemas of the API: those of Coder's API for AI Bridge, with additional fields.

The OpenAPI document is made from these types. Texts in lists are `truncated`; a single item has all
that is stored of them, and its `metadata` marks what was `cut` before it was stored.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from aibridged.core.money import exact_dollars
from aibridged.identity.audit import AuditEntry, change_in_words
from aibridged.records import query_results as answers
from aibridged.records.structured_log import with_user_agent

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Uuid = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
Count = Annotated[int, msgspec.Meta(ge=0)]
Dollars = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]{1,9})?$")]
"""An amount in US dollars, as exact decimal text."""
CostLabel = Literal["exact", "estimated", "unpriced"]


class Initiator(msgspec.Struct, kw_only=True):
    """The user; the username is empty where it wasn't known."""

    id: str
    username: str


class TokenUsage(msgspec.Struct, kw_only=True):
    """Tokens of one response; `input_tokens` excludes the two cache counts.

    `provider_model` used them, null for the interception's own model. `metadata` holds the
    `iteration` of a usage that the response's own excludes: a compaction, an advisor_message, or
    the message of an attempt that was declined. `price_version` is that of the table of prices.
    """

    id: Uuid
    interception_id: Uuid
    provider_response_id: str
    provider_model: str | None
    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count
    cache_write_input_tokens: Count
    cost: Dollars | None
    cost_label: CostLabel | None
    price_version: str | None
    truncated: bool
    metadata: dict[str, Any]
    created_at: Moment


class UserPrompt(msgspec.Struct, kw_only=True):
    """The user's last message."""

    id: Uuid
    interception_id: Uuid
    provider_response_id: str
    prompt: str
    truncated: bool
    metadata: dict[str, Any]
    created_at: Moment


class ToolUsage(msgspec.Struct, kw_only=True):
    """A tool call by the model; `metadata` marks `partial` and `server_side` ones.

    `server_url` and `invocation_error` are empty where there is none.
    """

    id: Uuid
    interception_id: Uuid
    provider_response_id: str
    provider_tool_call_id: str | None
    provider_item_id: str | None
    server_url: str
    tool: str
    input: str
    injected: bool
    invocation_error: str
    truncated: bool
    metadata: dict[str, Any]
    created_at: Moment


class ModelThought(msgspec.Struct, kw_only=True):
    """A piece of reasoning; `metadata` holds its `source`."""

    id: Uuid
    interception_id: Uuid
    content: str
    truncated: bool
    metadata: dict[str, Any]
    created_at: Moment


class InterceptionHead(msgspec.Struct, kw_only=True):
    """An interception without its child rows.

    The error of a failed one is the provider's or the gateway's own, as `error_source` says.
    `background_status` is the last one known of a response that runs in the background: as long as
    it is queued or in_progress, nobody has fetched the rest through the gateway. Without a
    `cost_label` no cost was computed; an unpriced one lacks the cost of some of its tokens or all.
    `texts_withheld` is why its texts are "(withheld)", null where they aren't.
    """

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
    background_status: str | None
    error_type: str | None
    error_source: str | None
    error_code: str | None
    error_message: str | None
    cost: Dollars | None
    cost_label: CostLabel | None
    metadata: dict[str, Any]
    truncated: bool
    texts_withheld: str | None


class Interception(InterceptionHead, kw_only=True):
    """One request with its response. `outcome` is null while it is open.

    It is `truncated` if it has more child rows than a list shows.
    """

    token_usages: list[TokenUsage]
    user_prompts: list[UserPrompt]
    tool_usages: list[ToolUsage]
    model_thoughts: list[ModelThought]


class Listed(msgspec.Struct, kw_only=True):
    """A page; `more` says whether there is a next page.

    `count` is the total over all pages where it `count_is_exact`; else there are at least so many.
    A page that was searched for goes on at `search_cursor`, and has searched back to
    `searched_until`, if it isn't full.
    """

    count: Count
    count_is_exact: bool
    more: bool
    searched_until: Moment | None
    search_cursor: str | None


class Interceptions(Listed, kw_only=True):
    """A page of interceptions."""

    results: list[Interception]


class AuditRow(AuditEntry, frozen=True, kw_only=True):
    """A row of the audit log; `change` is what it was in words, with usernames for ids."""

    change: str


class Audit(msgspec.Struct, kw_only=True):
    """A page of the audit log; `count` is the total over all pages."""

    count: Count
    results: list[AuditRow]
    more: bool


class Tokens(msgspec.Struct, kw_only=True):
    """Tokens of several responses."""

    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count
    cache_write_input_tokens: Count


class Usage(Tokens, kw_only=True):
    """Totals of one value of each dimension, which are in `by`; of everything that matches without.

    `failed` are the interceptions that ended so, and `cached_share` is the part of the input that
    was read from the cache. The cost is that of what
    has one; an unpriced one lacks some. `refused` is how many requests were refused for what a
    person may do, null where that isn't known by these dimensions and filters.
    """

    by: dict[str, str]
    interceptions: Count
    failed: Count
    cached_share: float | None
    cost: Dollars | None
    cost_label: CostLabel | None
    refused: Count | None


class Usages(msgspec.Struct, kw_only=True):
    """Totals, the `total` of all that matches, and whether there are `more` behind the limit."""

    usage: list[Usage]
    total: Usage
    more: bool


class Session(msgspec.Struct, kw_only=True):
    """Totals of a session; `last_active_at` is when its last interception started.

    `metadata` is that of its first interception. It is `truncated` if its last prompt is longer, or
    it has more models or providers, than shown. `texts_withheld` is why its prompts are
    "(withheld)", null where they aren't. Its cost is that of the interceptions that have
    one; an unpriced one lacks some. It is `unusual` if it has cost more than $1 and more than
    `usual_cost`: than 95 % of that user's sessions of 30 days, null where there were none yet.
    """

    id: str
    initiator: Initiator
    client: str
    providers: list[str]
    models: list[str]
    metadata: dict[str, Any]
    started_at: Moment
    last_active_at: Moment
    ended_at: Moment | None
    interceptions: Count
    threads: Count
    token_usage_summary: Tokens
    cost: Dollars | None
    cost_label: CostLabel | None
    first_prompt: str | None
    last_prompt: str | None
    texts_withheld: str | None
    unusual: bool
    usual_cost: Dollars | None
    truncated: bool


class Found(msgspec.Struct, kw_only=True):
    """What an id is, or the only one that begins so: a `session`, or an `interception`."""

    kind: Literal["session", "interception"]
    id: str
    session_id: str


class Sessions(Listed, kw_only=True):
    """A page of sessions."""

    sessions: list[Session]


CHILD_KINDS: Mapping[str, type[TokenUsage | UserPrompt | ToolUsage | ModelThought]] = {
    "token_usages": TokenUsage,
    "user_prompts": UserPrompt,
    "tool_usages": ToolUsage,
    "model_thoughts": ModelThought,
}
"""The child rows of an interception, and their types."""

_HEAD = [name for name in InterceptionHead.__struct_fields__ if name != "initiator"]


def interception(found: answers.Interception) -> Interception:
    """An interception with its child rows."""
    lists: dict[str, Any] = {
        name: [row(name, found.id, each) for each in getattr(found, name)] for name in CHILD_KINDS
    }
    return Interception(**_head(found), **lists)


def interception_head(found: answers.Interception) -> InterceptionHead:
    """An interception without its child rows."""
    return InterceptionHead(**_head(found))


def row(
    name: str, interception_id: str, found: answers.Row
) -> TokenUsage | UserPrompt | ToolUsage | ModelThought:
    """A child row of that kind."""
    fields = {**found, "interception_id": interception_id, "metadata": found["metadata"] or {}}
    if name == "tool_usages":  # as in Coder's API, these are never null
        for text in ("server_url", "invocation_error"):
            fields[text] = fields[text] or ""
    elif name == "token_usages":
        fields["cost"] = exact_dollars(found["cost"])
    return CHILD_KINDS[name](**fields)


def session(found: answers.Session) -> Session:
    """A session with its totals."""
    return Session(
        id=found.session_id,
        initiator=_initiator(found.initiator_id, found.username),
        client=found.client,
        providers=found.providers,
        models=found.models,
        metadata=with_user_agent(found.metadata or {}, found.user_agent),
        started_at=found.started_at,
        last_active_at=found.last_at,
        ended_at=found.ended_at,
        interceptions=found.interceptions,
        threads=found.threads,
        token_usage_summary=Tokens(
            **{name: getattr(found, name) for name in Tokens.__struct_fields__}
        ),
        **cost(found.cost, found.cost_label),
        first_prompt=found.first_prompt,
        last_prompt=found.last_prompt,
        texts_withheld=found.texts_withheld,
        unusual=found.unusual,
        usual_cost=exact_dollars(found.usual_cost),
        truncated=found.truncated,
    )


def audit_row(found: AuditEntry, names: Mapping[str, str]) -> AuditRow:
    """A row of the audit log; `names` are usernames by the ids in changes."""
    return AuditRow(**msgspec.structs.asdict(found), change=change_in_words(found, names))


def usage(found: answers.Usage) -> Usage:
    """A total as the API has it."""
    same = {name: getattr(found, name) for name in Usage.__struct_fields__}
    return Usage(**{**same, **cost(found.cost, found.cost_label)})


def cost(amount: int | None, label: str | None) -> dict[str, Any]:
    """The two fields of a cost in nano-dollars."""
    return {"cost": exact_dollars(amount), "cost_label": label}


def _head(found: answers.Interception) -> dict[str, Any]:
    fields = {name: getattr(found, name) for name in _HEAD}
    return {
        **fields,
        **cost(found.cost, found.cost_label),
        "initiator": _initiator(found.initiator_id, found.username),
        "metadata": with_user_agent(found.metadata or {}, found.user_agent),
    }


def _initiator(id: str, username: str | None) -> Initiator:
    return Initiator(id=id, username=username or "")
