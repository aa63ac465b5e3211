"""Tools of MCP servers, which the gateway offers to the models and runs itself."""
