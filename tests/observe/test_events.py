"""The lines that are searched for by their fields."""

import pytest

from aibridged.observe.events import circuit_changed, request_finished
from aibridged.observe.request_summary import RequestOutcome, RequestSummary, TokenCounts

REQUEST = {
    "request_id": "r",
    "outcome": RequestOutcome.COMPLETED,
    "method": "POST",
    "path": "/anthropic/v1/messages",
    "began": 10.0,
    "ended": 14.2111,
    "status": 200,
    "remote": "192.0.2.1",
    "username": "ann",
    "client": "Claude Code",
    "user_agent": "claude-cli/2",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "streamed": True,
    "answered_at": 10.2,
    "first_byte_at": 10.3124,
    "tokens": TokenCounts(1234, 456, 10000, 0),
}


@pytest.fixture
def line(human):
    """The line that a request leaves, which is that of `REQUEST` but for what is given."""

    def line(**changes):
        human.configure()
        request_finished(RequestSummary(**{**REQUEST, **changes}))
        return human.text().splitlines()[-1].partition(" [")[2]

    return line


def test_what_an_operator_wants_to_know(line):
    assert line() == (
        "INFO]  POST /anthropic/v1/messages 200  outcome=completed  username=ann"
        "  provider=anthropic  model=claude-sonnet-4-5  streamed=True  first_byte_ms=312"
        "  total_ms=4211  input_tokens=1234  output_tokens=456  cache_read_tokens=10000"
        '  client="Claude Code"'
    )


def test_tokens_of_all_models_are_added_up(line):
    beside = (TokenCounts(800, 70, 0, 5, {}, "big"),)
    assert (
        "  input_tokens=2034  output_tokens=526  cache_read_tokens=10000  cache_write_tokens=5"
    ) in line(additional_tokens=beside)


REJECTED = {
    **dict.fromkeys(("username", "provider", "model", "answered_at", "first_byte_at", "tokens")),
    "outcome": RequestOutcome.REJECTED,
    "client": "Unknown",
    "streamed": False,
}


def test_of_a_stranger_the_address(line):
    assert line(**REJECTED, status=401, reason="unauthenticated") == (
        "WARNING]  POST /anthropic/v1/messages 401  outcome=rejected  reason=unauthenticated"
        "  remote=192.0.2.1  total_ms=4211"
    )


@pytest.mark.parametrize(
    ("outcome", "status", "reason", "level"),
    [
        ("rejected", 503, "at_capacity", "WARNING"),
        ("rejected", 429, "rate_limited", "WARNING"),
        ("rejected", 404, "route_not_supported", "WARNING"),
        ("failed", 502, "upstream_unreachable", "WARNING"),
        ("failed", 529, None, "WARNING"),
        ("failed", 200, None, "WARNING"),
        ("interrupted", 200, None, "WARNING"),
        ("client_closed", None, None, "INFO"),
        ("completed", 200, None, "INFO"),
        ("rejected", 426, "upgrade_not_supported", "INFO"),  # clients offer it, and fall back
    ],
)
def test_what_failed_or_was_refused_is_a_warning(outcome, status, reason, level, line):
    told = line(outcome=RequestOutcome(outcome), status=status, reason=reason)
    assert told.startswith(f"{level}]")


def test_a_warning_says_whose_token_it_was(line):
    failed = RequestOutcome.FAILED
    assert "  api_key_id=key1" in line(outcome=failed, api_key_id="key1")
    assert "api_key_id" not in line(api_key_id="key1")


def test_a_failure_says_where_the_request_went(line):
    url = "https://api.example.com/v1/messages"
    assert f"  upstream={url}" in line(outcome=RequestOutcome.FAILED, upstream_url=url)


def test_who_left_before_an_answer_has_no_status(line):
    told = line(status=None, outcome=RequestOutcome.CLIENT_CLOSED)
    assert told.startswith("INFO]  POST /anthropic/v1/messages -  outcome=client_closed")


def test_the_user_agent_is_told_of_a_client_that_isnt_known(json_lines):
    json_lines.configure()
    request_finished(RequestSummary(**REQUEST))
    request_finished(RequestSummary(**{**REQUEST, "client": "Unknown"}))
    known, unknown = (entry["fields"] for entry in json_lines.entries())
    assert (known["client"], known.get("user_agent")) == ("Claude Code", None)
    assert (unknown.get("client"), unknown["user_agent"]) == (None, "claude-cli/2")


FORGED = "x\n2026-01-01 00:00:00.000 [INFO]  forged\r\x1b[2J\u202e{0}<red>"
TEXTS = ("method", "path", "reason", "username", "provider", "model", "client", "provider_error")


@pytest.mark.parametrize("field", TEXTS)
def test_no_text_of_a_callers_forges_a_line(field, human, line):
    assert line(**{field: FORGED}).isprintable()
    assert human.text().count("\n") == 1


def test_a_circuit_that_changes(human):
    human.configure()
    circuit_changed(
        provider="anthropic", endpoint="/v1/messages", model="m", before="closed", now="open"
    )
    assert human.lines() == [
        "Circuit breaker: closed -> open  provider=anthropic  endpoint=/v1/messages  model=m"
    ]
