"""Provider types: the only package that knows a provider by its name."""

from collections.abc import Iterable

from aibridged.config.options import ProviderSettings
from aibridged.providers.anthropic import Anthropic
from aibridged.providers.base import Provider, Route
from aibridged.providers.copilot import Copilot
from aibridged.providers.openai import OpenAI

__all__ = ["Provider", "Route", "make_providers"]

_TYPES: dict[str, type[Provider]] = {kind.type: kind for kind in (Anthropic, OpenAI, Copilot)}


def make_providers(settings: Iterable[ProviderSettings]) -> dict[str, Provider]:
    """The configured providers by name, in order."""
    return {each.name: _TYPES[each.type](each) for each in settings}
