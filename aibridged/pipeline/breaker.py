"""Circuit breaker stage: rejects requests to an overloaded provider. See `core.breaker`."""

from collections.abc import Awaitable
from hashlib import blake2b

from aiohttp import web

from aibridged.core.auth import CredentialKind, UpstreamCredential
from aibridged.core.breaker import Admission, BreakerKey, Breakers
from aibridged.core.circuit import Rejection
from aibridged.errors import CIRCUIT_OPEN, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext

_KEY_BYTES = 16
_CENTRALIZED = str(CredentialKind.CENTRALIZED)


def stage(components: Components, handler: Handler) -> Handler | None:
    breakers = components.breakers
    if breakers is None:
        return None

    def breaker(context: RequestContext) -> Awaitable[web.StreamResponse]:
        if context.route.api is not None:
            admission = context.verdict = admit(breakers, context)
            # Neutral unless `forward` has reported an outcome: the client disconnected before that.
            context.at_end(admission.cancelled)
        return handler(context)

    return breaker


def admit(breakers: Breakers, context: RequestContext) -> Admission:
    """Permission for one request to the provider, or GatewayError: its circuit is open."""
    route, credential = context.route, context.credential
    is_shared = credential.kind is CredentialKind.CENTRALIZED
    owner = _CENTRALIZED if is_shared else _owner(credential)
    key = BreakerKey(route.provider.name, route.endpoint, context.facts.model, owner)
    admission = breakers.admit(key)
    if isinstance(admission, Rejection):
        raise GatewayError(CIRCUIT_OPEN, retry_after=admission.retry_after)
    return admission


def _owner(credential: UpstreamCredential) -> str:
    """Centralized callers share a circuit; a failing key of a BYOK caller opens only its own."""
    if credential.value is None:
        return str(credential.kind)
    return blake2b(credential.value.encode(), digest_size=_KEY_BYTES).hexdigest()
