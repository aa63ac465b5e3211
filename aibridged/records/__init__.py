"""The record of prompts, tokens, tool calls and outcomes. Nothing in it is lost."""
