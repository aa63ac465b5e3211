"""Paths without a provider's name: each belongs to the first provider whose API has it.

`/v1/messages` goes to the first provider of type anthropic, `/v1/responses` to the first of type
openai. Both have `/v1/models`: there the client's headers tell which API it speaks. A client whose
base URL lacks the version is served all the same.
"""

from collections.abc import Mapping
from typing import NamedTuple

from aibridged.providers.anthropic import Anthropic
from aibridged.providers.base import POST, READ, Provider
from aibridged.providers.openai import OpenAI

BASES = ("/v1", "/v1/")
"""The version by itself, which a person may open in a browser."""

COUNT_TOKENS = "/v1/messages/count_tokens"
CANT_COUNT = frozenset({404, 501})
"""Statuses of a provider that speaks the Messages API and doesn't count tokens."""

_VERSION = "/v1"
_TYPES: tuple[type[Provider], ...] = (Anthropic, OpenAI)
_METHODS = tuple(sorted(READ | POST | {"DELETE"}))
_OF_ANTHROPIC = ("anthropic-version", "x-api-key")
_CLAUDE = ("claude-code/", "claude-cli/")


class Home(NamedTuple):
    """A provider, and the path below its name."""

    provider: Provider
    path: str


class Unnamed:
    """Finds the provider of paths that name none."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        first: dict[str, Provider] = {}
        for each in providers.values():
            first.setdefault(each.type, each)
        self._messages = [first[each.type] for each in _TYPES if each.type in first]
        self._openai = self._messages[::-1]

    def find(self, method: str, path: str, headers: Mapping[str, str]) -> Home | None:
        """The provider that serves this path, perhaps with another method, or None.

        `headers` must not mind the case of names.
        """
        providers = self._messages if _speaks_messages(headers) else self._openai
        paths = (path,) if path.startswith(f"{_VERSION}/") else (_VERSION + path, path)
        for wanted in ((method,), _METHODS):
            for provider in providers:
                for below in paths:
                    if any(provider.route(each, below) is not None for each in wanted):
                        return Home(provider, below)
        return None


def missing_type(method: str, path: str) -> str | None:
    """The type of provider that this path without a name is for; None where there is none."""
    versioned = path if path.startswith(f"{_VERSION}/") else _VERSION + path
    for each in _TYPES:
        below = versioned.removeprefix(each.prefix)
        if below in each.bridged or method in each.passthrough.get(below, ()):
            return each.type
    return None


def _speaks_messages(headers: Mapping[str, str]) -> bool:
    if any(name in headers for name in _OF_ANTHROPIC):
        return True
    return headers.get("User-Agent", "").lower().startswith(_CLAUDE)
