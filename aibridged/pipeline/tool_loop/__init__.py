"""The tool loop: the gateway runs the MCP tools that it injected, between turns with the model."""
