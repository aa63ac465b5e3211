"""`GET /managed/settings`: what Claude Code applies as managed settings, by the caller's policy.

Source of the shapes: the protocol between Claude Code and its gateways. A client that has signed in
asks at its start and every hour, and doesn't start without an answer.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID, uuid5

from aiohttp import web

from aibridged.core.policies import Policies
from aibridged.errors import NO_MANAGED_SETTINGS, GatewayError
from aibridged.identity.base import Actor
from aibridged.pipeline.components import LocalRoute

SETTINGS_PATH = "/managed/settings"

_NAMESPACE = UUID("5c3cf4de-0d62-4f2c-8f3f-0d1c7a5cfb2e")
_MAX_TAGS = 32
_METHODS = frozenset({"GET", "HEAD"})


class _Managed(NamedTuple):
    """The answer for one policy."""

    body: bytes
    etag: str


def managed_settings(policies: Policies | None) -> LocalRoute:
    """The route: 404 for a caller without such settings, 200 with `{}` for an empty mapping."""
    answers = {each: _managed(each) for each in _each_text(policies) if each is not None}

    async def serve(
        request: web.BaseRequest, actor: Actor | None, query: str, address: bytes
    ) -> web.StreamResponse:
        policy = policies.of(actor.groups) if policies is not None and actor is not None else None
        settings = None if policy is None else policy.settings.claude_code
        if settings is None:
            raise GatewayError(NO_MANAGED_SETTINGS)
        body, etag = answers[settings]
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if _has(request.headers.getall("If-None-Match", ()), etag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers={**headers, "Content-Type": "application/json"})

    return LocalRoute(_METHODS, serve)


def _each_text(policies: Policies | None) -> Iterator[str | None]:
    if policies is not None:
        yield from (each.claude_code for each in policies.settings)


def _managed(settings: str) -> _Managed:
    """`settings` is canonical JSON, which the checksum is of."""
    checksum = f"sha256:{sha256(settings.encode()).hexdigest()}"
    uuid = uuid5(_NAMESPACE, checksum)
    body = f'{{"uuid":"{uuid}","checksum":"{checksum}","settings":{settings}}}'
    return _Managed(body.encode(), f'"{checksum}"')


def _has(headers: tuple[str, ...] | list[str], etag: str) -> bool:
    """Whether one of the tags is this one, weak or not. `*` isn't: it names no settings."""
    tags = ",".join(headers).split(",", _MAX_TAGS)[:_MAX_TAGS]
    return etag in (tag.strip().removeprefix("W/") for tag in tags)
