"""A scripted stand-in for Anthropic and OpenAI: for tests, the demo and the bench.

It serves Messages, Chat Completions and Responses, blocking and streamed, and the routes beside
them, so that the official SDKs accept every byte. Any key is accepted, but there must be one.

Its responses are controlled by keywords in the prompt (see `answer`), by the model's name
(`fake-status-529`, `fake-error-overloaded`, `fake-error-rate-limit`), or by scripts (see `Script`),
which tests pass to `FakeProvider.play` and other processes send to its control routes:

    POST /__fake/script     one script or a list, as JSON: {"status": 529, "times": 5}
    GET  /__fake/requests   {"seen": how many, "requests": the last ones, bodies in base64}
    POST /__fake/reset      forgets scripts and requests
"""

from aibridged.fake_provider.answer import Answer, ToolCall, Usage
from aibridged.fake_provider.received import Received
from aibridged.fake_provider.script import Script
from aibridged.fake_provider.server import FakeProvider

__all__ = ["Answer", "FakeProvider", "Received", "Script", "ToolCall", "Usage"]
