"""Why an interception failed, as the record has it."""

import pytest

from aibridged.errors import ERRORS, UPSTREAM_UNREACHABLE, GatewayError
from aibridged.pipeline import failure
from aibridged.records.facts import ErrorSource, ErrorType
from aibridged.records.schema import MAX_ERROR_MESSAGE, MAX_NAME
from aibridged.transport.upstream_failure import FELL_SILENT
from aibridged.wire.facts import ProviderError

TOKEN = "aib_0123456789_" + "A" * 43


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.code)
def test_the_gateways_own_errors_have_their_code_and_sentence(kind):
    found = failure.of_gateway(GatewayError(kind))
    assert (found.source, found.code, found.message) == ("gateway", kind.code, kind.sentence)
    assert found.type is not ErrorType.UNKNOWN


def test_what_was_behind_it_is_told():
    error = GatewayError(
        UPSTREAM_UNREACHABLE, "The provider x is gone.", reason="https://x.example/v1"
    )
    assert failure.of_gateway(error).message == "The provider x is gone. (https://x.example/v1)"


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (400, ("invalid_request_error", "too_long"), "bad_request", "too_long"),
        (401, ("invalid_request_error", "invalid_api_key"), "unauthorized", "invalid_api_key"),
        (402, ("billing_error", None), "unknown", "billing_error"),
        (403, ("permission_error", None), "unauthorized", "permission_error"),
        (404, ("not_found_error", None), "bad_request", "not_found_error"),
        (429, ("insufficient_quota", "insufficient_quota"), "rate_limited", "insufficient_quota"),
        (500, ("api_error", None), "server_error", "api_error"),
        (500, ("overloaded_error", None), "overloaded", "overloaded_error"),
        (502, None, "server_error", None),
        (503, None, "overloaded", None),
        (504, None, "timeout", None),
        (529, None, "overloaded", None),
        (200, ("overloaded_error", None), "overloaded", "overloaded_error"),
        (200, ("error", "rate_limit_exceeded"), "rate_limited", "rate_limit_exceeded"),
        (200, ("invalid_request_error", None), "bad_request", "invalid_request_error"),
        (200, (None, "server_error"), "server_error", "server_error"),
        (200, (None, "502"), "server_error", "502"),
        (200, (None, "401"), "unauthorized", "401"),
        (200, ("martian", None), "unknown", "martian"),
    ],
)  # fmt: skip
def test_a_providers_error_has_coders_word_and_its_own(status, error, kind, code):
    said = error and ProviderError(*error, message="Said so.")
    found = failure.of_response(status, said)
    assert (found.type, found.source, found.code) == (kind, "provider", code)
    assert found.message == (
        "Said so." if error else f"The provider responded with status {status}."
    )


def test_a_response_that_was_not_whole():
    assert failure.of_response(200, None).code == "response_incomplete"
    assert failure.of_break("it closed the connection").type is ErrorType.SERVER_ERROR
    assert failure.of_break(FELL_SILENT).type is ErrorType.TIMEOUT
    assert failure.of_break(FELL_SILENT).source is ErrorSource.PROVIDER


def quoting(text):
    return failure.of_response(401, ProviderError(text, None, text))


@pytest.mark.parametrize("before", ["", "é" * (MAX_ERROR_MESSAGE - 5), "e" * (MAX_NAME - 5)])
def test_secrets_that_a_provider_quotes_are_blanked_even_at_the_bound(before):
    key = "sk-proj-" + "k" * 200
    text = f"{before}{key} {TOKEN} and so on"
    found = failure.redacted(quoting(text), [key.encode(), b"short"])
    for kept in (found.code, found.message):
        assert "kkk" not in kept
        assert "AAA" not in kept


def test_a_message_and_a_code_have_bounds_and_cost_little():
    found = failure.redacted(quoting("a" * 10_000_000), [b"a" * 9])
    assert len(found.message) <= MAX_ERROR_MESSAGE
    assert len(found.code) <= MAX_NAME


def test_a_placeholder_for_a_key_blanks_nothing():
    assert failure.redacted(quoting("no key x here"), [b"x"]).message == "no key x here"
