"""Anthropic's Messages API: its responses as facts, and its turns with tools of the gateway."""
