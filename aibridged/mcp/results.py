"""Conversion of tool results to the text that is sent to the model."""

import json
from collections.abc import Iterator

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

from aibridged.mcp.tools import ToolResult

_NOTHING = "(The tool returned no output.)"


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
