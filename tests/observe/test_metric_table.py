"""The table of metrics: what Coder's dashboards ask for is in it, and each row reads well."""

import re
from collections import Counter

import pytest

from aibridged.observe.metric import Kind, Names
from aibridged.observe.metric_table import METRICS

CODERS = {
    "coder_ai_gateway_interceptions_total": (
        {"provider", "model", "status", "route", "method", "initiator_id", "client"}
    ),
    "coder_ai_gateway_interceptions_inflight": {"provider", "model", "route"},
    "coder_ai_gateway_interceptions_duration_seconds": {"provider", "model"},
    "coder_ai_gateway_passthrough_total": {"provider", "route", "method"},
    "coder_ai_gateway_prompts_total": {"provider", "model", "initiator_id", "client"},
    "coder_ai_gateway_tokens_total": {"provider", "model", "type", "initiator_id", "client"},
    "coder_ai_gateway_injected_tool_invocations_total": {"provider", "model", "server", "name"},
    "coder_ai_gateway_non_injected_tool_selections_total": {"provider", "model", "name"},
    "coder_ai_gateway_circuit_breaker_state": {"provider", "endpoint", "model"},
    "coder_ai_gateway_circuit_breaker_trips_total": {"provider", "endpoint", "model"},
    "coder_ai_gateway_circuit_breaker_rejects_total": {"provider", "endpoint", "model"},
    "coder_ai_gateway_provider_info": {"provider_name", "provider_type", "status"},
    "coder_ai_gateway_providers_last_reload_timestamp_seconds": set(),
    "coder_ai_gateway_providers_last_reload_success_timestamp_seconds": set(),
    "coder_ai_gateway_proxy_connect_sessions_total": {"type"},
    "coder_ai_gateway_proxy_mitm_requests_total": {"provider"},
    "coder_ai_gateway_proxy_inflight_mitm_requests": {"provider"},
    "coder_ai_gateway_proxy_mitm_responses_total": {"code", "provider"},
}

by_name = pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)


def test_the_names_and_labels_of_coders_dashboards_are_there():
    rows = {row.name: set(row.labels) for row in METRICS if row.name.startswith("coder_")}
    assert rows == CODERS


@pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)
def test_coders_metrics_have_the_names_from_before_it_renamed_them(row):
    old = row.name.replace("coder_ai_gateway_proxy_", "coder_aibridgeproxyd_").replace(
        "coder_ai_gateway_", "coder_aibridged_"
    )
    is_coders = row.name.startswith("coder_")
    assert row.shown_as(Names.NEW) == (row.name,)
    assert row.shown_as(Names.OLD) == (old,)
    assert row.shown_as(Names.BOTH) == ((row.name, old) if is_coders else (row.name,))


def test_durations_have_the_buckets_of_coders_dashboards():
    (row,) = (row for row in METRICS if row.name.endswith("interceptions_duration_seconds"))
    assert row.buckets == (0.5, 2, 5, 15, 30, 60, 120)


def test_no_name_is_declared_twice():
    assert [name for name, times in Counter(row.name for row in METRICS).items() if times > 1] == []


@by_name
def test_the_help_is_a_sentence(row):
    assert re.fullmatch(r"[A-Z0-9][^\n]*\.", row.help)


@by_name
def test_the_name_follows_prometheus(row):
    assert row.name.endswith("_total") == (row.kind is Kind.COUNTER)
    assert bool(row.buckets) == (row.kind is Kind.HISTOGRAM)
    assert list(row.buckets) == sorted(set(row.buckets))
    assert row.name.startswith(("coder_", "aibridged_", "process_"))
