"""Which refusal a client gets where an upstream gave no response: 502 or 504, and a sentence.

The client is told the cause, the log and the record the upstream's address as well.
"""

import aiohttp
from loguru import logger

from aibridged.errors import (
    UPSTREAM_INVALID,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNREACHABLE,
    ErrorKind,
    GatewayError,
)
from aibridged.observe.connection_failure import Cause, cause_of
from aibridged.transport.upstream_connection import InvalidResponseError, StaleConnectionError
from aibridged.transport.upstream_proxy import NotConnectedError

FAILURES = (aiohttp.ClientError, OSError, TimeoutError)
"""What asking an upstream raises, beside a `GatewayError`, where there is no response."""

FELL_SILENT = "it fell silent"
"""Why a response broke off, where nothing more of it came in time."""

_NOTHING_SENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    NotConnectedError,
)


def was_sent(error: Exception) -> bool:
    """Whether the upstream may have got any of the request."""
    return not isinstance(error, _NOTHING_SENT)


def describe(error: Exception) -> str:
    """What went wrong, in words, where there is no response or the rest of one doesn't come.

    The text of most errors is left out: it may quote a header.
    """
    return str(_cause(error))


def is_failure(error: Exception) -> bool:
    """Whether it tells a circuit breaker anything: an idle connection may end at any time."""
    return not isinstance(error, StaleConnectionError)


def refusal_of(error: Exception, name: str, where: str) -> GatewayError:
    """The refusal for one of `FAILURES`, which it logs.

    `name` is what people call the upstream, `where` its address, which callers aren't told.
    """
    kind, cause = _kind(error), _cause(error)
    sentence = kind.sentence.replace("The provider", name, 1)
    if isinstance(error, StaleConnectionError):
        sentence = f"{name} closed an idle connection as the request came. Please try again."
    elif kind is not UPSTREAM_TIMEOUT:
        sentence = f"{sentence.rstrip('.')}: {cause.words}."
    logger.warning(
        "{} did not respond: {}: {}", name.replace("The provider", "Provider", 1), where, cause
    )
    return GatewayError(kind, sentence, reason=where)


def _cause(error: Exception) -> Cause:
    if isinstance(error, NotConnectedError):
        return error.cause
    if isinstance(error, InvalidResponseError):
        return Cause(str(error))
    if isinstance(error, TimeoutError) and was_sent(error):
        return Cause(FELL_SILENT)
    if isinstance(error, StaleConnectionError):
        return Cause("it closed an idle connection")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Cause("it closed the connection without a response")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Cause("it closed the connection within its response")
    return cause_of(error)


def _kind(error: Exception) -> ErrorKind:
    if isinstance(error, InvalidResponseError):
        return UPSTREAM_INVALID
    if isinstance(error, TimeoutError) and was_sent(error):
        return UPSTREAM_TIMEOUT
    return UPSTREAM_UNREACHABLE
