"""The part of the table of metrics about MCP servers."""

from aibridged.observe.metric import Kind, Metric

MCP_FAILURES = Metric(
    "aibridged_mcp_server_failures_total",
    Kind.COUNTER,
    "Failures to open a session with an MCP server, whose tools were unavailable.",
    ("server",),
)
MCP_SESSIONS_ENDED = Metric(
    "aibridged_mcp_sessions_ended_total",
    Kind.COUNTER,
    "Tool calls refused because the MCP server had ended the session, as after its restart; each "
    "is repeated once in a new session.",
    ("server",),
)

MCP_SERVERS = (MCP_FAILURES, MCP_SESSIONS_ENDED)
