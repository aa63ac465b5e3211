"""Routing stage: from the raw request target to the provider and route."""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11
from multidict import istr

from aibridged.core.auth import sent_secrets
from aibridged.core.targets import PREFIXES, BadTargetError, split_target
from aibridged.errors import (
    INVALID_REQUEST,
    UPGRADE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.web_page import READ, at_once, to_page
from aibridged.providers import Provider, Route
from aibridged.providers.unnamed import BASES, Unnamed
from aibridged.providers.wrong_path import base_urls, wrong_path
from aibridged.transport.refusal import SERVER

_VERSIONS = frozenset({HttpVersion10, HttpVersion11})
_UPGRADE = istr("Upgrade")
# Clients request the same few paths. Callers choose them, so the cache is bounded.
_REMEMBERED_TARGETS = 256
_MAX_REMEMBERED = 512  # characters


def stage(components: Components, handler: Handler) -> Handler:
    providers = components.providers
    unnamed, web_page = Unnamed(providers), components.web_page

    @lru_cache(maxsize=_REMEMBERED_TARGETS)
    def named(method: str, target: str) -> tuple[Route, str] | None:
        """The route and the query of a target that names its provider, and is served as any is.

        Raises BadTargetError, which isn't remembered: the target may hold a gateway token.
        """
        path, query = split_target(target)
        _, name, *below = path.split("/", 2)
        provider, rest = providers.get(name), f"/{below[0]}" if below else "/"
        if provider is None or (rest.rstrip("/") in ("", provider.prefix) and method in READ):
            return None
        found = provider.route(method, rest)
        return None if found is None else (found, query)

    def route(context: RequestContext) -> Awaitable[web.StreamResponse]:
        request = context.request
        target = request.target
        if request.version not in _VERSIONS:
            raise GatewayError(INVALID_REQUEST, "The gateway only supports HTTP/1.1.")
        try:
            found = named(request.method, target) if len(target) <= _MAX_REMEMBERED else None
        except BadTargetError:
            found = None  # `looked_for` says why
        if found is None or _UPGRADE in request.headers:
            return looked_for(context)
        context.route, context.raw_query = found
        return handler(context)

    def looked_for(context: RequestContext) -> Awaitable[web.StreamResponse]:
        try:
            path, context.raw_query = split_target(context.request.target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        _, name, *below = path.split("/", 2)
        provider = providers.get(name)
        method = context.request.method
        if provider is None:
            if method in READ and (page := _FRONT_DOOR.get(path)) is not None:
                if web_page is not None and path == "/" and _is_browser(context):
                    return at_once(to_page(web_page))
                return at_once(page(providers))
            home = unnamed.find(method, path, context.request.headers)
            if home is None:
                raise _not_served(context, providers, path)
            provider, rest = home
            context.is_unnamed, path = True, f"/{provider.name}{rest}"
        else:
            rest = f"/{below[0]}" if below else "/"
        if rest.rstrip("/") in ("", provider.prefix) and method in READ:
            return at_once(_hello(provider.name))
        if context.request.headers.get(_UPGRADE, "").lower() == "websocket":
            raise GatewayError(UPGRADE_NOT_SUPPORTED)
        found = provider.route(method, rest)
        if found is None:
            raise _not_served(context, providers, path)
        context.route = found
        return handler(context)

    return route


def _is_browser(context: RequestContext) -> bool:
    return "text/html" in context.request.headers.get("Accept", "")


def _not_served(
    context: RequestContext, providers: Mapping[str, Provider], path: str
) -> GatewayError:
    request = context.request
    return wrong_path(providers, request.method, path, sent_secrets(request.headers))


def _front_page(providers: Mapping[str, Provider]) -> web.Response:
    """The response to a person who opens the gateway in a browser."""
    there = base_urls(providers.values()) or "none yet"
    return _text(
        f"This is aibridged, an AI gateway for coding agents. Base URLs: {there}, with a gateway "
        "token as the API key. Documentation: docs/clients.md in its source, or `man aibridged` "
        "where it is installed."
    )


def _no_icon(_: Mapping[str, Provider]) -> web.Response:
    return web.Response(status=204, headers={"Server": SERVER, "Cache-Control": "max-age=86400"})


def _robots(_: Mapping[str, Provider]) -> web.Response:
    return _text("User-agent: *\nDisallow: /")


_FRONT_DOOR: Mapping[str, Callable[[Mapping[str, Provider]], web.Response]] = {
    "/": _front_page,
    **dict.fromkeys((*PREFIXES, *BASES), _front_page),
    "/favicon.ico": _no_icon,
    "/robots.txt": _robots,
}


def _hello(name: str) -> web.Response:
    """The response to Claude Code's probe of the base URL."""
    return _text(f"aibridged: provider {name}")


def _text(text: str) -> web.Response:
    return web.Response(text=f"{text}\n", headers={"Server": SERVER})
