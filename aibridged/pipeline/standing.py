"""`GET /api/oauth/usage`: the caller's standing in money, which Claude Code shows."""

from aiohttp import web

from aibridged.errors import NO_BUDGET, GatewayError
from aibridged.identity.base import Actor
from aibridged.pipeline.components import LocalRoute

PATH = "/api/oauth/usage"


async def _standing(
    _request: web.BaseRequest, _actor: Actor | None, _query: str, _address: bytes
) -> web.StreamResponse:
    raise GatewayError(NO_BUDGET)


ROUTE = LocalRoute(frozenset({"GET", "HEAD"}), _standing)
