"""What the readers take out of requests and responses: plain values that are never changed.

They are msgspec structs, since a request makes half a dozen of them, and a frozen dataclass takes
ten times as long to make.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class WireApi(StrEnum):
    """The APIs whose requests and responses are read.

    Tools are put into the first three alone. `STORED_RESPONSES` is how a response that runs in the
    background is read: from what the provider stores of it in the end.
    """

    MESSAGES = "messages"
    CHAT_COMPLETIONS = "chat_completions"
    RESPONSES = "responses"
    COMPACTION = "compaction"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    STORED_RESPONSES = "stored_responses"


RESPONSES_APIS = frozenset({WireApi.RESPONSES, WireApi.COMPACTION})
"""Those of the Responses API, whose responses a provider stores and whose requests may go on from
stored ones."""

RUNNING = frozenset({"queued", "in_progress"})
"""The statuses of a response in the background that will have another one."""


class CutText(str):
    """The beginning of a text: `length` (bytes) and `sha256` are those of the whole in UTF-8."""

    __slots__ = ("length", "sha256")
    length: int
    sha256: str

    @classmethod
    def of(cls, beginning: str, length: int, sha256: str) -> "CutText":
        cut = cls(beginning)
        cut.length, cut.sha256 = length, sha256
        return cut


class RequestFacts(msgspec.Struct, frozen=True, gc=False):
    """What a request asks for.

    `prompt` is what a person said last, None where that isn't new to the model, and may be a
    CutText. `purpose` is title, compaction or memory, for requests of the program's own.
    `tool_result_ids` are the call ids that the end of the request answers, in the request's order.
    `session_id` is the one in the body; headers may name a better one (see `clients`).
    `include_usage` is what the caller asked of a Chat Completions stream, in `stream_options` if it
    `has_options`. `introduction` is how the system prompt begins, in JSON. `anomalies` names what
    couldn't be read. `service_tier` and `speed` are the provider's own words.

    `max_tokens` is the most that each of its `choices` may generate, whatever the field's name.

    Of Responses: `background` asks the provider to answer later, `store` lets it keep the response,
    and the request goes on from a stored `previous_response` or in a `conversation`; an id that
    can't be read is empty.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    has_options: bool = False
    prompt: str | None = None
    purpose: str | None = None
    tool_result_ids: tuple[str, ...] = ()
    session_id: str | None = None
    introduction: bytes = b""
    anomalies: tuple[str, ...] = ()
    background: bool = False
    store: bool = True
    previous_response: str | None = None
    conversation: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    max_tokens: int | None = None
    choices: int = 1


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response, whichever API counted them.

    `input`, `cache_read` and `cache_write` never overlap: their sum is what the model was given.
    `output` is all that it generated. `extra` breaks these down or counts other things (searches),
    by name, and holds no zeros. `partial` says that the response broke before its last word, or
    that it used more than is told here.

    `model` used the tokens, None for the requested one. `additional` are tokens of the same
    response that these figures exclude: an `iteration` of the type that Anthropic gives it
    (compaction, advisor_message, message), by this or by another model. `service_tier` and `speed`
    are what the response says of its processing, in the provider's own words.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    extra: Mapping[str, int] = {}
    partial: bool = False
    model: str | None = None
    iteration: str | None = None
    additional: tuple["TokenUsage", ...] = ()
    service_tier: str | None = None
    speed: str | None = None


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a tool by the model.

    `call_id` is the id that the tool's result will name; `item_id` is the Responses API's id of the
    output item. `arguments` is the text as the model wrote it, JSON except for free-form tools.
    `server_side` calls are run by the provider. `complete` is False for arguments that were broken
    off, cut at the bound, or aren't the JSON that they should be.
    """

    call_id: str
    item_id: str | None
    name: str
    arguments: str
    server_side: bool
    complete: bool


class Thought(msgspec.Struct, frozen=True, gc=False):
    """A piece of the model's reasoning that the provider shows.

    `source` is thinking, redacted_thinking (with no content), reasoning_summary, reasoning or
    commentary. `complete` is False for one that was broken off or cut at the bound.
    """

    content: str
    source: str
    complete: bool


class ProviderError(msgspec.Struct, frozen=True, gc=False):
    """An error as the provider words it, in a body or in the middle of a stream."""

    type: str | None
    code: str | None
    message: str | None


_UNREAD = ("unreadable_", "crowded_", "oversized_", "unsupported_", "malformed_", "reader_failed")
_BUT_FOR_A_FIELD = "unreadable_field"


class ResponseFacts(msgspec.Struct, frozen=True, gc=False):
    """What a response said.

    `complete` is False where it broke before its end or ended with an error. `anomalies` counts by
    kind what the reader couldn't read or didn't keep. `status` is the last one that a response told
    of itself which runs in the background, None of others.
    """

    response_id: str | None = None
    model: str | None = None
    usage: TokenUsage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    thoughts: tuple[Thought, ...] = ()
    error: ProviderError | None = None
    complete: bool = False
    anomalies: Mapping[str, int] = {}
    status: str | None = None

    @property
    def unread(self) -> str | None:
        """The kind of the first thing that facts are missing of: an event, a body, the usage."""
        for kind in self.anomalies:
            if kind.startswith(_UNREAD) and kind != _BUT_FOR_A_FIELD:
                return kind
        return None
