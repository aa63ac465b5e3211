"""MCP tools, which the gateway offers to the models and runs itself (tool injection)."""
