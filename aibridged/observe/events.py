"""Structured log events: one typed function each, with searchable fields.

A line that only people read needs none of these: `logger.info("{} requests", count)`.
"""

from loguru import logger

from aibridged.errors import UPGRADE_NOT_SUPPORTED
from aibridged.observe.access_fields import AccessFields
from aibridged.observe.direct_lines import DIRECT
from aibridged.observe.request_summary import RequestOutcome, RequestSummary

_WELL = frozenset({RequestOutcome.COMPLETED, RequestOutcome.CLIENT_CLOSED})
_OFFERED = UPGRADE_NOT_SUPPORTED.code


def request_finished(request: RequestSummary) -> None:
    """The access log: one line per request, with caller, model, outcome and times.

    Nothing is wrong where clients leave, or offer a WebSocket.
    """
    status = request.status
    is_well = request.outcome in _WELL or request.reason == _OFFERED
    text = f"{request.method} {request.path} {'-' if status is None else status}"
    level = "INFO" if is_well else "WARNING"
    fields = AccessFields(request, is_well)
    if not DIRECT.write(level, text, {"request": fields}, _CALLER):
        logger.bind(**fields.apart()).log(level, text)


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
