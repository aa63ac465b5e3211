"""`GET /api/oauth/usage`: the caller's standing in money, which Claude Code shows.

Source of the shape: the protocol between Claude Code and its gateways. Amounts are in cents.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from aibridged.clock import Clock
from aibridged.core.budgets import (
    CENT,
    Cap,
    Check,
    Period,
    Standing,
    standings,
    surpassed,
    user_subject,
)
from aibridged.errors import QUERY_FAILED, GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.limits_in_force import LimitsInForce
from aibridged.pipeline.components import LocalRoute
from aibridged.records.lookups import LookupFailedError
from aibridged.records.spending import Spending

PATH = "/api/oauth/usage"

_METHODS = frozenset({"GET", "HEAD"})
_SEVERITIES = {None: "normal", 75: "warning", 95: "critical"}


def standing(limits: LimitsInForce, spending: Spending, clock: Clock) -> LocalRoute:
    """The route."""

    async def serve(
        _request: web.BaseRequest, actor: Actor | None, _query: str, _address: bytes
    ) -> web.StreamResponse:
        assert actor is not None, "the route isn't public"
        at = clock.wall()
        caps = limits.current.caps(actor.id, actor.groups, actor.api_key_id).caps
        own = user_subject(actor.id)
        asked = [Check(own, period.start(at), 0) for period in Period]
        asked += [Check(cap.subject, cap.period.start(at), cap.nanos) for cap in caps]
        try:
            used = await spending.used(actor.id, asked)
        except LookupFailedError:
            raise GatewayError(QUERY_FAILED, retry_after=1) from None
        periods = dict(zip(Period, used, strict=False))
        of_user = {cap.period: cap for cap in caps if cap.subject == own}
        found = standings(caps, used[len(Period) :], at)
        return web.Response(
            body=msgspec.json.encode(_shown(periods, of_user, found)),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    return LocalRoute(_METHODS, serve)


def _shown(
    used: dict[Period, int], caps: dict[Period, Cap], found: Sequence[Standing]
) -> dict[str, Any]:
    month = _of_period(used[Period.MONTHLY], caps.get(Period.MONTHLY))
    return {
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": month["limit"],
            "used_credits": month["used_credits"],
            "utilization": month["utilization"],
            "currency": "USD",
            **{str(each): _of_period(used[each], caps.get(each)) for each in _SHORTER},
        },
        "limits": [
            {
                "kind": "spend",
                "group": str(each.cap.period),
                "percent": int(each.percent),
                "resets_at": _time(each.resets_at),
                "severity": _SEVERITIES[surpassed(each.percent)],
                "is_active": number == 0,
            }
            for number, each in enumerate(found)
        ],
    }


_SHORTER = (Period.DAILY, Period.WEEKLY)


def _of_period(used: int, cap: Cap | None) -> dict[str, Any]:
    return {
        "limit": None if cap is None else cap.limit.cents,
        "used_credits": round(used / CENT, 2),
        "utilization": None if cap is None else int(used * 100 / cap.nanos) if cap.nanos else 100,
    }


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
