"""Gateways with tools, in front of a provider that checks each request for validity."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aibridged.config.options import McpServerSettings
from aibridged.fake_provider import FakeProvider
from aibridged.mcp.tools import Tool, ToolResult
from aibridged.pipeline.bridge import Bridge

SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
}


def tool(name: str) -> Tool:
    return Tool(
        f"bmcp_files_{name}",
        "files",
        "http://files/mcp",
        name,
        f"{name} a file.",
        json.dumps(SCHEMA).encode(),
    )


class FakeToolbox:
    """Tools that do what a test says; `called` are their names and arguments, in order."""

    def __init__(self) -> None:
        self.tools = [tool("read"), tool("write")]
        self.called: list[tuple[str, Any]] = []
        self.opened = 0
        self.answers: list[ToolResult] = []
        self.gate: asyncio.Event | None = None
        self.running = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def call(self, called: Tool, arguments: bytes) -> ToolResult:
        self.called.append((called.tool, json.loads(arguments)))
        self.running.set()
        if self.gate is not None:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return self.answers.pop(0) if self.answers else ToolResult("forty-two")


@pytest.fixture
def toolbox(monkeypatch) -> FakeToolbox:
    """What every caller is offered."""
    box = FakeToolbox()

    async def opened(bridge: Bridge) -> FakeToolbox:
        box.opened += 1
        return box

    monkeypatch.setattr(Bridge, "toolbox", opened)
    return box


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    """A provider that refuses what the real ones would refuse."""
    provider = FakeProvider(strict=True)
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
def with_tools(toolbox, start_gateway) -> Callable[..., Awaitable[Any]]:
    """Starts a gateway that offers `toolbox`."""

    async def start(**changes: object) -> Any:
        servers = (McpServerSettings("files", "http://files/mcp"),)
        return await start_gateway(mcp_servers=servers, **changes)

    return start


class Talk:
    """A conversation in one API, through an official SDK, in one of the ways that it has."""

    def __init__(self, sdk: Any, api: str, way: str) -> None:
        self.sdk = sdk
        self.api = api
        self.way = way
        self.history: list[Any] = []
        self.tools: list[dict[str, Any]] = []
        self.options: dict[str, Any] = {}

    def offer(self, name: str) -> None:
        """Offer a tool of the client's own."""
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        if self.api == "messages":
            self.tools.append({"name": name, "input_schema": schema})
        elif self.api == "chat":
            function = {"name": name, "parameters": schema}
            self.tools.append({"type": "function", "function": function})
        else:
            function = {"type": "function", "name": name, "parameters": schema, "strict": False}
            self.tools.append(function)

    async def say(self, text: str) -> Any:
        """Say something, and keep what the model answers; returns the SDK's value of it."""
        self.history.append({"role": "user", "content": text})
        return await self.ask()

    async def bring(self, *results: tuple[str, str]) -> Any:
        """Bring results of the client's own tools, by the ids of their calls."""
        if self.api == "messages":
            blocks = [
                {"type": "tool_result", "tool_use_id": name, "content": text}
                for name, text in results
            ]
            self.history.append({"role": "user", "content": blocks})
        elif self.api == "chat":
            self.history += [
                {"role": "tool", "tool_call_id": name, "content": text} for name, text in results
            ]
        else:
            self.history += [
                {"type": "function_call_output", "call_id": name, "output": text}
                for name, text in results
            ]
        return await self.ask()

    async def ask(self) -> Any:
        options = {"model": "some-model", **self.options}
        if self.tools:
            options["tools"] = self.tools
        answer = await getattr(self, f"_{self.api}")(options)
        if self.api == "messages":
            self.history.append({"role": "assistant", "content": answer.content})
        elif self.api == "chat":
            self.history.append(answer.choices[0].message)
        elif "previous_response_id" not in options:
            self.history += answer.output
        return answer

    async def _messages(self, options: dict[str, Any]) -> Any:
        asked = {"max_tokens": 100, "messages": self.history, **options}
        if self.way == "blocking":
            return await self.sdk.messages.create(**asked)
        async with self.sdk.messages.stream(**asked) as stream:
            return await stream.get_final_message()

    async def _chat(self, options: dict[str, Any]) -> Any:
        asked = {"messages": self.history, **options}
        if self.way == "blocking":
            return await self.sdk.chat.completions.create(**asked)
        usage = {"include_usage": True}
        async with self.sdk.chat.completions.stream(**asked, stream_options=usage) as stream:
            return await stream.get_final_completion()

    async def _responses(self, options: dict[str, Any]) -> Any:
        asked = {"input": self.history, **options}
        if self.way == "blocking":
            return await self.sdk.responses.create(**asked)
        async with self.sdk.responses.stream(**asked) as stream:
            return await stream.get_final_response()

    def text(self, answer: Any) -> str:
        if self.api == "messages":
            return "\n\n".join(block.text for block in answer.content if block.type == "text")
        if self.api == "chat":
            return answer.choices[0].message.content or ""
        found = [item.content[0].text for item in answer.output if item.type == "message"]
        return "\n\n".join(found)

    def calls(self, answer: Any) -> list[tuple[str, str]]:
        """Ids and names of the calls that the client sees."""
        if self.api == "messages":
            blocks = [block for block in answer.content if block.type == "tool_use"]
            return [(block.id, block.name) for block in blocks]
        if self.api == "chat":
            calls = answer.choices[0].message.tool_calls or []
            return [(call.id, call.function.name) for call in calls]
        items = [item for item in answer.output if item.type == "function_call"]
        return [(item.call_id, item.name) for item in items]

    def tokens(self, answer: Any) -> tuple[int, int]:
        usage = answer.usage
        if self.api == "chat":
            return usage.prompt_tokens, usage.completion_tokens
        return usage.input_tokens, usage.output_tokens


@pytest.fixture
def talk_to(connect_sdk) -> Callable[..., Talk]:
    """Begins conversations: `talk_to(gateway, "chat", "streaming")`."""

    def begin(gateway: Any, api: str, way: str) -> Talk:
        sdk = connect_sdk("anthropic" if api == "messages" else "openai", gateway.url)
        return Talk(sdk, api, way)

    return begin


@pytest.fixture
async def spans(monkeypatch) -> AsyncIterator[list[Any]]:
    """The spans of a trace, as a receiver gets them."""
    received: list[Any] = []

    async def receive(request: web.BaseRequest) -> web.StreamResponse:
        message = ExportTraceServiceRequest()
        message.ParseFromString(await request.read())
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                received.extend(scope.spans)
        return web.Response()

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield received
    await runner.cleanup()


@pytest.fixture(params=["messages", "chat", "responses"])
def api(request) -> str:
    return request.param


@pytest.fixture(params=["blocking", "streaming"])
def way(request) -> str:
    return request.param
