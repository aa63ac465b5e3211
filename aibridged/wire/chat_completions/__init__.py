"""OpenAI's Chat Completions API and its relatives: responses as facts, and turns with tools."""
