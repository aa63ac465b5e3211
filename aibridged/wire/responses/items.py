"""The output items of OpenAI's Responses API: which are tool calls, and which hold thoughts.

Source of the shapes: the types of OpenAI's Python SDK (`types/responses`).
"""

from typing import NamedTuple

import msgspec

from aibridged.wire import lenient
from aibridged.wire.bounds import ABSENT, MAX_ELEMENTS, UNREADABLE, has_more_elements, is_given
from aibridged.wire.collector import Collector, Text, are_whole, arguments_text, is_json, json_text
from aibridged.wire.lenient import Parser


class Item(msgspec.Struct):
    """One output item of any type; what differs by type is left raw until it is wanted."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    status: str | None = None
    phase: str | None = None
    execution: str | None = None
    encrypted_content: msgspec.Raw = ABSENT
    environment: msgspec.Raw = ABSENT
    arguments: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    code: msgspec.Raw = ABSENT
    action: msgspec.Raw = ABSENT
    actions: msgspec.Raw = ABSENT
    operation: msgspec.Raw = ABSENT
    queries: msgspec.Raw = ABSENT
    revised_prompt: msgspec.Raw = ABSENT
    summary: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT

    def small(self) -> "Item":
        """The item for as long as it is open: without its large fields and the event around it."""
        raws = {
            field: msgspec.Raw(bytes(raw)) if len(raw) <= _MAX_RAW else ABSENT
            for field in self.__struct_fields__
            if isinstance(raw := getattr(self, field), msgspec.Raw) and raw is not ABSENT
        }
        return msgspec.structs.replace(self, **raws)


_MAX_RAW = 4096  # bytes; what is larger comes again when the item is done


class _Tool(NamedTuple):
    """How one type of item tells its call: `name` where the item has none of its own."""

    name: str | None
    fields: tuple[str, ...]
    server_side: bool
    is_json: bool = True


_TOOLS = {
    "function_call": _Tool(None, ("arguments",), server_side=False),
    "custom_tool_call": _Tool(None, ("input",), server_side=False, is_json=False),
    "computer_call": _Tool("computer", ("action", "actions"), server_side=False),
    "local_shell_call": _Tool("local_shell", ("action",), server_side=False),
    "shell_call": _Tool("shell", ("action",), server_side=False),
    "apply_patch_call": _Tool("apply_patch", ("operation",), server_side=False),
    "tool_search_call": _Tool("tool_search", ("arguments",), server_side=False),
    "mcp_call": _Tool(None, ("arguments",), server_side=True),
    "web_search_call": _Tool("web_search", ("action",), server_side=True),
    "file_search_call": _Tool("file_search", ("queries",), server_side=True),
    "code_interpreter_call": _Tool("code_interpreter", ("code",), server_side=True, is_json=False),
    "image_generation_call": _Tool(
        "image_generation", ("revised_prompt",), server_side=True, is_json=False
    ),
    "program": _Tool("program", ("code",), server_side=True, is_json=False),
}

ITEMS = Parser(Item)

_decode_parts = msgspec.json.Decoder().decode


class _Action(msgspec.Struct):
    type: str = "search"


_decode_action = msgspec.json.Decoder(_Action).decode


def is_tool_call(item: Item) -> bool:
    """Whether the item is a call of a tool, as opposed to a message, a thought or a result."""
    return item.type in _TOOLS


def is_commentary(item: Item) -> bool:
    """Whether the item is a message that comments on the work and isn't the answer."""
    return item.type == "message" and item.phase == "commentary"


def is_web_search(item: Item) -> bool:
    """Whether the item is a search of the web; opening a page that it found is none."""
    if item.type != "web_search_call":
        return False
    try:
        return not is_given(item.action) or _decode_action(item.action).type == "search"
    except UNREADABLE:
        return False


def thoughts_of(item: Item) -> list[tuple[str, str]]:
    """The thoughts that a finished item holds: source and text of each that isn't empty."""
    if item.type == "reasoning":
        parts = [("reasoning_summary", text) for text in _texts(item.summary)]
        return parts + [("reasoning", text) for text in _texts(item.content)]
    if is_commentary(item):
        return [("commentary", text) for text in _texts(item.content)]
    return []


def add_tool_call(collector: Collector, item: Item, text: Text, *, complete: bool) -> None:
    """Keep the call; `text` holds the arguments that were streamed, until the item has its own."""
    tool = _TOOLS[item.type]
    arguments = _arguments(item, tool)
    if arguments:
        text.replace(arguments)
    arguments = text.value
    is_told = are_whole if item.type == "function_call" else is_json
    whole = complete and not text.cut and item.status != "incomplete"
    collector.add_call(
        item.call_id or item.id or "",
        item.name or tool.name or "",
        arguments,
        complete=whole and (not tool.is_json or is_told(arguments)),
        server_side=tool.server_side or _runs_on_server(item),
        item_id=item.id,
    )


def _runs_on_server(item: Item) -> bool:
    """Whether a call that either side can run is one of the provider's."""
    if item.type == "shell_call":
        return '"container' in json_text(item.environment)
    return item.type == "tool_search_call" and item.execution == "server"


def _arguments(item: Item, tool: _Tool) -> str:
    """The first of the tool's fields that isn't null: a string's text, anything else as JSON."""
    for field in tool.fields:
        if text := arguments_text(getattr(item, field)):
            return text
    return ""


def _texts(raw: msgspec.Raw) -> list[str]:
    """The texts of the parts; servers also give one part, or a text alone."""
    if not is_given(raw) or has_more_elements(raw, MAX_ELEMENTS):
        return []
    try:
        parts = _decode_parts(raw)
    except UNREADABLE:
        parts = lenient.loads(raw)
    found = []
    for part in parts if isinstance(parts, list) else [parts]:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str) and text:
            found.append(text)
    return found
