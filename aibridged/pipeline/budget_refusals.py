"""Refusals of requests that are over a spend limit, as each client's program understands them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aibridged.core.budgets import Scope, Standing
from aibridged.core.money import shown, shown_cents
from aibridged.core.usage_headers import (
    UNIFIED_FETCH_ERROR,
    codex_refusal,
    unified_refusal,
)
from aibridged.errors import BUDGET_EXCEEDED, MODEL_UNPRICED, GatewayError
from aibridged.wire.facts import WireApi

_TRY_LATER_S = 60
_CODEX = "Codex"
_QUOTA = {"type": "insufficient_quota", "code": "insufficient_quota"}
_WHOSE = {
    Scope.ORGANIZATION: "Your {} spend limit",
    Scope.GROUP: "Your {} spend limit",
    Scope.USER: "Your {} spend limit",
    Scope.POOL: "The {} spend limit that your group {} shares",
    Scope.TOKEN: "The {} spend limit of this token",
}
_ASK = "Ask the operator of the gateway if you need more."


def over_budget(
    standings: Sequence[Standing],
    amount: int,
    at: datetime,
    api: WireApi,
    client: str,
    more: str,
) -> GatewayError:
    """The refusal of a request that may cost so many nano-dollars.

    Of several limits that are reached it tells the one that resets last. `more` is the operator's
    addition to the sentence.
    """
    reached = max(
        (each for each in standings if each.blocks(amount)), key=lambda each: each.resets_at
    )
    return GatewayError(
        BUDGET_EXCEEDED,
        _joined(_sentence(reached, amount), _ASK, more),
        retry_after=max(1, int((reached.resets_at - at).total_seconds() + 0.999)),
        **_shape(api, client, reached),
    )


def _shape(api: WireApi, client: str, reached: Standing) -> dict[str, Any]:
    if api is WireApi.MESSAGES:
        return {"added_headers": unified_refusal(reached)}
    if client != _CODEX:
        return {"fields": _QUOTA}
    return {
        "added_headers": codex_refusal(reached),
        "fields": {
            "type": "usage_limit_reached",
            "code": "usage_limit_reached",
            "plan_type": "team",
            "resets_at": int(reached.resets_at.timestamp()),
        },
    }


def _sentence(reached: Standing, amount: int) -> str:
    limit, cap = reached.cap.limit, reached.cap.nanos
    whose = _WHOSE[limit.scope].format(limit.period, limit.group)
    if not cap:
        state = "is $0: nothing may be spent."
    elif reached.used >= cap:
        state = (
            f"of {shown_cents(cap)} is reached: {shown(reached.used, None)} is spent or reserved."
        )
    else:
        state = (
            f"of {shown_cents(cap)} leaves {shown(cap - reached.used, None)}, and this request may "
            f"cost up to {shown(amount, None)}."
        )
    return f"{whose} {state} It resets on {reached.resets_at:%Y-%m-%d} at 00:00 UTC."


def unknown(api: WireApi, more: str) -> GatewayError:
    """The refusal where nobody knows how the limits stand."""
    headers = UNIFIED_FETCH_ERROR if api is WireApi.MESSAGES else {}
    return GatewayError(
        BUDGET_EXCEEDED,
        _joined(
            "Your spend limits can't be read at the moment, so nothing may be spent. Please try "
            "again in a minute.",
            more,
        ),
        retry_after=_TRY_LATER_S,
        added_headers=headers,
        fields={} if api is WireApi.MESSAGES else _QUOTA,
    )


def unpriced(model: str, *, has_cap: bool) -> GatewayError:
    """The refusal of a model that has no price."""
    why = "you have a spend limit" if has_cap else "unpriced models are not allowed"
    return GatewayError(
        MODEL_UNPRICED,
        f"The model {model} has no price, so its cost can't be counted, and {why}. Use another "
        "model, or ask the operator of the gateway to set its price.",
    )


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))
