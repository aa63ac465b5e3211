"""What a finished request counts as, and what it doesn't."""

import pytest

from aibridged.errors import ERRORS
from aibridged.observe import metrics as subject
from aibridged.observe.labels import OTHER
from aibridged.observe.metrics import MAX_MODELS, Metrics
from aibridged.observe.request_summary import RequestOutcome, RequestSummary, TokenCounts
from aibridged.observe.running import Running

DAEMON = "coder_ai_gateway_"
WHO = ("alice", "Claude Code")


@pytest.fixture
def metrics():
    return Metrics(Running())


def interception(**changes):
    """A streamed answer of 11 tokens: sent after 0.25 s, first byte after 2, end after 7."""
    fields = {
        "request_id": "r",
        "interception_id": "i",
        "outcome": RequestOutcome.COMPLETED,
        "method": "POST",
        "path": "/openai/v1/responses",
        "provider": "openai",
        "endpoint": "/responses",
        "bridged": True,
        "status": 200,
        "began": 10.0,
        "sent_at": 10.25,
        "answered_at": 11.0,
        "first_byte_at": 12.0,
        "ended": 17.0,
        "initiator_id": "alice",
        "client": "Claude Code",
        "model": "m",
        "streamed": True,
        "has_prompt": True,
        "tokens": TokenCounts(1, 11, 4, 8, {"output_reasoning": 3}),
        "tools": ("Bash", "Bash", "Read"),
        **changes,
    }
    return RequestSummary(**fields)


def rejection(reason, **changes):
    nothing = {"interception_id": None, "sent_at": None, "first_byte_at": None, "tokens": None}
    outcome = RequestOutcome.REJECTED
    return interception(reason=reason, outcome=outcome, status=503, tools=(), **nothing | changes)


def test_tokens_of_another_model_are_counted_as_that_models(metrics):
    beside = (
        TokenCounts(800, 70, 0, 0, {"output_thinking": 9}, "big"),
        TokenCounts(200, 3, 0, 0),
    )
    metrics.finished(interception(tokens=TokenCounts(1, 11, 0, 0), additional_tokens=beside))
    assert values(metrics, f"{DAEMON}tokens_total") == {
        ("openai", "m", "input", *WHO): 201,
        ("openai", "m", "output", *WHO): 14,
        ("openai", "big", "input", *WHO): 800,
        ("openai", "big", "output", *WHO): 70,
        ("openai", "big", "output_thinking", *WHO): 9,
    }
    served = TokenCounts(5, 0, 0, 0, {}, "opus")
    metrics.finished(interception(tokens=served))
    assert values(metrics, f"{DAEMON}tokens_total")["openai", "opus", "input", *WHO] == 5
    assert sums(metrics, "aibridged_time_between_tokens_seconds")["openai", "m"][0] == 1


def test_costs_are_counted_by_model_and_the_first_group(metrics):
    groups = ("research", "all")
    metrics.finished(interception(cost="0.25", cost_label="exact", groups=groups))
    metrics.finished(interception(cost="0.5", cost_label="exact", groups=groups))
    metrics.finished(interception(cost="1", cost_label="estimated"))
    metrics.finished(interception(cost="0.125", cost_label="unpriced", model="n"))
    metrics.finished(interception(cost_label="unpriced", model="n"))
    metrics.finished(interception())  # not computed
    assert values(metrics, "aibridged_cost_dollars_total") == {
        ("openai", "m", "research", "exact"): 0.75,
        ("openai", "m", "", "estimated"): 1,
        ("openai", "n", "", "unpriced"): 0.125,
    }
    assert values(metrics, "aibridged_unpriced_total") == {("openai", "n"): 2}


def test_groups_that_pay_have_a_bound(metrics):
    for number in range(2 * subject.MAX_GROUPS):
        metrics.finished(interception(cost="1", cost_label="exact", groups=(f"g{number}",)))
    paid = values(metrics, "aibridged_cost_dollars_total")
    assert len(paid) == subject.MAX_GROUPS + 1
    assert paid["openai", "m", OTHER, "exact"] == subject.MAX_GROUPS


def test_models_that_an_answer_names_have_a_bound(metrics):
    for number in range(2 * MAX_MODELS):
        used = TokenCounts(1, 0, 0, 0, {}, f"model-{number}")
        metrics.finished(interception(additional_tokens=(used,)))
    models = {labels[1] for labels in values(metrics, f"{DAEMON}tokens_total")}
    assert len(models) == MAX_MODELS + 1
    assert OTHER in models


def values(metrics, name):
    """The series of a metric that aren't zero."""
    (reading,) = (each for each in metrics.readings() if each.row.name == name)
    return {labels: value for labels, value in reading.values.items() if value}


def sums(metrics, name):
    """The series of a histogram, as (count, sum)."""
    return {
        labels: (sum(counts), total) for labels, (*counts, total) in values(metrics, name).items()
    }


def test_an_interception_is_counted_once_with_all_that_it_was(metrics):
    metrics.finished(interception())
    key = ("openai", "m", "completed", "/v1/responses", "POST", *WHO)
    assert values(metrics, f"{DAEMON}interceptions_total") == {key: 1}
    assert values(metrics, f"{DAEMON}prompts_total") == {("openai", "m", *WHO): 1}
    assert values(metrics, f"{DAEMON}tokens_total") == {
        ("openai", "m", "input", *WHO): 1,
        ("openai", "m", "output", *WHO): 11,
        ("openai", "m", "cache_read_input_tokens", *WHO): 4,
        ("openai", "m", "cache_write_input_tokens", *WHO): 8,
        ("openai", "m", "output_reasoning", *WHO): 3,
    }
    assert values(metrics, f"{DAEMON}non_injected_tool_selections_total") == {
        ("openai", "m", "Bash"): 2,
        ("openai", "m", "Read"): 1,
    }
    for silent in (
        f"{DAEMON}passthrough_total",
        f"{DAEMON}circuit_breaker_rejects_total",
        "aibridged_rejections_total",
        "aibridged_stream_errors_total",
    ):
        assert values(metrics, silent) == {}


def test_its_times_are_told_apart(metrics):
    metrics.finished(interception(body_wait=0.125))
    model = ("openai", "m")
    assert sums(metrics, f"{DAEMON}interceptions_duration_seconds") == {model: (1, 7)}
    assert sums(metrics, "aibridged_time_to_first_byte_seconds") == {model: (1, 1.75)}
    assert sums(metrics, "aibridged_time_between_tokens_seconds") == {model: (1, 0.5)}
    assert sums(metrics, "aibridged_request_overhead_seconds") == {("openai",): (1, 0.125)}


@pytest.mark.parametrize(
    "changes",
    [
        {"streamed": False},
        {"outcome": RequestOutcome.CLIENT_CLOSED},
        {"tokens": None},
        {"tokens": TokenCounts(1, 1, 0, 0)},
        {"first_byte_at": None},
    ],
)
def test_only_whole_streams_tell_the_time_between_tokens(metrics, changes):
    metrics.finished(interception(**changes))
    assert values(metrics, "aibridged_time_between_tokens_seconds") == {}


def test_an_answer_without_a_byte_has_no_time_to_it(metrics):
    metrics.finished(interception(outcome=RequestOutcome.CLIENT_CLOSED, first_byte_at=None))
    assert values(metrics, "aibridged_time_to_first_byte_seconds") == {}
    assert sums(metrics, f"{DAEMON}interceptions_duration_seconds") == {("openai", "m"): (1, 7)}


@pytest.mark.parametrize("reason", [kind.code for kind in ERRORS])
def test_every_reason_is_there_before_it_occurs(metrics, reason):
    (reading,) = (
        each for each in metrics.readings() if each.row.name == "aibridged_rejections_total"
    )
    assert reading.values[reason,] == 0


def test_a_rejected_request_is_no_interception(metrics):
    metrics.finished(rejection("rate_limited", model=None))
    assert values(metrics, "aibridged_rejections_total") == {("rate_limited",): 1}
    assert values(metrics, f"{DAEMON}interceptions_total") == {}
    assert values(metrics, f"{DAEMON}passthrough_total") == {}
    assert values(metrics, "aibridged_request_overhead_seconds") == {}


def test_a_rejection_before_there_was_a_route_has_a_reason_all_the_same(metrics):
    metrics.finished(rejection("route_not_supported", provider=None, endpoint=None))
    assert values(metrics, "aibridged_rejections_total") == {("route_not_supported",): 1}


def test_an_open_circuit_counts_what_it_rejects(metrics):
    metrics.finished(rejection("circuit_open"))
    key = ("openai", "/v1/responses", "m")
    assert values(metrics, f"{DAEMON}circuit_breaker_rejects_total") == {key: 1}


def test_a_provider_that_can_not_be_reached_fails_an_interception(metrics):
    metrics.finished(
        interception(reason="upstream_unreachable", status=502, outcome=RequestOutcome.FAILED)
    )
    key = ("openai", "m", "failed", "/v1/responses", "POST", *WHO)
    assert values(metrics, f"{DAEMON}interceptions_total") == {key: 1}
    assert values(metrics, "aibridged_rejections_total") == {("upstream_unreachable",): 1}


def test_what_is_only_forwarded(metrics):
    metrics.finished(
        interception(
            interception_id=None,
            method="GET",
            path="/openai/v1/models",
            endpoint="/models",
            bridged=False,
            model=None,
            tokens=None,
            tools=(),
        )
    )
    key = ("openai", "/v1/models", "GET")
    assert values(metrics, f"{DAEMON}passthrough_total") == {key: 1}
    assert values(metrics, f"{DAEMON}interceptions_total") == {}
    assert sums(metrics, "aibridged_request_overhead_seconds") == {("openai",): (1, 0.25)}


def test_an_error_inside_a_stream_is_counted_and_one_in_the_status_is_not(metrics):
    failed = {"outcome": RequestOutcome.FAILED, "provider_error": "overloaded_error"}
    metrics.finished(interception(**failed))
    metrics.finished(interception(status=529, **failed))
    key = ("openai", "overloaded_error")
    assert values(metrics, "aibridged_stream_errors_total") == {key: 1}


def test_models_that_no_provider_knows_leave_the_places_to_real_ones(metrics):
    for number in range(2 * MAX_MODELS):
        metrics.finished(
            interception(model=f"typo-{number}", status=404, outcome=RequestOutcome.FAILED)
        )
    for number in range(2 * MAX_MODELS):
        metrics.finished(interception(model=f"model-{number}"))
    models = {model for _, model, *_ in values(metrics, f"{DAEMON}interceptions_total")}
    assert {f"model-{number}" for number in range(MAX_MODELS)} < models
    assert OTHER in models
    assert len(models) == MAX_MODELS + subject._UNPROVEN_MODELS + 1


@pytest.mark.parametrize(
    ("field", "name", "position", "most"),
    [
        ("initiator_id", "interceptions_total", 5, subject.MAX_INITIATORS),
        ("tools", "non_injected_tool_selections_total", 2, subject.MAX_TOOLS),
        ("provider_error", "stream_errors_total", 1, subject.MAX_ERROR_TYPES),
    ],
)
def test_names_are_bounded(metrics, field, name, position, most):
    for number in range(most + 5):
        value = (f"n-{number}",) if field == "tools" else f"n-{number}"
        metrics.finished(interception(**{field: value}))
    prefix = "aibridged_" if field == "provider_error" else DAEMON
    found = [labels[position] for labels in values(metrics, prefix + name)]
    assert len(found) == most + 1
    assert OTHER in found


def test_those_who_are_counted_have_their_latest_name(metrics):
    for id, name in (("1", "old"), ("1", "ann"), ("2", None), ("3", "b" * 1000)):
        metrics.finished(interception(initiator_id=id, username=name))
    assert values(metrics, "aibridged_user_info") == {
        ("1", "ann"): 1,
        ("2", "2"): 1,
        ("3", "b" * subject.MAX_USERNAME): 1,
    }


def test_names_are_bounded_with_the_ids(metrics):
    for number in range(subject.MAX_INITIATORS + 5):
        metrics.finished(interception(initiator_id=f"id-{number}", username=f"name-{number}"))
    names = values(metrics, "aibridged_user_info")
    assert len(names) == subject.MAX_INITIATORS + 1
    assert names[OTHER, OTHER] == 1


def test_nobody_is_named_if_that_is_switched_off():
    metrics = Metrics(Running(), initiators=False)
    metrics.finished(interception(username="alice"))
    assert values(metrics, "aibridged_user_info") == {}
    for name in ("interceptions_total", "prompts_total", "tokens_total"):
        assert all("alice" not in labels for labels in values(metrics, DAEMON + name))
        assert all("" in labels for labels in values(metrics, DAEMON + name))


def test_what_is_under_way():
    running = Running()
    metrics = Metrics(running)
    name, key = f"{DAEMON}interceptions_inflight", ("openai", "m", "/v1/responses")
    for _ in range(2):
        running.began(key)
    assert values(metrics, name) == {key: 2}
    for _ in range(2):
        running.ended(key)
    assert values(metrics, name) == {}
    (reading,) = (each for each in metrics.readings() if each.row.name == name)
    assert reading.values == {key: 0}, "whoever saw it sees that it has ended"


def test_what_other_parts_report(metrics):
    metrics.circuit_opened("openai", "/v1/responses", "m")
    metrics.chunk_relayed("openai", 0.5)
    metrics.loop_lagged(0.25)
    metrics.tool_invoked("openai", "m", "github", "search")
    metrics.connect_session("mitm")
    metrics.proxied_request_began("openai")
    metrics.proxied_request_began("openai")
    metrics.proxied_request_ended("openai", 200)
    expected = {
        f"{DAEMON}circuit_breaker_trips_total": {("openai", "/v1/responses", "m"): 1},
        f"{DAEMON}injected_tool_invocations_total": {("openai", "m", "github", "search"): 1},
        "coder_ai_gateway_proxy_connect_sessions_total": {("mitm",): 1},
        "coder_ai_gateway_proxy_mitm_requests_total": {("openai",): 2},
        "coder_ai_gateway_proxy_inflight_mitm_requests": {("openai",): 1},
        "coder_ai_gateway_proxy_mitm_responses_total": {("200", "openai"): 1},
    }
    assert {name: values(metrics, name) for name in expected} == expected
    assert sums(metrics, "aibridged_chunk_overhead_seconds") == {("openai",): (1, 0.5)}
    assert sums(metrics, "aibridged_event_loop_lag_seconds") == {(): (1, 0.25)}
