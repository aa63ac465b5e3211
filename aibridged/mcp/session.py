"""MCP session with one server, over streamable HTTP, through the official SDK."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import ClientSession, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, Implementation, PaginatedRequestParams
from pydantic import ValidationError

from aibridged import __version__
from aibridged.clock import Clock
from aibridged.config.mcp_servers import without_query
from aibridged.mcp.health import Access
from aibridged.mcp.http import ServerTransport
from aibridged.mcp.limits import Limits
from aibridged.mcp.listing import MAX_ENTRIES, ToolList
from aibridged.observe.scope import Attributes, span
from aibridged.observe.spans import SpanName
from aibridged.tasks import Tasks

_MAX_PAGES = 100
_MAX_SENTENCE = 500  # characters of a server's own message
# Deadline for ending a session at the server.
_CLOSING_S = 2.0
# The SDK's messages about an unreadable response quote the response.
_NOT_UNDERSTOOD = re.compile(r"Failed to parse .*: \d+ validation error")


class ServerFailedError(Exception):
    """A server failed to list tools, or a call failed; the message says why, without secrets.

    `session_ended`: the server didn't know the session any more, so it has done nothing.
    """

    def __init__(self, reason: str, *, session_ended: bool = False) -> None:
        super().__init__(reason)
        self.session_ended = session_ended


class _Session(ClientSession):
    async def validate_tool_result(self, name: str, result: CallToolResult) -> None:
        """Accept the result: validation would run the regular expressions of a server's schema."""


class StreamableHTTPServerProxy:
    """One server, as one caller sees it. Its session lives in a task of its own."""

    def __init__(
        self,
        access: Access,
        limits: Limits,
        tls: ssl.SSLContext,
        clock: Clock,
    ) -> None:
        self.access = access
        self._server = access.server
        self._limits = limits
        self._tls = tls
        self._clock = clock
        self._listed: asyncio.Future[ToolList | ServerFailedError] = (
            asyncio.get_running_loop().create_future()
        )
        self._closing = asyncio.Event()
        self._session: ClientSession | None = None
        self._ended = ""  # the data of an error that says that the session has ended
        self._task: asyncio.Task[None] | None = None
        self._calls = 0
        self._retired = False

    @property
    def is_open(self) -> bool:
        """Whether calls may succeed."""
        return self._session is not None

    async def open(self, tasks: Tasks) -> ToolList:
        """Connect and list the tools; from then on a task keeps the session until `close`.

        Raises:
            ServerFailedError: the server is missing, or not usable.
        """
        with span(SpanName.MCP_SERVER_INIT, self._attributes):
            self._task = tasks.start(self._run(), f"MCP session with {self._server.id}")
            listed = await asyncio.shield(self._listed)
            if isinstance(listed, ServerFailedError):
                raise listed
            return listed

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call a tool. Cancellation cancels the call at the server, too.

        Raises:
            ServerFailedError: there was no result, or none in time.
        """
        if self._session is None:
            raise ServerFailedError("the session has ended")
        self._calls += 1
        try:
            async with asyncio.timeout(self._limits.call_timeout):
                return await self._session.call_tool(tool, arguments)
        except TimeoutError:
            raise ServerFailedError(
                f"it took longer than {self._limits.call_timeout:g} s"
            ) from None
        except MCPError as error:
            ended = error.error.data == self._ended
            raise ServerFailedError(self._reason(error), session_ended=ended) from None
        except Exception as error:  # noqa: BLE001 - what a server sends may break the SDK anyhow
            raise ServerFailedError(self._reason(error)) from None
        finally:
            self._calls -= 1
            if self._retired and self._calls == 0:
                self.close()

    def retire(self) -> None:
        """End the session once its last call has ended."""
        self._retired = True
        if self._calls == 0:
            self.close()

    def close(self) -> None:
        """End the session, in the background."""
        self._closing.set()
        if self._task is not None and not self._listed.done():
            self._task.cancel()

    async def _run(self) -> None:
        """Run the session: the SDK's contexts must be exited by the task that entered them."""
        reason = "it was cancelled"
        try:
            async with (
                asyncio.timeout(self._limits.init_timeout) as limit,
                self._connected() as (session, transport),
            ):
                tools = await self._list_tools(session, transport)
                transport.opened()
                limit.reschedule(None)
                self._session, self._ended = session, transport.ended
                self._listed.set_result(tools)
                await self._closing.wait()
                self._session = None
                limit.reschedule(asyncio.get_running_loop().time() + _CLOSING_S)
        except TimeoutError:
            reason = f"it didn't list its tools within {self._limits.init_timeout:g} s"
        except Exception as error:  # noqa: BLE001 - what a server sends may break the SDK anyhow
            reason = self._reason(error)
        finally:
            self._session = None
            if not self._listed.done():
                self._listed.set_result(ServerFailedError(reason))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[ClientSession, ServerTransport]]:
        limits = self._limits
        transport = ServerTransport(
            self._tls,
            self._clock,
            seconds=limits.response_seconds,
            max_bytes=limits.response_bytes,
            max_total=limits.opening_bytes,
            proxy=self._server.proxy,
        )
        headers = {"User-Agent": f"aibridged/{__version__}", "Accept-Encoding": "identity"}
        headers |= {name: value.reveal() for name, value in self._server.headers}
        if self.access.token is not None:
            headers["Authorization"] = f"Bearer {self.access.token.reveal()}"
        async with (
            httpx2.AsyncClient(
                transport=transport,
                headers=headers,
                timeout=limits.response_seconds,
                trust_env=False,
            ) as client,
            streamable_http_client(
                self._server.url, http_client=client, max_sse_event_size=limits.response_bytes
            ) as (read, write),
            _Session(
                read, write, client_info=Implementation(name="aibridged", version=__version__)
            ) as session,
        ):
            await _negotiate(session, transport)
            yield session, transport

    async def _list_tools(self, session: ClientSession, transport: ServerTransport) -> ToolList:
        """List the tools, on all pages. The transport's listing gets them, in place of the SDK."""
        with span(SpanName.MCP_FETCH_TOOLS, self._attributes) as fetching:
            page = await session.list_tools()
            for _ in range(_MAX_PAGES - 1):
                if not page.next_cursor:
                    break
                page = await session.list_tools(
                    params=PaginatedRequestParams(cursor=page.next_cursor)
                )
            if page.next_cursor:
                raise ServerFailedError(f"its tool list has more than {_MAX_PAGES} pages")
            listing = transport.listing
            if len(listing.entries) > MAX_ENTRIES:
                raise ServerFailedError(f"its tool list has more than {MAX_ENTRIES} entries")
            if fetching is not None:
                fetching.annotate({"mcp_tool_count": len(listing.entries)})
            return ToolList(session.protocol_version or listing.version, tuple(listing.entries))

    def _reason(self, error: Exception) -> str:
        """The reason for a failure, as the end of a sentence; the first of several."""
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        match error:
            case ServerFailedError():
                return str(error)
            case MCPError() if not _NOT_UNDERSTOOD.match(error.error.message):
                return _printable(self.access.censored(error.error.message))
            case _:
                return "its response violates the protocol"

    @property
    def _attributes(self) -> Attributes:
        return {
            "mcp_proxy_name": self._server.id,
            "mcp_server_name": self._server.id,
            "mcp_server_url": without_query(self._server.url),
        }


async def _negotiate(session: ClientSession, transport: ServerTransport) -> None:
    """Agree on a version: the protocol's newer way, and where a server refuses that, the older."""
    try:
        await session.discover()
    except (MCPError, RuntimeError, ValidationError):
        if not transport.answered:
            raise
        await session.initialize()


def _printable(text: str) -> str:
    """A server's message on one line: it goes into a log, or to a model."""
    words = "".join(each if each.isprintable() else " " for each in text[:_MAX_SENTENCE]).split()
    return " ".join(words) or "it gave no reason"
