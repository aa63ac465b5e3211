"""Content of the fake model's response: a pure function of the prompt.

Keywords at the start of the user's last message control it, in any case:

- `use the tool`: calls a tool; those whose names are in the prompt, or else the first one.
- `use the tools`: calls several in parallel, where the request allows that.
- `think hard`: thinks first (thinking blocks, reasoning summaries, reasoning tokens).
- `from cache`: reports input tokens that were read from and written to the prompt cache.
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

# Placeholder for fresh ids in rendered responses; the server replaces it for each request, so that
# a rendered stream can be reused.
NONCE = "@nonce@"

KEYWORD_LIMIT = 1000
"""Characters of the prompt that are searched for keywords and names of tools."""

ECHO_LIMIT = 200
"""Characters of the prompt that the response repeats, to keep it small."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens of one response; `input` excludes cached ones, `output` includes `reasoning`."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0

    @property
    def all_input(self) -> int:
        """Input tokens as OpenAI counts them: cached ones included."""
        return self.input + self.cache_read + self.all_cache_write

    @property
    def all_cache_write(self) -> int:
        """Tokens written to the cache, for five minutes or for an hour."""
        return self.cache_write + self.cache_write_1h


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of one tool; `arguments` is a JSON object as text."""

    name: str
    arguments: str = "{}"


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of one response, before it is rendered for an API; empty parts are left out."""

    text: str = ""
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    encrypted: bool = False
    """Whether encrypted thinking is included, to be sent back where nothing is stored."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool in the request; `schema` is the JSON Schema of its arguments, as received."""

    name: str
    schema: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The parts of a request that the fake uses, the same for all APIs."""

    model: str
    text: str
    """The user's last message; where `from_tool`, the tools' results."""
    from_tool: bool = False
    stream: bool = False
    include_usage: bool = True
    parallel: bool = True
    encrypted: bool = False
    """Whether encrypted thinking is requested."""
    background: bool = False
    """Whether the answer is to be fetched later."""
    tools: tuple[Tool, ...] = ()

    def says(self, keyword: str) -> bool:
        """Whether `keyword`, in lower case, is in the prompt."""
        return keyword in self.text[:KEYWORD_LIMIT].lower()


class InvalidRequestError(ValueError):
    """A request that the real API would refuse with 400; the message says what is wrong."""


def answer(prompt: Prompt) -> Answer:
    """The default response to `prompt`."""
    echo = _shorten(prompt.text)
    calls = _calls(prompt) if prompt.says("use the tool") and not prompt.from_tool else ()
    if prompt.from_tool:
        text = f"The tool answered: {echo}"
    elif calls:
        text = "Let me use the tool."
    else:
        text = f"Hello from the fake provider. You said: {echo}"
    thinking = f"I was asked this: {echo} I think that I know." if prompt.says("think hard") else ""
    return Answer(text=text, thinking=thinking, calls=calls, encrypted=prompt.encrypted)


def usage(prompt: Prompt, said: Answer) -> Usage:
    """The tokens of `said`: a word is a token, so that tests can calculate them."""
    reasoning = words(said.thinking)
    calls = sum(words(call.arguments) for call in said.calls)
    cached = prompt.says("from cache")
    return Usage(
        input=words(prompt.text),
        output=words(said.text) + calls + reasoning,
        reasoning=reasoning,
        cache_read=1024 if cached else 0,
        cache_write=256 if cached else 0,
        cache_write_1h=64 if cached else 0,
    )


def words(text: str) -> int:
    """The tokens of `text`: counts spaces, which is fast even in a large prompt."""
    return text.count(" ") + 1 if text else 0


def stretch(said: Answer, deltas: int) -> Answer:
    """`said` with filler words at the end of its text, so that it has `deltas` stream deltas."""
    missing = deltas - len(pieces(said.text))
    return msgspec.structs.replace(said, text=said.text + " and" * missing) if missing > 0 else said


def pieces(text: str, limit: int | None = None) -> list[str]:
    """`text` as stream deltas, one per word; at most `limit`, the last of which has the rest."""
    found = re.findall(r"\s*\S+|\s+$", text)
    if limit is None or len(found) <= limit:
        return found
    return [*found[: limit - 1], "".join(found[limit - 1 :])]


def halves(text: str) -> tuple[str, str]:
    """The two halves of `text`: partial JSON arrives like this."""
    middle = len(text) // 2
    return text[:middle], text[middle:]


def _shorten(text: str) -> str:
    return text if len(text) <= ECHO_LIMIT else text[:ECHO_LIMIT] + "…"


def _calls(prompt: Prompt) -> tuple[ToolCall, ...]:
    named = [tool for tool in prompt.tools if tool.name in prompt.text[:KEYWORD_LIMIT]]
    several = prompt.parallel and prompt.says("use the tools")
    chosen = named or list(prompt.tools)
    if several and len(chosen) == 1:
        chosen *= 2
    return tuple(
        ToolCall(tool.name, msgspec.json.encode(_example(tool.schema)).decode())
        for tool in chosen[: 2 if several else 1]
    )


def _example(schema: bytes) -> dict[str, Any]:
    """Arguments that satisfy a simple JSON Schema: the required properties by type."""
    try:
        shape = msgspec.json.decode(schema, type=_Schema)
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"tools: the schema of a tool cannot be read: {error}") from None
    return {name: _value(name, shape.properties.get(name, _Property())) for name in shape.required}


class _Property(msgspec.Struct, frozen=True):
    type: Any = "string"
    enum: tuple[Any, ...] = ()


class _Schema(msgspec.Struct, frozen=True):
    properties: dict[str, _Property] = {}
    required: tuple[str, ...] = ()


def _value(name: str, shape: _Property) -> Any:
    if shape.enum:
        return shape.enum[0]
    examples: dict[str, Any] = {
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "array": [],
        "object": {},
        "null": None,
    }
    return examples.get(shape.type, f"a {name}") if isinstance(shape.type, str) else f"a {name}"
