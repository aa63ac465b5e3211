"""What is wrong with a path that the gateway doesn't serve, and the mend.

Most of these requests come from an agent whose base URL is not quite right. What is shown of a path
in a sentence is shown in the log, too: see `core.targets.shown_path`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from aibridged.core.targets import STRAY, has_stray_end, holds_secret, shown_path
from aibridged.errors import METHOD_NOT_ALLOWED, ROUTE_NOT_SUPPORTED, WRONG_BASE_URL, GatewayError
from aibridged.providers.base import POST, READ, Provider
from aibridged.providers.foreign_apis import FOREIGN, NOT_SERVED
from aibridged.providers.unnamed import missing_type

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_VERSION = "v1"
# How requests end that have their own word for a wrong base URL.
_OF_MESSAGES = (["messages"], ["count_tokens"])
# Longer paths are no mistakes in a base URL, and callers choose the length.
_MAX_SEGMENTS = 12
_MAX_PATH = 512
_MAX_NAMES = 8
_SIMILAR = 0.75

_CREDENTIAL = "The path contains the credential that came in a header: take it out of the base URL."
_PROBES = "Probes are GET /healthz (is it alive?) and GET /readyz (does it accept requests?)."
_OWN = {
    **dict.fromkeys(
        ("health", "healthcheck", "healthz", "livez", "ping", "ready", "readyz", "status"), _PROBES
    ),
    "api": "The gateway's own paths are below /api/v2/aibridge/ and /api/v2/ai-gateway/.",
    **dict.fromkeys(
        ("client", "interception", "model", "provider", "session", "threads", "usage", "users"),
        "The HTTP API of the record has /interceptions, /sessions, /models, /clients and "
        "/providers: it is described at /api/v2/aibridge/openapi.json.",
    ),
    "metrics": "Metrics are served at an address of their own (--prometheus-address).",
    **dict.fromkeys(
        ("docs", "openapi.json", "redoc", "swagger"),
        "The HTTP API of the record is described at /api/v2/aibridge/openapi.json.",
    ),
}


def wrong_path(
    providers: Mapping[str, Provider], method: str, path: str, secrets: Sequence[str] = ()
) -> GatewayError:
    """The refusal of a request for a path that has no route, without the gateway's prefix.

    `path` has been checked: it has no empty, dot or doubly encoded segment. `secrets` are the
    credentials that came with the request, which no sentence quotes.
    """
    name, *below = path[1:].split("/")
    is_message = [name, *below][-1:] in _OF_MESSAGES and method in POST
    kind = WRONG_BASE_URL if is_message else ROUTE_NOT_SUPPORTED
    if len(below) > _MAX_SEGMENTS or len(path) > _MAX_PATH:
        return GatewayError(ROUTE_NOT_SUPPORTED)
    if any(holds_secret(each, secrets) for each in (name, *below)):
        return GatewayError(kind, _CREDENTIAL)
    if has_stray_end(path):
        return GatewayError(kind, STRAY)
    provider = providers.get(name)
    if provider is None:
        return GatewayError(kind, _without_provider(providers, method, name, below))
    methods = [each for each in _METHODS if provider.route(each, _joined(below)) is not None]
    if methods and not _is_appended_twice(provider, method, below):
        return _wrong_method(method, path, methods)
    return GatewayError(kind, _below(providers, provider, method, below))


def base_urls(providers: Iterable[Provider]) -> str:
    """The paths that clients' base URLs end in, with those of callers' own keys left out."""
    return _listed([_base(each) for each in _for_everyone(providers)])


class _Fit(NamedTuple):
    """A path of a provider's that the end of another path is meant for.

    `excess` is what is too much before it; `adds` says that its version is missing.
    """

    provider: Provider
    path: str
    excess: str
    adds: bool

    @property
    def target(self) -> str:
        return shown_path(f"/{self.provider.name}{self.path}")


def _wrong_method(method: str, path: str, methods: Sequence[str]) -> GatewayError:
    allowed = _listed(methods, "or")
    name = method if method in (*_METHODS, "OPTIONS") else "This method"
    sentence = f"{name} is not served at {shown_path(path)}: use {allowed}."
    if method == "OPTIONS":
        sentence += " Web pages of another origin can't call the gateway: it has no CORS."
    return GatewayError(METHOD_NOT_ALLOWED, sentence, allow=", ".join(methods))


def _without_provider(
    providers: Mapping[str, Provider], method: str, name: str, below: Sequence[str]
) -> str:
    whole = (name, *below)
    if said := _foreign(whole) or _after_another(providers, None, method, whole):
        return said
    if own := _OWN.get(name):
        return own
    every = _for_everyone(providers.values())
    fits = [fit for each in every for fit in _fits(each, method, whole)]
    if twice := next((fit for fit in fits if _has_version_twice(fit)), None):
        return f"{_mend(twice)}, so that requests go to {twice.target}."
    if targets := [fit.target for fit in fits if not fit.excess]:
        return (
            "The base URL lacks the name of a provider: put it before the path, so that requests "
            f"go to {_listed(list(dict.fromkeys(targets)), 'or')}."
        )
    if said := _not_served(whole):
        return said
    if (missing := missing_type(method, _joined(whole))) is not None:
        shown = shown_path(_joined(whole))
        return f"{shown} needs a provider of type {missing}; {_there_are(providers)}."
    return _no_such_provider(providers, name)


def _has_version_twice(fit: _Fit) -> bool:
    return fit.excess == f"/{_VERSION}" and fit.path.startswith(f"/{_VERSION}/")


def _no_such_provider(providers: Mapping[str, Provider], name: str) -> str:
    shown = shown_path(f"/{name}")[1:]
    sentence = f"There is no provider '{shown}'; {_there_are(providers)}."
    if near := get_close_matches(name.lower(), list(providers), 1, _SIMILAR):
        sentence += f" Did you mean {_base(providers[near[0]])}?"
    return sentence


def _there_are(providers: Mapping[str, Provider]) -> str:
    return f"there are {_listed(list(providers))}" if providers else "none is configured"


def _after_another(
    providers: Mapping[str, Provider],
    provider: Provider | None,
    method: str,
    segments: Sequence[str],
) -> str | None:
    """The name of a provider comes after something else, such as that of `provider`."""
    for place, segment in enumerate(segments):
        other = providers.get(segment)
        if other is None or other is provider:
            continue
        if fit := next(_fits(other, method, segments[place + 1 :]), None):
            own = () if provider is None else (provider.name,)
            lead = shown_path(_joined((*own, *segments[:place])))
            return (
                f"The name of the provider comes first: take {lead} off the beginning of the base "
                f"URL's path, so that requests go to {fit.target}."
            )
    return None


def _below(
    providers: Mapping[str, Provider], provider: Provider, method: str, below: Sequence[str]
) -> str:
    """What is wrong below a provider's name."""
    said = _not_served(below) or _foreign(below)
    if said := said or _after_another(providers, provider, method, below):
        return said
    if below[-1:] == [""] and len(below) > 1:
        whole = _joined(below[:-1])
        if provider.route(method, whole) is not None:
            return f"Take the slash off the end: {shown_path(f'/{provider.name}{whole}')}."
    if fit := next(_fits(provider, method, below), None):
        return f"{_mend(fit)}, so that requests go to {fit.target}."
    if said := _of_another(providers, provider, method, below):
        return said
    return _nothing_there(provider, method, below)


def _mend(fit: _Fit) -> str:
    adds = f"/{_VERSION}" if fit.adds else ""
    if not fit.excess:
        return f"Add {adds} to the base URL"
    reason = ""
    if fit.excess.strip("/") == fit.provider.name:
        reason = " (the provider is named twice)"
    elif _is_endpoint(fit.provider, fit.excess):
        reason = " (clients append it by themselves)"
    added = f", and add {adds}" if adds else ""
    return f"Take {shown_path(fit.excess)} out of the base URL{reason}{added}"


def _is_appended_twice(provider: Provider, method: str, below: Sequence[str]) -> bool:
    """Whether a client has appended an endpoint to one, which a pattern takes for an id."""
    return any(_is_endpoint(provider, fit.excess) for fit in _fits(provider, method, below))


def _is_endpoint(provider: Provider, path: str) -> bool:
    versions = ("", f"/{_VERSION}")
    return any(provider.route("POST", version + path) is not None for version in versions)


def _of_another(
    providers: Mapping[str, Provider], provider: Provider, method: str, below: Sequence[str]
) -> str | None:
    """The path is one of another API's."""
    for other in _for_everyone(providers.values()):
        fit = next(_fits(other, method, below), None) if other.type != provider.type else None
        if fit is not None and fit.excess in ("", f"/{_VERSION}"):
            return (
                f"The provider {provider.name} (type {provider.type}) does not serve "
                f"{fit.path.removeprefix(f'/{_VERSION}')}: {other.name} does. Change the base "
                f"URL, so that requests go to {fit.target}."
            )
    return None


def _nothing_there(provider: Provider, method: str, below: Sequence[str]) -> str:
    path = _joined(below)
    prefix, name = provider.prefix, provider.name
    asked = [prefix + each for each in provider.bridged if "*" not in each]
    if path.rstrip("/") in ("", f"/{_VERSION}"):
        return (
            "This is a base URL: there is nothing but the paths that clients append, such as "
            f"POST /{name}{asked[0]}."
        )
    shown = shown_path(f"/{name}{path}")
    near = get_close_matches(path.casefold(), asked, 1, _SIMILAR)
    if near := near or [each for each in asked if each.startswith(f"{path}/")]:
        return f"There is no {shown}. Did you mean POST /{name}{near[0]}?"
    beside = [prefix + each for each in provider.passthrough if "*" not in each]
    return (
        f"{shown} is not served. Of the provider {name} (type {provider.type}) the gateway serves "
        f"{_listed([*asked, *beside])}."
    )


def _fits(provider: Provider, method: str, segments: Sequence[str]) -> Iterator[_Fit]:
    """The paths of a provider's that this one may be meant for, the longest first."""
    if not segments or segments[-1] == "":
        return
    for start in range(len(segments)):
        end = _joined(segments[start:])
        before = list(segments[:start])
        if _may_be_meant(provider, method, end):
            yield _Fit(provider, end, _joined(before), adds=False)
        versioned = f"/{_VERSION}{end}"
        if segments[start] != _VERSION and _may_be_meant(provider, method, versioned):
            had = before[:1] == [_VERSION]
            yield _Fit(provider, versioned, _joined(before[had:]), adds=not had)


def _may_be_meant(provider: Provider, method: str, path: str) -> bool:
    """Whether there is a route, which is for reading if the method is, as of a person's browser."""
    if provider.route(method, path) is not None:
        return True
    return method in READ and provider.route("POST", path) is not None


def _joined(segments: Sequence[str]) -> str:
    return "".join(f"/{each}" for each in segments)


def _foreign(segments: Sequence[str]) -> str | None:
    path = _joined(segments)
    return next((said for pattern, said in FOREIGN if pattern.search(path)), None)


def _not_served(segments: Sequence[str]) -> str | None:
    """Why something of the providers' APIs isn't served, if that is on purpose."""
    path = re.sub(rf"^(?:/{_VERSION})+(?=/)", "", _joined(segments))
    return next((said for pattern, said in NOT_SERVED if pattern.match(path)), None)


def _for_everyone(providers: Iterable[Provider]) -> list[Provider]:
    every = list(providers)
    return [each for each in every if not each.own_key_only] or every


def _base(provider: Provider) -> str:
    return f"/{provider.name}{provider.prefix}"


def _listed(names: Sequence[str], word: str = "and") -> str:
    """Some names as part of a sentence."""
    if len(names) > _MAX_NAMES:
        names = [*names[: _MAX_NAMES - 1], f"{len(names) - _MAX_NAMES + 1} more"]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
