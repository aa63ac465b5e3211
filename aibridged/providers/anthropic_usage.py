"""Anthropic's usage and cost exports.

Sources, for the API (amounts are decimal strings in cents; what isn't grouped by is null; the costs
of the priority tier aren't in the cost report):
https://platform.claude.com/docs/en/api/admin/usage_report
https://platform.claude.com/docs/en/api/admin/cost_report

For the exports of the Console's pages Usage and Cost, whose headings are those of such files (days
are in UTC; the export of costs names models as people do):
https://support.anthropic.com/en/articles/9534590-cost-and-usage-reporting-in-console
"""

import re
from collections.abc import Mapping
from typing import Any

from aibridged.core.usage_figures import COST, TOKENS
from aibridged.providers.usage_export import (
    Format,
    Line,
    count,
    currency,
    day_of_text,
    name,
    nanos,
    one_day,
    tier,
)

_TYPE = "anthropic"
_CENTS = 100
_DATE = re.compile(r"\d{4}-\d\d-\d\d$")
_TOKEN_TYPES = {
    *("input_no_cache", "input_cache_read", "input_cache_write_5m", "input_cache_write_1h"),
    *("input_cache_write", "output"),
}


def _of_console_usage(row: Mapping[str, Any]) -> Line:
    written = ("cache_write_5m", "cache_write_1h", "cache_write")
    return Line(
        day_of_text(row["usage_date_utc"], "usage_date_utc"),
        name(row, "model_version"),
        {
            "input_tokens": count(row, "usage_input_tokens_no_cache"),
            "cache_read_input_tokens": count(row, "usage_input_tokens_cache_read"),
            "cache_write_input_tokens": sum(count(row, f"usage_input_tokens_{n}") for n in written),
            "output_tokens": count(row, "usage_output_tokens"),
        },
        tier(row.get("usage_type"), row.get("speed")),
    )


def _of_console_cost(row: Mapping[str, Any]) -> Line:
    token_type = name(row, "token_type") or name(row, "cost_type") or ""
    model = name(row, "model") if token_type in _TOKEN_TYPES else None
    return Line(
        day_of_text(row["usage_date_utc"], "usage_date_utc"),
        None if model is None else _of_display_name(model),
        {COST: nanos(row["cost_usd"], "cost_usd")},
        tier(row.get("usage_type"), row.get("speed")),
        token_type,
    )


def _of_display_name(text: str) -> str:
    """The name of the API: `Claude Haiku 4.5` is `claude-haiku-4-5`; dates lose their dashes."""
    joined = text.lower().replace(" ", "-").replace(".", "-")
    return _DATE.sub(lambda found: found[0].replace("-", ""), joined)


def _of_usage_report(result: Mapping[str, Any]) -> Line:
    written = result.get("cache_creation") or {}
    if not isinstance(written, dict):
        raise ValueError("cache_creation is no object")
    long = count(written, "ephemeral_1h_input_tokens")
    return Line(
        _day(result),
        name(result, "model"),
        {
            "input_tokens": count(result, "uncached_input_tokens"),
            "cache_read_input_tokens": count(result, "cache_read_input_tokens"),
            "cache_write_input_tokens": count(written, "ephemeral_5m_input_tokens") + long,
            "output_tokens": count(result, "output_tokens"),
        },
        tier(result.get("service_tier"), result.get("speed")),
    )


def _of_cost_report(result: Mapping[str, Any]) -> Line:
    currency(result.get("currency"))
    return Line(
        _day(result),
        name(result, "model"),
        {COST: nanos(result.get("amount"), "amount", _CENTS)},
        tier(result.get("service_tier")),
        name(result, "cost_type") or "",
    )


def _day(result: Mapping[str, Any]) -> Any:
    day = day_of_text(result.get("starting_at"), "starting_at")
    end = result.get("ending_at")
    one_day(day, None if end is None else day_of_text(end, "ending_at"))
    return day


FORMATS = (
    Format(
        "usage export of the Claude Console (CSV)",
        _TYPE,
        True,
        frozenset({"usage_date_utc", "model_version", "usage_output_tokens"}),
        frozenset(TOKENS),
        _of_console_usage,
    ),
    Format(
        "cost export of the Claude Console (CSV)",
        _TYPE,
        True,
        frozenset({"usage_date_utc", "model", "cost_usd"}),
        frozenset({COST}),
        _of_console_cost,
    ),
    Format(
        "organizations/usage_report/messages of Anthropic's Admin API (JSON)",
        _TYPE,
        False,
        frozenset({"uncached_input_tokens", "output_tokens"}),
        frozenset(TOKENS),
        _of_usage_report,
    ),
    Format(
        "organizations/cost_report of Anthropic's Admin API (JSON)",
        _TYPE,
        False,
        frozenset({"amount", "currency"}),
        frozenset({COST}),
        _of_cost_report,
    ),
)
