"""What OpenAI's Chat Completions API and the servers that are compatible with it answer, typed.

Source of the shapes: the types of OpenAI's Python SDK; `reasoning_content`, `reasoning`
and `reasoning_text` are what compatible servers (DeepSeek, vLLM and OpenRouter, GitHub Copilot)
call the text of the model's reasoning.
"""

import msgspec

from aibridged.wire.bounds import ABSENT, Shape


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None
    input: str | None = None  # of a custom tool


class CallPiece(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Function | None = None


class Message(msgspec.Struct):
    """A whole message, or what a chunk of a stream adds to it."""

    tool_calls: list[CallPiece] | None = None
    function_call: Function | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_text: str | None = None

    def thought(self) -> str | None:
        """The text of its reasoning, by whichever name it goes."""
        return self.reasoning_content or self.reasoning or self.reasoning_text


class Choice(msgspec.Struct):
    index: int = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A whole completion, or a chunk of a streamed one."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Outline(Completion):
    choices: list[Choice] | None = msgspec.field(default=None, name="")


decode = Shape(Completion, _Outline).decode
