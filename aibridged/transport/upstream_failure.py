"""Which refusal a client gets where an upstream gave no response: 502 or 504, and a sentence."""

import aiohttp
from loguru import logger

from aibridged.errors import (
    UPSTREAM_INVALID,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNREACHABLE,
    ErrorKind,
    GatewayError,
)
from aibridged.transport.upstream_connection import InvalidResponseError, StaleConnectionError
from aibridged.transport.upstream_proxy import NotConnectedError

FAILURES = (aiohttp.ClientError, OSError, TimeoutError)
"""What asking an upstream raises, beside a `GatewayError`, where there is no response."""

_NOTHING_SENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    NotConnectedError,
)


def was_sent(error: Exception) -> bool:
    """Whether the upstream may have got any of the request."""
    return not isinstance(error, _NOTHING_SENT)


def describe(error: Exception) -> str:
    """What went wrong, for a dump. The text of most errors is left out: it may quote a header."""
    kind = type(error).__name__
    says = isinstance(error, InvalidResponseError) or not was_sent(error)
    return f"{kind}: {error}" if says else kind


def is_failure(error: Exception) -> bool:
    """Whether it tells a circuit breaker anything: an idle connection may end at any time."""
    return not isinstance(error, StaleConnectionError)


def refusal_of(error: Exception, name: str) -> GatewayError:
    """The refusal for one of `FAILURES`, which it logs; `name` is what people call the upstream."""
    kind, reason = _kind(error), type(error).__name__
    sentence = kind.sentence.replace("The provider", name, 1)
    if isinstance(error, InvalidResponseError | NotConnectedError):
        reason = str(error)
        sentence = f"{sentence.rstrip('.')}: {reason}."
    elif isinstance(error, StaleConnectionError):
        sentence = f"{name} closed an idle connection as the request came. Please try again."
    # Not the text of other errors: it may quote a header.
    logger.warning("{} did not respond: {}", name.replace("The provider", "Provider", 1), reason)
    return GatewayError(kind, sentence, reason=type(error).__name__)


def _kind(error: Exception) -> ErrorKind:
    if isinstance(error, InvalidResponseError):
        return UPSTREAM_INVALID
    if isinstance(error, TimeoutError) and was_sent(error):
        return UPSTREAM_TIMEOUT
    return UPSTREAM_UNREACHABLE
