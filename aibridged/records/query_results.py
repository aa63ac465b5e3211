"""Queries and the value types of their results."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from aibridged.core.money import NanoDollars

Row = dict[str, Any]
"""A row of a table, by column."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of interceptions; None means any.

    `owner` is the id of the only initiator that is considered; `initiator` is an id or a username
    (`initiator_id` or `username` where it is known which), `provider` a type or a configured name,
    `status` an outcome (or `open`), `min_cost` nano-dollars that each (each session, of sessions)
    has cost at least, `group` the name of one that the initiator is in now, `key` the hint of the
    provider's key. `text` is in a prompt, whatever its case; `tool` was called; `error` is a type,
    code or source of the error. These three are for lists, which search for them. `after_id`
    gives those older than that one, or newer with `oldest_first`; `after_session`, of sessions,
    those used before that one. `offset` skips rows instead, and shifts when rows arrive between two
    pages.
    """

    owner: str | None = None
    initiator: str | None = None
    initiator_id: str | None = None
    username: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    provider: str | None = None
    provider_name: str | None = None
    model: str | None = None
    client: str | None = None
    session: str | None = None
    status: str | None = None
    min_cost: int | None = None
    text: str | None = None
    tool: str | None = None
    error: str | None = None
    group: str | None = None
    key: str | None = None
    after_id: str | None = None
    after_session: str | None = None
    offset: int = 0
    oldest_first: bool = False
    limit: int = 100


class Names(msgspec.Struct, frozen=True):
    """A page of sorted names: those with this `beginning`."""

    beginning: str
    limit: int
    offset: int = 0


class Interception(msgspec.Struct, kw_only=True):
    """One row of `aibridge_interceptions` with its child rows.

    In a list texts are `truncated`, as each row says of its own; so is the interception if it has
    more rows than are shown. `cost` and `cost_label` (see `core.prices`) are those of all its token
    usages, which have their own, too: both None while it is open, and where no cost was computed.
    `texts_withheld` is why texts are, None where they aren't.
    """

    id: str
    initiator_id: str
    username: str | None
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
    thread_parent_id: str | None
    thread_root_id: str | None
    started_at: datetime
    ended_at: datetime | None
    status_code: int | None
    outcome: str | None
    usage_partial: bool | None
    time_to_first_byte_ms: int | None
    error_type: str | None
    error_source: str | None
    error_code: str | None
    error_message: str | None
    background_status: str | None = None
    cost: NanoDollars | None = None
    cost_label: str | None = None
    metadata: dict[str, Any] | None
    truncated: bool = False
    texts_withheld: str | None = None
    token_usages: list[Row] = []
    user_prompts: list[Row] = []
    tool_usages: list[Row] = []
    model_thoughts: list[Row] = []

    def tokens(self, column: str) -> int:
        """The sum of a column of the token usages."""
        return sum(usage[column] for usage in self.token_usages)


class Session(msgspec.Struct, kw_only=True):
    """The totals of a client's session, or of one thread without a session.

    `last_at` is when its last interception started; it has ended when none of them is open.
    `client`, `user_agent` and `metadata` are those of the first that ended. `truncated` says that a
    prompt, or one of the lists, is longer, and `texts_withheld` why prompts are. `cost` and
    `cost_label` are those of what has a cost; see `records.cost_sums`. It is `unusual`
    where it has cost more than `usual_cost`; see `records.usual_costs`.
    """

    session_id: str
    initiator_id: str
    username: str | None
    client: str
    providers: list[str]
    models: list[str]
    started_at: datetime
    last_at: datetime
    ended_at: datetime | None
    interceptions: int
    threads: int
    first_prompt: str | None
    last_prompt: str | None
    user_agent: str | None = None
    metadata: dict[str, Any] | None = None
    truncated: bool = False
    texts_withheld: str | None = None
    unusual: bool = False
    usual_cost: NanoDollars | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    cost: NanoDollars | None = None
    cost_label: str | None = None


class Usage(msgspec.Struct, kw_only=True):
    """Tokens of one user, model, day, …, or of one combination of these, and what they cost.

    `by` has the value of each dimension, and `key` has them in one text. `refused` is how many
    requests were refused for what a person may do: None for those that can't be told by it. Days
    are whole.
    """

    key: str
    by: dict[str, str]
    interceptions: int
    failed: int = 0
    """Of these."""
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    cached_share: float | None
    """The share of input tokens that were read from the cache; None where there were none."""
    cost: NanoDollars | None = None
    """Of what has one."""
    cost_label: str | None = None
    refused: int | None = None


USAGE_NUMBERS = (
    "interceptions",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "cached_share",
    "cost",
    "refused",
)
"""The numbers of a `Usage`, which it can be sorted by."""


class UsageBy(StrEnum):
    """What totals are grouped by."""

    USER = "user"
    MODEL = "model"
    PROVIDER = "provider"
    CLIENT = "client"
    SESSION = "session"
    TOKEN = "token"
    KEY = "key"
    GROUP = "group"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"
