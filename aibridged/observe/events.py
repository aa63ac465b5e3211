"""Structured log events: one typed function each, with searchable fields.

A line that only people read needs none of these: `logger.info("{} requests", count)`.
"""

from typing import Any

from loguru import logger

from aibridged.errors import UPGRADE_NOT_SUPPORTED
from aibridged.observe.direct_lines import DIRECT
from aibridged.observe.log_lines import HttpRequest
from aibridged.observe.request_summary import RequestOutcome, RequestSummary

_UNKNOWN = "Unknown"
_EXACT = "exact"
_WELL = frozenset({RequestOutcome.COMPLETED, RequestOutcome.CLIENT_CLOSED})


def request_finished(request: RequestSummary) -> None:
    """The access log: one line per request, with caller, model, outcome and times.

    The client's address stands in for an unknown caller, the user agent for an unknown client.
    Nothing is wrong where clients leave, or offer a WebSocket.
    """
    status, reason, seconds = request.status, request.reason, request.seconds
    first_byte = request.seconds_to_first_byte
    client = None if request.client == _UNKNOWN else request.client
    is_well = request.outcome in _WELL or reason == UPGRADE_NOT_SUPPORTED.code
    http = HttpRequest(
        method=request.method,
        path=request.path,
        seconds=seconds,
        status=status,
        remote=request.remote,
        user_agent=request.user_agent if client is None else None,
    )
    fields: dict[str, Any] = {
        "http": http,
        "outcome": str(request.outcome),
        "reason": reason,
        "username": request.username,
        "api_key_id": None if is_well else request.api_key_id,
        "claimed_api_key_id": request.claimed_api_key_id,
        "remote": request.remote if request.username is None else None,
        "provider": request.provider,
        "upstream": request.upstream_url,
        "model": request.model,
        "error_type": request.error_type,
        "error_source": request.error_source,
        "provider_error": request.provider_error,
        "unread": request.unread,
        "ended_by": request.ended_by,
        "streamed": request.streamed or None,
        "first_byte_ms": None if first_byte is None else round(first_byte * 1000),
        "total_ms": round(seconds * 1000),
    }
    if (tokens := request.all_tokens) is not None:
        fields["input_tokens"] = tokens.input
        fields["output_tokens"] = tokens.output
        fields["cache_read_tokens"] = tokens.cache_read or None
        fields["cache_write_tokens"] = tokens.cache_write or None
    fields["cost"] = request.cost
    fields["cost_label"] = None if request.cost_label == _EXACT else request.cost_label
    fields["client"] = client
    text = f"{request.method} {request.path} {'-' if status is None else status}"
    level = "INFO" if is_well else "WARNING"
    told = {name: value for name, value in fields.items() if value is not None}
    if not DIRECT.write(level, text, told, _CALLER):
        logger.bind(**told).log(level, text)


_CALLER = (__name__, request_finished.__name__, request_finished.__code__.co_firstlineno)


def circuit_changed(*, provider: str, endpoint: str, model: str, before: str, now: str) -> None:
    """A circuit breaker has opened or closed, or lets probes through."""
    logger.bind(provider=provider, endpoint=endpoint, model=model).warning(
        "Circuit breaker: {} -> {}", before, now
    )


def session_ran_away(
    *, username: str, interception_id: str | None, sign: str, action: str, what: str
) -> None:
    """A session has reached one of its limits, with this interception."""
    logger.bind(
        username=username, interception_id=interception_id, sign=sign, action=action
    ).warning("A session of {} {}: {}", username, what, _ACTIONS[action])


def soft_budget_reached(*, username: str, percent: int, model: str | None) -> None:
    """A person is near a spend limit; `model` answers in place of the one that was requested."""
    done = "warned" if model is None else f"given {model}"
    logger.bind(username=username).warning(
        "{} has used {}% of a spend limit, and is {}", username, percent, done
    )


_ACTIONS = {"warn": "its responses warn of it from now on", "end": "it is ended"}
