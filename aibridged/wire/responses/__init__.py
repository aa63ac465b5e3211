"""OpenAI's Responses API: its responses as facts, and its turns with tools of the gateway."""
