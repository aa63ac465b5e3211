"""The vendors' credentials, error bodies and rate-limit headers.

The shapes are those of the public API references of Anthropic ("Errors", "Rate limits") and OpenAI
("Error codes", "Rate limits").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

Headers = tuple[tuple[str, str], ...]

_ANTHROPIC_KINDS = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "x-api-key header is required"),
    402: ("billing_error", "The credit balance is too low."),
    403: ("permission_error", "The key may not use this resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed the rate limit of the organization."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
_OPENAI_KINDS = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "You didn't provide an API key."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Not permitted."),
    404: ("invalid_request_error", "not_found", "Not found"),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", "server_overloaded", "The engine is currently overloaded."),
}


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's conventions, the same on all its routes."""

    name: str
    credentials: tuple[bytes, ...]
    """Headers in lower case, of which one must be there."""
    request_id_header: str
    overloaded_status: int
    error: Callable[[int, str | None, str], bytes]
    """Makes the body of an error from status, message (or the usual one) and request id."""
    limits: Headers
    spent: Headers
    """The rate-limit headers of a 429."""

    def headers(self, status: int, request_id: str) -> dict[str, str]:
        """The headers of every response, except for the content type."""
        headers = dict(self.spent if status == 429 else self.limits)
        headers[self.request_id_header] = request_id
        if status == 429:
            headers["retry-after"] = "1"
        return headers

    def knows(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether there is a credential; any will do."""
        return any(headers.get(name) for name in self.credentials)

    def status_of(self, kind: str) -> int:
        """The status of a blocking response for an error `kind` that a stream may contain."""
        return {"overloaded_error": self.overloaded_status, "rate_limit_error": 429}.get(kind, 500)


def _anthropic_error(status: int, message: str | None, request_id: str) -> bytes:
    other = _ANTHROPIC_KINDS[500 if status >= 500 else 400]
    kind, sentence = _ANTHROPIC_KINDS.get(status, other)
    error = {"type": kind, "message": message or sentence}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def _openai_error(status: int, message: str | None, request_id: str) -> bytes:
    del request_id  # it is only in the header
    other = _OPENAI_KINDS[500 if status >= 500 else 400]
    kind, code, sentence = _OPENAI_KINDS.get(status, other)
    error = {"message": message or sentence, "type": kind, "param": None, "code": code}
    return msgspec.json.encode({"error": error})


def _anthropic_limits(remaining: str) -> Headers:
    return (
        ("anthropic-organization-id", "00000000-0000-4000-8000-00000000fa4e"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", remaining),
        ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z"),
        ("anthropic-ratelimit-tokens-limit", "480000"),
        ("anthropic-ratelimit-tokens-remaining", "480000"),
        ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:00Z"),
    )


def _openai_limits(remaining: str) -> Headers:
    return (
        ("openai-organization", "fake-organization"),
        ("openai-processing-ms", "1"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", remaining),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-tokens", "2000000"),
        ("x-ratelimit-reset-tokens", "0s"),
    )


ANTHROPIC = Vendor(
    name="anthropic",
    credentials=(b"x-api-key", b"authorization"),
    request_id_header="request-id",
    overloaded_status=529,
    error=_anthropic_error,
    limits=_anthropic_limits("3999"),
    spent=_anthropic_limits("0"),
)
OPENAI = Vendor(
    name="openai",
    credentials=(b"authorization",),
    request_id_header="x-request-id",
    overloaded_status=503,
    error=_openai_error,
    limits=_openai_limits("9999"),
    spent=_openai_limits("0"),
)
