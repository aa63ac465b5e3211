"""OpenAI's usage and cost exports.

Sources, for the API (times are seconds since 1970; `input_tokens` include cached and cache-write
tokens; amounts are numbers in a lowercase currency; what isn't grouped by is null; a line item is
`MODEL, KIND`, or what a tool is called):
https://platform.openai.com/docs/api-reference/usage

For the exports of the dashboard (in UTC; the fields of the API as columns, and a line without
figures for an empty bucket):
https://help.openai.com/en/articles/8554956-understanding-your-api-usage
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from aibridged.core.usage_figures import COST, REQUESTS, TOKENS
from aibridged.providers.usage_export import (
    Format,
    Line,
    count,
    currency,
    day_of_epoch,
    name,
    nanos,
    one_day,
    tier,
)

_TYPE = "openai"
_TRUE = (True, "true", "True", "TRUE")


def _of_usage(result: Mapping[str, Any]) -> Line:
    day = _day(result)
    given, cached = count(result, "input_tokens"), count(result, "input_cached_tokens")
    written = count(result, "input_cache_write_tokens")
    if cached + written > given:
        raise ValueError("input_tokens are fewer than the cached ones that they include")
    figures = {
        REQUESTS: count(result, "num_model_requests"),
        "input_tokens": given - cached - written,
        "cache_read_input_tokens": cached,
        "cache_write_input_tokens": written,
        "output_tokens": count(result, "output_tokens"),
    }
    is_batch = result.get("batch") in _TRUE
    return Line(
        day,
        name(result, "model"),
        figures if any(figures.values()) else {},
        "batch" if is_batch else tier(result.get("service_tier")),
    )


def _of_costs(result: Mapping[str, Any]) -> Line:
    amount = result.get("amount")
    if not isinstance(amount, dict):
        raise ValueError("amount is no object")
    return _of_amount(result, amount.get("value"), amount.get("currency"))


def _of_cost_row(row: Mapping[str, Any]) -> Line:
    value = row.get("amount_value")
    if not value:
        return Line(_day(row), None, {})
    return _of_amount(row, value, row.get("amount_currency"))


def _of_amount(fields: Mapping[str, Any], value: Any, of: Any) -> Line:
    currency(of)
    item = name(fields, "line_item") or ""
    return Line(_day(fields), _model_of(item), {COST: nanos(value, "amount")}, what=item)


def _model_of(item: str) -> str | None:
    """The model of a line item, where it names one: `gpt-5-2025-08-07, cached input`."""
    model = item.partition(", ")[0]
    return None if not model or " " in model else model


def _day(fields: Mapping[str, Any]) -> date:
    day, end = day_of_epoch(fields.get("start_time"), "start_time"), fields.get("end_time")
    one_day(day, None if end in (None, "") else day_of_epoch(end, "end_time"))
    return day


_USAGE_METRICS = frozenset({REQUESTS, *TOKENS})

FORMATS = (
    Format(
        "usage export of the OpenAI dashboard (CSV)",
        _TYPE,
        True,
        frozenset({"start_time", "input_tokens", "num_model_requests"}),
        _USAGE_METRICS,
        _of_usage,
    ),
    Format(
        "cost export of the OpenAI dashboard (CSV)",
        _TYPE,
        True,
        frozenset({"start_time", "amount_value"}),
        frozenset({COST}),
        _of_cost_row,
    ),
    Format(
        "organization/usage/completions of OpenAI's API (JSON)",
        _TYPE,
        False,
        frozenset({"input_tokens", "num_model_requests"}),
        _USAGE_METRICS,
        _of_usage,
    ),
    Format(
        "organization/costs of OpenAI's API (JSON)",
        _TYPE,
        False,
        frozenset({"amount", "object"}),
        frozenset({COST}),
        _of_costs,
    ),
)
