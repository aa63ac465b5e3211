"""Conversion of tool results to the text that is sent to the model."""

import json
from collections.abc import Iterator, Sequence

import msgspec
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from aibridged.mcp.json_rpc import fields_of, items_of
from aibridged.mcp.tools import ToolResult
from aibridged.wire.bounds import UNREADABLE, elements
from aibridged.wire.lone_surrogates import mended

MAX_BLOCKS = 500
"""Blocks of a result that the SDK reads, which takes microseconds each, on the event loop."""

_NOTHING = "(The tool returned no output.)"


class _Block(msgspec.Struct):
    type: str
    text: str | None = None


_decode_block = msgspec.json.Decoder(_Block).decode
_encode = msgspec.json.Encoder().encode


def lightened(message: bytes) -> bytes:
    """A message of a server's, with what the SDK would refuse, or take long for, made plainer.

    A half of a surrogate pair, as JavaScript's servers cut texts, becomes U+FFFD. Of more than
    `MAX_BLOCKS` blocks the texts are joined, and of others that are left the first ones are kept.
    Blocks for milliseconds.
    """
    message = mended(message)
    if elements(message) <= MAX_BLOCKS:
        return message
    try:
        fields = fields_of(message)
        result = fields_of(fields["result"]) if "result" in fields else {}
        blocks = items_of(result["content"], len(message)) if "content" in result else None
        if blocks is None or len(blocks) <= MAX_BLOCKS:
            return message
        result["content"] = msgspec.Raw(b"[%b]" % b",".join(_joined(blocks)))
    except (ValueError, RecursionError):
        return message
    fields["result"] = msgspec.Raw(_encode(result))
    return _encode(fields)


def _joined(blocks: Sequence[bytes]) -> list[bytes]:
    """The blocks with neighbouring texts as one, in lines: so they are passed on, anyhow."""
    joined: list[bytes] = []
    lines: list[str] = []

    def end_text() -> None:
        if lines:
            joined.append(_encode({"type": "text", "text": "\n".join(lines)}))
            lines.clear()

    for number, raw in enumerate(blocks):
        text = _text_of(raw)
        if text is not None:
            lines.append(text)
            continue
        end_text()
        if len(joined) >= MAX_BLOCKS:
            lines.append(f"[{len(blocks) - number} other parts of the result are left out.]")
            break
        joined.append(raw)
    end_text()
    return joined


def _text_of(raw: bytes) -> str | None:
    """The text of a block of text; None for any other."""
    try:
        block = _decode_block(raw)
    except UNREADABLE:
        return None
    return block.text if block.type == "text" else None


def as_tool_result(result: CallToolResult, max_bytes: int) -> ToolResult:
    """The result's texts, joined, with a line for each other kind of content.

    Structured content is for programs, and repeated as text; it is used, as JSON, where there is no
    text. What exceeds `max_bytes` in UTF-8 is cut, with a note.
    """
    parts = [_described(block) for block in result.content]
    has_text = any(isinstance(block, TextContent) for block in result.content)
    if result.structured_content is not None and not has_text:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    return ToolResult(cut("\n".join(parts) or _NOTHING, max_bytes), is_error=result.is_error)


def cut(text: str, max_bytes: int) -> str:
    """The text, or its beginning with a note that it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    kept = encoded[:max_bytes].decode("utf-8", "ignore")
    return f"{kept}\n\n[Cut here: the result has {len(encoded)} bytes, {max_bytes} are passed on.]"


def _described(block: ContentBlock) -> str:
    match block:
        case TextContent(text=text):
            return text
        case ImageContent():
            return f"[an image, {block.mime_type}, {_size(block.data)}, which can't be shown]"
        case AudioContent():
            return f"[audio, {block.mime_type}, {_size(block.data)}, which can't be played]"
        case ResourceLink():
            return " ".join(_link(block))
        case EmbeddedResource():
            return _embedded(block.resource)


def _embedded(resource: TextResourceContents | BlobResourceContents) -> str:
    if isinstance(resource, TextResourceContents):
        return f"[{resource.uri}]\n{resource.text}"
    kind = resource.mime_type or "of an unknown type"
    return f"[a file, {resource.uri}, {kind}, {_size(resource.blob)}]"


def _link(link: ResourceLink) -> Iterator[str]:
    yield f"[{link.name}: {link.uri}]"
    if link.description:
        yield link.description


def _size(base64: str) -> str:
    """The approximate size of base64 data, in bytes."""
    return f"{len(base64) * 3 // 4} bytes"
