"""Circuit breaker stage: rejects requests to an overloaded provider. See `core.breaker`."""

from hashlib import blake2b

from aiohttp import web

from aibridged.core.auth import CredentialKind
from aibridged.core.breaker import Admission, BreakerKey, Breakers, Rejection
from aibridged.errors import CIRCUIT_OPEN, GatewayError
from aibridged.pipeline.components import Components
from aibridged.transport.request import GatewayRequest, Handler, Middleware

_KEY_BYTES = 16


def stage(components: Components) -> Middleware:
    breakers = components.breakers

    async def breaker(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        if breakers is None or request.route.api is None:
            return await handler(request)
        admission = request.verdict = admit(breakers, request)
        try:
            return await handler(request)
        finally:
            # Neutral unless `forward` has said how it went: the client left before that.
            admission.cancelled()

    return breaker


def admit(breakers: Breakers, request: GatewayRequest) -> Admission:
    """Leave to ask the provider once, or GatewayError: its circuit is open."""
    admission = breakers.admit(_key(request))
    if isinstance(admission, Rejection):
        raise GatewayError(CIRCUIT_OPEN, retry_after=admission.retry_after)
    return admission


def _key(request: GatewayRequest) -> BreakerKey:
    """All centralized callers share a circuit; a failing key of one's own opens only its own."""
    credential = request.credential
    if credential.kind is CredentialKind.BYOK and credential.value is not None:
        owner = blake2b(credential.value.encode(), digest_size=_KEY_BYTES).hexdigest()
    else:
        owner = credential.kind.value
    route = request.route
    return BreakerKey(route.provider.name, route.endpoint, request.facts.model, owner)
