"""THE table of spans: the spans of a request's trace, under the names that Coder documents.

Attributes that begin with `gen_ai.`, `http.`, `url.`, `server.` and `error.` are OpenTelemetry's
(semantic conventions), those of the cost are aibridged's, the others Coder's. None contains a
prompt, a response or a key.
"""

from enum import StrEnum

import msgspec


class SpanName(StrEnum):
    """Every span of the daemon; that of the request itself is named after its route."""

    ACQUIRE = "CachedBridgePool.Acquire"
    INTERCEPT = "Intercept"
    CREATE_INTERCEPTOR = "Intercept.CreateInterceptor"
    RECORD_INTERCEPTION = "Intercept.RecordInterception"
    PROCESS_REQUEST = "Intercept.ProcessRequest"
    MCP_INIT = "ServerProxyManager.Init"
    MCP_SERVER_INIT = "StreamableHTTPServerProxy.Init"
    MCP_FETCH_TOOLS = "StreamableHTTPServerProxy.Init.fetchTools"
    UPSTREAM = "Intercept.ProcessRequest.Upstream"
    TOOL_CALL = "Intercept.ProcessRequest.ToolCall"
    RECORD_PROMPT_USAGE = "Intercept.RecordPromptUsage"
    RECORD_TOKEN_USAGE = "Intercept.RecordTokenUsage"
    RECORD_TOOL_USAGE = "Intercept.RecordToolUsage"
    RECORD_MODEL_THOUGHT = "Intercept.RecordModelThought"
    RECORD_INTERCEPTION_ENDED = "Intercept.RecordInterceptionEnded"
    PASSTHROUGH = "Passthrough"


REQUEST = "<method> <route>"
"""The name of a request's own span in the manual: `POST /anthropic/v1/messages`."""


class Span(msgspec.Struct, frozen=True):
    """A row: `parent` is a name of this table, or None for a span of the client's own trace."""

    name: str
    parent: str | None
    help: str
    attributes: tuple[str, ...]


_ID = ("interception_id",)
_INTERCEPTION = (
    *_ID,
    "request_path",
    "user_id",
    "api_key_id",
    "provider",
    "model",
    "streaming",
)
_SERVER = ("mcp_proxy_name", "mcp_server_name", "mcp_server_url")

SPANS = (
    Span(
        REQUEST,
        None,
        "A request, from its head to the end of the response, including refused ones.",
        (
            "http.request.method",
            "http.route",
            "http.response.status_code",
            "client.address",
            "error.type",
            "request_id",
            "outcome",
            "user_id",
            "provider",
        ),
    ),
    Span(
        SpanName.ACQUIRE,
        REQUEST,
        "Getting the caller's bridge from the pool, or creating it.",
        ("user_id", "api_key_id"),
    ),
    Span(
        SpanName.INTERCEPT,
        REQUEST,
        "An interception: a request that is bridged (recorded).",
        (*_INTERCEPTION, "outcome", "error.type"),
    ),
    Span(
        SpanName.CREATE_INTERCEPTOR,
        SpanName.INTERCEPT,
        "Identifying caller, client and prompt for the record.",
        _ID,
    ),
    Span(
        SpanName.RECORD_INTERCEPTION,
        SpanName.INTERCEPT,
        "Waiting until the start of the interception is committed; nothing goes upstream before.",
        _ID,
    ),
    Span(
        SpanName.PROCESS_REQUEST,
        SpanName.INTERCEPT,
        "Sending the request to the provider and relaying its response.",
        (*_ID, "error.type"),
    ),
    Span(
        SpanName.MCP_INIT,
        SpanName.PROCESS_REQUEST,
        "Connecting to the MCP servers of a caller's tools: once in a bridge's life.",
        ("user_id", "error.type"),
    ),
    Span(
        SpanName.MCP_SERVER_INIT,
        SpanName.MCP_INIT,
        "Connecting to one of these servers.",
        (*_SERVER, "error.type"),
    ),
    Span(
        SpanName.MCP_FETCH_TOOLS,
        SpanName.MCP_SERVER_INIT,
        "Listing the tools of the server.",
        (*_SERVER, "mcp_tool_count", "error.type"),
    ),
    Span(
        SpanName.UPSTREAM,
        SpanName.PROCESS_REQUEST,
        "The exchange with the provider, to the last byte of its response.",
        (
            *_INTERCEPTION,
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "gen_ai.request.stream",
            "gen_ai.response.id",
            "gen_ai.response.model",
            "gen_ai.response.time_to_first_chunk",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "cost_dollars",
            "cost_label",
            "http.request.method",
            "http.response.status_code",
            "server.address",
            "server.port",
            "error.type",
        ),
    ),
    Span(
        SpanName.TOOL_CALL,
        SpanName.PROCESS_REQUEST,
        "A call of an injected tool by the gateway.",
        (*_SERVER, "mcp_tool_name", "error.type"),
    ),
    Span(
        SpanName.RECORD_PROMPT_USAGE,
        SpanName.PROCESS_REQUEST,
        "Recording the prompt, from queueing until it is committed.",
        _ID,
    ),
    Span(
        SpanName.RECORD_TOKEN_USAGE,
        SpanName.PROCESS_REQUEST,
        "Recording the token usage, from queueing until it is committed.",
        _ID,
    ),
    Span(
        SpanName.RECORD_TOOL_USAGE,
        SpanName.PROCESS_REQUEST,
        "Recording a tool call of the model, from queueing until it is committed.",
        _ID,
    ),
    Span(
        SpanName.RECORD_MODEL_THOUGHT,
        SpanName.PROCESS_REQUEST,
        "Recording a part of the model's reasoning, from queueing until it is committed.",
        _ID,
    ),
    Span(
        SpanName.RECORD_INTERCEPTION_ENDED,
        SpanName.INTERCEPT,
        "Recording the end of the interception, from queueing until it is committed.",
        _ID,
    ),
    Span(
        SpanName.PASSTHROUGH,
        REQUEST,
        "A passthrough request, to the last byte of its response.",
        (
            "user_id",
            "api_key_id",
            "provider",
            "passthrough_method",
            "passthrough_url",
            "passthrough_upstream_url",
            "http.response.status_code",
            "error.type",
        ),
    ),
)
"""In the order in which a trace shows them."""
