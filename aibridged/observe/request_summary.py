"""Summary of an ended request: one value for its log line, its metrics and its spans."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class RequestOutcome(StrEnum):
    """How a request ended: `rejected` never went to a provider, the others are interceptions'."""

    COMPLETED = "completed"
    FAILED = "failed"
    CLIENT_CLOSED = "client_closed"
    INTERRUPTED = "interrupted"
    REJECTED = "rejected"


class TokenCounts(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer; none is counted twice, and `extra` breaks them down by name."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    extra: Mapping[str, int] = {}

    @property
    def all_input(self) -> int:
        """All that the model was given, whether it was cached or not."""
        return self.input + self.cache_read + self.cache_write


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that has ended. Whatever it didn't come to is None.

    `path` is safe to show: the provider's name and the route's pattern, and of a path that isn't
    served only the words that are some route's; the rest, which may be anything, is `*`. `status`
    is what the client was answered. `reason` is the code of the gateway's own error.
    `provider_error` is the type of the error that the provider worded in its answer.

    `began` to `ended` are seconds of the monotonic clock: `sent_at` is when the request went to
    the provider, `answered_at` when the head of its answer came, `first_byte_at` when the first
    byte of the body was relayed; that is None where the answer isn't read. `body_wait` is for how
    long the client's body was waited for.
    """

    request_id: str
    outcome: RequestOutcome
    method: str
    path: str
    began: float
    ended: float
    status: int | None = None
    reason: str | None = None
    remote: str | None = None

    initiator_id: str | None = None
    username: str | None = None
    api_key_id: str | None = None
    credential_kind: str | None = None
    client: str = "Unknown"
    user_agent: str | None = None

    provider: str | None = None
    provider_type: str | None = None
    endpoint: str | None = None
    bridged: bool = False
    body_wait: float = 0.0
    sent_at: float | None = None
    answered_at: float | None = None
    first_byte_at: float | None = None

    interception_id: str | None = None
    model: str | None = None
    streamed: bool = False
    has_prompt: bool = False
    response_id: str | None = None
    response_model: str | None = None
    tokens: TokenCounts | None = None
    tools: tuple[str, ...] = ()
    provider_error: str | None = None

    @property
    def seconds(self) -> float:
        """How long it took, from its head to the end of the answer."""
        return self.ended - self.began

    @property
    def seconds_to_first_byte(self) -> float | None:
        """How long the client waited for the provider's first byte, if any came."""
        first = self.answered_at if self.first_byte_at is None else self.first_byte_at
        return None if first is None else first - self.began
