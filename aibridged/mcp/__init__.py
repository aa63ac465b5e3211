"""MCP tools, which the gateway offers to models and calls itself (tool injection)."""
