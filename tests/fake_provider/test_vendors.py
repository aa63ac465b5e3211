"""The manners of both vendors."""

import json

import pytest
from anthropic.types.shared import ErrorResponse

from aibridged.fake_provider.vendors import ANTHROPIC, OPENAI


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 429, 500, 502, 504, 529])
def test_anthropic_errors_have_the_published_shape(status, strictly):
    error = strictly(ErrorResponse, ANTHROPIC.error(status, None, "req_1"))
    assert error.request_id == "req_1"
    assert error.error.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (503, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_errors_name_their_kind(status, kind):
    assert json.loads(ANTHROPIC.error(status, None, ""))["error"]["type"] == kind


@pytest.mark.parametrize("status", [400, 401, 404, 418, 429, 500, 503, 529])
def test_openai_errors_have_the_published_fields(status):
    body = json.loads(OPENAI.error(status, "Why.", "req_1"))
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] == "Why."


def test_every_answer_has_limits_and_a_request_id():
    headers = ANTHROPIC.headers(200, "req_1")
    assert headers["request-id"] == "req_1"
    assert headers["anthropic-ratelimit-requests-remaining"] == "3999"
    assert "retry-after" not in headers
    headers = OPENAI.headers(200, "req_1")
    assert headers["x-request-id"] == "req_1"
    assert headers["x-ratelimit-remaining-requests"] == "9999"


@pytest.mark.parametrize(
    ("vendor", "remaining"),
    [
        (ANTHROPIC, "anthropic-ratelimit-requests-remaining"),
        (OPENAI, "x-ratelimit-remaining-requests"),
    ],
)
def test_over_the_limit_nothing_remains_and_waiting_helps(vendor, remaining):
    headers = vendor.headers(429, "req_1")
    assert headers[remaining] == "0"
    assert headers["retry-after"] == "1"


def test_any_credential_will_do_but_each_vendor_has_its_own():
    assert ANTHROPIC.knows({b"x-api-key": b"x"})
    assert ANTHROPIC.knows({b"authorization": b"Bearer x"})
    assert OPENAI.knows({b"authorization": b"Bearer x"})
    assert not OPENAI.knows({b"x-api-key": b"x"})
    assert not ANTHROPIC.knows({b"x-api-key": b""})


def test_status_of_an_error_that_a_stream_may_hold():
    assert ANTHROPIC.status_of("overloaded_error") == 529
    assert OPENAI.status_of("overloaded_error") == 503
    assert OPENAI.status_of("rate_limit_error") == 429
    assert OPENAI.status_of("api_error") == 500
