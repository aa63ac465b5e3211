"""`GET /api/v2/users/me`: who a gateway token belongs to, as Coder's API says it."""

from typing import Any

import msgspec
from aiohttp import web

from aibridged.identity.base import Actor
from aibridged.pipeline.components import LocalRoute

PATH = "/api/v2/users/me"

# Coder's names of the roles that decide who is an admin.
_OWNER = {"name": "owner", "display_name": "Owner"}
_MEMBER = {"name": "member", "display_name": "Member"}


async def _whoami(
    _request: web.BaseRequest, actor: Actor | None, _query: str, _address: bytes
) -> web.StreamResponse:
    assert actor is not None, "the route isn't public"
    return web.Response(
        body=msgspec.json.encode(_person(actor)),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _person(actor: Actor) -> dict[str, Any]:
    return {
        "id": actor.id,
        "username": actor.username,
        "email": actor.email or "",
        "status": "active",
        "roles": [_OWNER if actor.is_admin else _MEMBER],
        "groups": actor.groups,
        "expires_at": actor.expires_at,
    }


ROUTE = LocalRoute(frozenset({"GET", "HEAD"}), _whoami)
