"""Summary of a request that has ended, for its log line, its metrics and its spans."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class RequestOutcome(StrEnum):
    """Outcome of a request: `rejected` ones never went upstream, the others are interceptions'."""

    COMPLETED = "completed"
    FAILED = "failed"
    CLIENT_CLOSED = "client_closed"
    INTERRUPTED = "interrupted"
    REJECTED = "rejected"


class TokenCounts(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response; none is counted twice, and `extra` is a breakdown by name.

    `model` used them, None for the requested one.
    """

    input: int
    output: int
    cache_read: int
    cache_write: int
    extra: Mapping[str, int] = {}
    model: str | None = None

    @property
    def all_input(self) -> int:
        """All input tokens, cached or not."""
        return self.input + self.cache_read + self.cache_write


class RequestSummary(msgspec.Struct, frozen=True, gc=False):
    """A request that has ended. Fields for stages that it didn't reach are None.

    `path` is safe to show: the provider's name and the route's pattern; of an unknown path only
    segments that occur in some route, the others, which may be anything, are `*`. `status` is that
    of the client's response. `reason` is the code of the gateway's own error. `provider_error` is
    the type of the error in the provider's response, `unread` the first kind of part of it that
    couldn't be read; `error_type` and `error_source` are those on record, if an interception
    failed. `ended_by` is the username of who has ended it from outside.

    `groups` are the initiator's. `claimed_api_key_id` is the public id of a token that is not
    verified, so it may be made up. `upstream_status` is that of the provider's response, and the
    last one of several turns. `upstream_url` is where a request went that failed there, without
    credentials and query.

    `tokens` are the response's own, `additional_tokens` those used for it that it excludes. `cost`
    is that of all turns in dollars, as exact text, with the label exact, estimated or unpriced.

    `began` to `ended` are monotonic seconds: `sent_at` is when the request went upstream,
    `answered_at` when the response's head came, `first_byte_at` when the first byte of the body was
    relayed; that is None where the response isn't read. `body_wait` is how long the gateway waited
    for the client's body.
    """

    request_id: str
    outcome: RequestOutcome
    method: str
    path: str
    began: float
    ended: float
    status: int | None = None
    remote: str | None = None
    client: str = "Unknown"
    user_agent: str | None = None
    credential_kind: str | None = None

    body_wait: float = 0.0
    sent_at: float | None = None
    upstream_status: int | None = None
    answered_at: float | None = None
    first_byte_at: float | None = None

    interception_id: str | None = None
    response_id: str | None = None
    response_model: str | None = None
    tokens: TokenCounts | None = None
    tools: tuple[str, ...] = ()

    initiator_id: str | None = None
    username: str | None = None
    groups: tuple[str, ...] = ()
    api_key_id: str | None = None

    provider: str | None = None
    provider_type: str | None = None
    endpoint: str | None = None
    bridged: bool = False

    model: str | None = None
    streamed: bool = False
    has_prompt: bool = False

    cost: str | None = None
    cost_label: str | None = None

    # What most go without.
    reason: str | None = None
    claimed_api_key_id: str | None = None
    upstream_url: str | None = None
    additional_tokens: tuple[TokenCounts, ...] = ()
    provider_error: str | None = None
    error_type: str | None = None
    error_source: str | None = None
    unread: str | None = None
    ended_by: str | None = None

    @property
    def all_tokens(self) -> TokenCounts | None:
        """All that were used for it, whichever model used them."""
        tokens = self.tokens
        if tokens is None or not self.additional_tokens:
            return tokens
        every = (tokens, *self.additional_tokens)
        return TokenCounts(
            input=sum(each.input for each in every),
            output=sum(each.output for each in every),
            cache_read=sum(each.cache_read for each in every),
            cache_write=sum(each.cache_write for each in every),
        )

    @property
    def seconds(self) -> float:
        """Duration, from the request's head to the end of the response."""
        return self.ended - self.began

    @property
    def seconds_to_first_byte(self) -> float | None:
        """Time to the provider's first byte, if any came."""
        first = self.answered_at if self.first_byte_at is None else self.first_byte_at
        return None if first is None else first - self.began
