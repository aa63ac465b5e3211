"""Interface of a provider: its routes, its auth header, its failure statuses."""

import re
from abc import ABC
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import ClassVar, NamedTuple
from urllib.parse import unquote

import msgspec

from aibridged.config.options import ProviderSettings
from aibridged.core.auth import UpstreamCredential
from aibridged.wire.facts import WireApi

READ = frozenset({"GET", "HEAD"})
POST = frozenset({"POST"})

_KEYLESS = UpstreamCredential.of_organisation(None)

KEY_REFUSALS = frozenset({401, 403})
"""Statuses of a provider that doesn't accept a key, or no request without one."""


class Stored(StrEnum):
    """What a provider stores under an id, for those who have its key."""

    RESPONSE = "response"
    CONVERSATION = "conversation"


class StoredId(NamedTuple):
    """One of them."""

    kind: Stored
    id: str


class AboutModels(StrEnum):
    """What a passthrough route has to do with models.

    The body of `BODY` is one of Messages.
    """

    LIST = "list"  # the response lists them
    ONE = "one"  # the path names one, which is shown
    BODY = "body"  # the body names one, which isn't run
    UNSEEN = "unseen"  # it may run one that the request doesn't name


class Route(msgspec.Struct, frozen=True):
    """The route of a request's path.

    `endpoint` names it for breakers and metrics: the path with a `*` for what callers choose.
    `api` is None on passthrough routes. `path` is the raw path below the provider's base URL.

    `model` is the one that a body is about if it names none. `about` is the stored object that the
    path names, and `makes` the kind of what the request lets the provider store. `refers` says that
    the body may name stored objects, on a passthrough route: a bridged one's is read anyway.
    `path_model` is the model that the path names, whatever the body says.
    """

    provider: "Provider"
    endpoint: str
    path: str
    api: WireApi | None
    model: str | None = None
    about: StoredId | None = None
    makes: Stored | None = None
    refers: WireApi | None = None
    about_models: AboutModels | None = None
    path_model: str | None = None

    @property
    def pattern(self) -> str:
        """The path at the gateway, with a `*` for what callers choose: safe to show."""
        return f"/{self.provider.name}{self.provider.prefix}{self.endpoint}"

    @property
    def reads(self) -> WireApi | None:
        """As what a request's body is read, None where it isn't."""
        return self.api or self.refers


class Provider(ABC):
    """A configured upstream. Subclasses are tables.

    `prefix` is the part of a route that the base URL already holds; `bridged` are the paths that
    are read and recorded, all POST; `passthrough` are those that are only forwarded, with their
    methods. A `*` stands for one segment, as the last one for one or more. It is an allow-list
    since the organisation's key may be powerful: whatever manages or deletes models, files or keys
    is not on it, and neither is what runs a model and can't be recorded.
    """

    type: ClassVar[str]
    prefix: ClassVar[str] = ""
    bridged: ClassVar[Mapping[str, WireApi]]
    passthrough: ClassVar[Mapping[str, frozenset[str]]]
    # The models of paths whose bodies need not name one; `*`: the segment that it is for.
    models: ClassVar[Mapping[str, str]] = {}
    # What the first `*` of a passthrough path is the id of.
    stored: ClassVar[Mapping[str, Stored]] = {}
    # Passthrough paths that let the provider store something, and those whose body refers to such.
    makes: ClassVar[Mapping[str, Stored]] = {}
    refers: ClassVar[Mapping[str, WireApi]] = {}
    # What passthrough paths have to do with models.
    about_models: ClassVar[Mapping[str, AboutModels]] = {}
    # The query that gets the whole list of models, where it comes in pages.
    whole_list: ClassVar[str | None] = None
    # Where the vendor's own clients send requests, as base URLs.
    public_urls: ClassVar[tuple[str, ...]] = ()
    # The header that the provider uses if it gets both of a caller's own auth headers.
    preferred_credential: ClassVar[str]
    # Endpoints that only serve callers with a key of their own, in that header.
    own_key_only: ClassVar[frozenset[str]] = frozenset()
    # Endpoints that never get the organisation's key: only a caller's own, or none.
    own_key_or_none: ClassVar[frozenset[str]] = frozenset()
    # Endpoints whose answers hold secrets: they aren't dumped.
    secret: ClassVar[frozenset[str]] = frozenset()

    # How it is asked whether it accepts a key: a path below the base URL, and headers.
    probe: ClassVar[str] = "/models"
    probe_headers: ClassVar[Mapping[str, str]] = {}

    # The breaker counts these as failures of the provider: it is overloaded, or down.
    failure_statuses: ClassVar[frozenset[int]] = frozenset({429, 503, 504, 529})

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self.base_url = settings.base_url.rstrip("/")
        self.stream_options = settings.stream_options
        self.key_setting = settings.key_setting
        key = settings.key
        self.organisation_header = self.credential(key.reveal()) if key else None
        self._organisation = UpstreamCredential.of_organisation(self.organisation_header)
        self._bridged = {
            self.prefix + path: Route(self, path, path, api, model=self.models.get(path))
            for path, api in self.bridged.items()
            if "*" not in path
        }

    def takes_key_for(self, endpoint: str) -> bool:
        """Whether the organisation's key would be sent for this endpoint, if there were one."""
        return not self.own_key_only and endpoint not in self.own_key_or_none

    def organisation_credential(self, endpoint: str) -> UpstreamCredential:
        """The organisation's, with its key if there is one and this endpoint may get it."""
        return _KEYLESS if endpoint in self.own_key_or_none else self._organisation

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
        if method == "POST":
            for endpoint, pattern in self._bridged_patterns.items():
                if (found := pattern.fullmatch(below)) is not None:
                    return self._bridged_by(endpoint, below, found[1])
        for endpoint, (pattern, methods) in self._passthrough_patterns.items():
            if method in methods and (found := pattern.fullmatch(below)) is not None:
                route = self._passed(endpoint, below, found, method)
                # A client has appended its path to a base URL with an endpoint in it.
                is_path = route.about is not None and route.about.id in self._first_segments
                return None if is_path else route
        return None

    def may_be_bridged(self, folded: str) -> bool:
        """Whether a lenient server may take a folded path, below the base URL, for a bridged one.

        See `core.targets.folded_path`.
        """
        return any(
            re.fullmatch(_pattern(path), folded, re.IGNORECASE) is not None for path in self.bridged
        )

    @cached_property
    def _bridged_patterns(self) -> Mapping[str, re.Pattern[str]]:
        return {path: re.compile(_pattern(path)) for path in self.bridged if "*" in path}

    @cached_property
    def _first_segments(self) -> frozenset[str]:
        paths = (*self.bridged, *self.passthrough, "/v1")
        return frozenset(path.split("/")[1] for path in paths)

    @cached_property
    def _passthrough_patterns(self) -> Mapping[str, tuple[re.Pattern[str], frozenset[str]]]:
        return {
            path: (re.compile(_pattern(path)), methods)
            for path, methods in self.passthrough.items()
        }

    def _bridged_by(self, endpoint: str, path: str, segment: str) -> Route:
        of_path = unquote(segment) if self.models.get(endpoint) == "*" else None
        model = of_path or self.models.get(endpoint)
        return Route(self, endpoint, path, self.bridged[endpoint], model=model, path_model=of_path)

    def _passed(self, endpoint: str, path: str, found: re.Match[str], method: str) -> Route:
        about = None
        if (kind := self.stored.get(endpoint)) is not None:
            # As the provider will read it. One that isn't proper UTF-8 has no maker.
            about = StoredId(kind, unquote(found[1].partition("/")[0]))
        about_models = self.about_models.get(endpoint)
        is_shown = about_models is AboutModels.ONE and method in READ
        return Route(
            self,
            endpoint,
            path,
            None,
            model=self.models.get(endpoint),
            about=about,
            makes=self.makes.get(endpoint),
            refers=self.refers.get(endpoint),
            about_models=about_models,
            path_model=unquote(found[1]) if is_shown else None,
        )


def _pattern(path: str) -> str:
    """A regular expression for a path with `*`."""
    ends_open = path.endswith("/*")
    segments = re.escape(path.removesuffix("/*")).replace(r"\*", "([^/]+)")
    return segments + "/(.+)" if ends_open else segments
