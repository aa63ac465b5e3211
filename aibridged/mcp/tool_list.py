"""Tool lists with invalid entries: the valid tools are offered, the others left out and named.

The SDK validates a server's list as a whole, so that one invalid entry would cost all its tools.
"""

from types import TracebackType
from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse, methods
from mcp_types import Tool as ListedTool
from pydantic import ValidationError

_MAX_FAULTS = 20
_MAX_NAME = 64  # characters
_METHOD = "tools/list"

Item = SessionMessage | Exception


class ToolListFilter:
    """Stands for the stream from which a session reads.

    Once `version` is set, the protocol's, what it reads of tool lists is valid; `faults` say what
    was left out.
    """

    def __init__(self, read: Any) -> None:
        self.version: str | None = None
        self.faults: list[str] = []
        self._read = read

    async def receive(self) -> Item:
        return self._filtered(await self._read.receive())

    async def aclose(self) -> None:
        await self._read.aclose()

    @property
    def last_context(self) -> Any:
        """The context of the last item's sender, as the SDK's own streams keep it."""
        return getattr(self._read, "last_context", None)

    def __aiter__(self) -> "ToolListFilter":
        return self

    async def __anext__(self) -> Item:
        return self._filtered(await self._read.__anext__())

    async def __aenter__(self) -> "ToolListFilter":
        await self._read.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        done: bool | None = await self._read.__aexit__(kind, error, traceback)
        return done

    def _filtered(self, item: Item) -> Item:
        if self.version is None or not isinstance(item, SessionMessage):
            return item
        message = item.message
        if not isinstance(message, JSONRPCResponse) or not isinstance(message.result, dict):
            return item
        tools = message.result.get("tools")
        if isinstance(tools, list):
            others = {key: value for key, value in message.result.items() if key != "tools"}
            message.result["tools"] = [each for each in tools if self._is_valid(each, others)]
        return item

    def _is_valid(self, entry: Any, others: dict[str, Any]) -> bool:
        try:
            ListedTool.model_validate(entry, by_name=False)
            methods.validate_server_result(
                _METHOD, self.version or "", {**others, "tools": [entry]}
            )
        except KeyError:  # a version without a schema of its own
            return True
        except ValidationError as error:
            self._note(entry, error)
            return False
        return True

    def _note(self, entry: Any, error: ValidationError) -> None:
        if len(self.faults) < _MAX_FAULTS:
            name = entry.get("name") if isinstance(entry, dict) else None
            where = ".".join(
                str(part) for part in error.errors()[0]["loc"] if isinstance(part, str)
            )
            self.faults.append(f"{str(name)[:_MAX_NAME]!r}: invalid {where[:_MAX_NAME] or 'entry'}")
