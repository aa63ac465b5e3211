"""Interface of a provider: its routes, its auth header, its failure statuses."""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from aibridged.config.options import ProviderSettings
from aibridged.wire.facts import WireApi


@dataclass(frozen=True, slots=True)
class Route:
    """The route of a request's path.

    `endpoint` names it for breakers and metrics: the path with a `*` for what callers choose. `api`
    is None on passthrough routes. `path` is the raw path below the provider's base URL.
    """

    provider: "Provider"
    endpoint: str
    path: str
    api: WireApi | None


class Provider(ABC):
    """A configured upstream. Subclasses are tables.

    `prefix` is the part of a route that the base URL already contains; `bridged` are the paths that
    are parsed and recorded, all POST; `passthrough` are those that are only forwarded, with their
    methods, where a last segment `*` stands for one or more segments. It is an allow-list since the
    organisation's key may be powerful: whatever manages or deletes models, files or keys isn't on
    it.
    """

    type: ClassVar[str]
    prefix: ClassVar[str] = ""
    bridged: ClassVar[Mapping[str, WireApi]]
    passthrough: ClassVar[Mapping[str, frozenset[str]]]
    # Where the vendor's own clients send requests, as base URLs.
    public_urls: ClassVar[tuple[str, ...]] = ()
    # The header that the provider uses if it gets both of a caller's own auth headers.
    preferred_credential: ClassVar[str]
    # Endpoints that only serve callers with a key of their own, in that header.
    own_key_only: ClassVar[frozenset[str]] = frozenset()
    # Endpoints that never get the organisation's key: only a caller's own, or none.
    own_key_or_none: ClassVar[frozenset[str]] = frozenset()

    # The breaker counts these as failures of the provider: it is overloaded, or down.
    failure_statuses: ClassVar[frozenset[int]] = frozenset({429, 503, 504, 529})

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self.base_url = settings.base_url.rstrip("/")
        self.stream_options = settings.stream_options
        key = settings.key
        self.organisation_credential = self.credential(key.reveal()) if key else None
        self._bridged = {
            self.prefix + path: Route(self, path, path, api) for path, api in self.bridged.items()
        }

    def organisation_credential_for(self, endpoint: str) -> tuple[str, str] | None:
        """The organisation's key as a header, if there is one and this endpoint may get it."""
        return None if endpoint in self.own_key_or_none else self.organisation_credential

    def credential(self, key: str) -> tuple[str, str]:
        """The header for a key: its name and value."""
        raise NotImplementedError

    def route(self, method: str, path: str) -> Route | None:
        """The route of a raw path below `/<name>`, or None where it isn't allowed.

        `path` has been checked: it has no empty, dot or doubly encoded segment.
        """
        if method == "POST" and (bridged := self._bridged.get(path)) is not None:
            return bridged
        if not path.startswith(self.prefix + "/"):
            return None
        below = path[len(self.prefix) :]
        for pattern, methods in self.passthrough.items():
            if method in methods and _matches(pattern, below):
                return Route(self, pattern, below, None)
        return None


def _matches(pattern: str, path: str) -> bool:
    if pattern.endswith("/*"):
        return path.startswith(pattern[:-1]) and len(path) >= len(pattern)
    return path == pattern
