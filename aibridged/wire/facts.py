"""Value types of the facts in requests and responses.

They are msgspec structs, since a request makes half a dozen of them, and a frozen dataclass takes
ten times as long to make.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class WireApi(StrEnum):
    """The three APIs whose requests and responses are parsed."""

    MESSAGES = "messages"
    CHAT_COMPLETIONS = "chat_completions"
    RESPONSES = "responses"


class CutText(str):
    """The beginning of a text: `length` (bytes) and `sha256` are of the whole text in UTF-8."""

    __slots__ = ("length", "sha256")
    length: int
    sha256: str

    @classmethod
    def of(cls, beginning: str, length: int, sha256: str) -> "CutText":
        cut = cls(beginning)
        cut.length, cut.sha256 = length, sha256
        return cut


class RequestFacts(msgspec.Struct, frozen=True, gc=False):
    """The facts of a request.

    `prompt` is None where the request's last item isn't the user's, and may be a CutText.
    `tool_result_ids` are the ids of the calls whose results end the request, in order. `session_id`
    is the one in the body; headers may have a better one (see `clients`). `include_usage` is the
    caller's option for a Chat Completions stream, in `stream_options` if it `has_options`.
    `anomalies` names what couldn't be parsed.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    has_options: bool = False
    prompt: str | None = None
    tool_result_ids: tuple[str, ...] = ()
    session_id: str | None = None
    anomalies: tuple[str, ...] = ()


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one response, whichever API counted them.

    `input`, `cache_read` and `cache_write` never overlap: their sum is the model's input. `output`
    is everything that it generated. `extra` is a breakdown, or counts other things (searches), by
    name, without zeros. `partial` says that the response broke off before its last event.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    extra: Mapping[str, int] = {}
    partial: bool = False


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool call by the model.

    `call_id` is the id in the tool's result; `item_id` is the Responses API's id of the output
    item. `arguments` is the text as the model wrote it, JSON except for free-form tools.
    `server_side` calls are run by the provider. `complete` is False for arguments that were broken
    off, cut at the bound, or aren't valid JSON where they should be.
    """

    call_id: str
    item_id: str | None
    name: str
    arguments: str
    server_side: bool
    complete: bool


class Thought(msgspec.Struct, frozen=True, gc=False):
    """A part of the model's reasoning that the provider shows.

    `source` is thinking, redacted_thinking (with no content), reasoning_summary, reasoning or
    commentary. `complete` is False for one that was broken off or cut at the bound.
    """

    content: str
    source: str
    complete: bool


class ProviderError(msgspec.Struct, frozen=True, gc=False):
    """A provider's error, in a body or within a stream."""

    type: str | None
    code: str | None
    message: str | None


class ResponseFacts(msgspec.Struct, frozen=True, gc=False):
    """The facts of a response.

    `complete` is False if it broke off or ended with an error. `anomalies` counts by kind what
    couldn't be parsed or wasn't kept.
    """

    response_id: str | None = None
    model: str | None = None
    usage: TokenUsage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    thoughts: tuple[Thought, ...] = ()
    error: ProviderError | None = None
    complete: bool = False
    anomalies: Mapping[str, int] = {}
