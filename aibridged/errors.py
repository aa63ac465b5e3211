"""Every error that the gateway itself returns: status, code and sentence.

One body serves Coder's, Anthropic's and OpenAI's clients at once, so that each SDK raises its own
exception and shows the sentence. Providers' errors are never made here: they are relayed unchanged.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class ErrorKind(msgspec.Struct, frozen=True):
    """One kind of refusal or failure.

    `kind` is the `error.type` that Anthropic's API uses for the status; `sentence` is the default
    message. It doesn't name `X-Api-Key`: Claude Code replaces a sentence that does by its own
    advice (to log in at Anthropic).
    """

    code: str
    status: int
    kind: str
    sentence: str


INVALID_REQUEST = ErrorKind(
    "invalid_request", 400, "invalid_request_error", "The request is malformed."
)
WRONG_BASE_URL = ErrorKind("wrong_base_url", 400, "invalid_request_error", "The base URL is wrong.")
"""For requests of Anthropic's API: at a 404, Claude Code says that the model doesn't exist, and
nothing else."""
PROVIDER_NOT_ALLOWED = ErrorKind(
    "provider_not_allowed",
    400,
    "invalid_request_error",
    "This provider is not granted to you. Ask the operator of the gateway.",
)
MODEL_NOT_ALLOWED = ErrorKind(
    "model_not_allowed",
    400,
    "invalid_request_error",
    "This model is not granted to you. Ask the operator of the gateway.",
)
"""400 and not 403, which Codex repeats six times."""
MODEL_UNPRICED = ErrorKind(
    "model_unpriced",
    400,
    "invalid_request_error",
    "This model has no price, so that its cost can't be counted. Ask the operator of the gateway.",
)
SESSION_ENDED = ErrorKind(
    "session_ended",
    400,
    "invalid_request_error",
    "The gateway has ended this session: start another one, or ask the operator of the gateway.",
)
"""The status is that of requests whose responses have no text; the others get a response that says
it (`wire.own_answers`), with the code."""
REQUEST_ENDED = ErrorKind(
    "request_ended",
    400,
    "invalid_request_error",
    "This request was ended at the gateway, by an administrator or by you.",
)
"""The same holds for it, where nothing of the response had been sent."""
UNAUTHENTICATED = ErrorKind(
    "unauthenticated",
    401,
    "authentication_error",
    "A valid gateway token is required, as Authorization: Bearer, the API key or X-Coder-Token.",
)
TOKEN_EXPIRED = ErrorKind(
    "token_expired",
    401,
    "authentication_error",
    "The gateway token has expired: sign in again, or ask the operator to renew it "
    "(aibridged tokens renew).",
)
TOKEN_REVOKED = ErrorKind(
    "token_revoked",
    401,
    "authentication_error",
    "The gateway token has been revoked: sign in again, or ask the operator for another one.",
)
USER_SUSPENDED = ErrorKind(
    "user_suspended",
    401,
    "authentication_error",
    "The user of the gateway token is suspended: only the operator can resume them "
    "(aibridged users resume).",
)
OWN_KEY_REQUIRED = ErrorKind(
    "own_key_required",
    401,
    "authentication_error",
    "This provider requires your own key: send it as Authorization: Bearer, and the "
    "gateway token as X-Coder-Token.",
)
PROVIDER_KEY_MISSING = ErrorKind(
    "provider_key_missing",
    401,
    "authentication_error",
    "The gateway has no key for this provider: the operator has to set one.",
)
BYOK_DISABLED = ErrorKind(
    "byok_disabled",
    403,
    "permission_error",
    "Bringing your own provider key (BYOK) is disabled: send only the gateway token, "
    "or ask the operator to set --aibridge-allow-byok.",
)
ADMIN_REQUIRED = ErrorKind(
    "admin_required", 403, "permission_error", "Only administrators may see this."
)
ORIGIN_REFUSED = ErrorKind(
    "origin_refused",
    403,
    "permission_error",
    "With authentication disabled, the gateway only accepts loopback host names: use "
    "localhost or 127.0.0.1 in the base URL, or set --aibridge-auth to token.",
)
DESTINATION_REFUSED = ErrorKind(
    "destination_refused",
    403,
    "permission_error",
    "The AI Proxy refuses to connect to this address. The operator can allow "
    "networks with --aibridge-proxy-allowed-private-cidrs.",
)
ROUTE_NOT_SUPPORTED = ErrorKind(
    "route_not_supported", 404, "not_found_error", "The gateway does not serve this route."
)
NO_USERS_HERE = ErrorKind(
    "no_users_here", 404, "not_found_error", "This gateway has no users and tokens of its own."
)
STORED_OBJECT_NOT_FOUND = ErrorKind(
    "stored_object_not_found",
    404,
    "invalid_request_error",
    "There is no response or conversation with this id that you made through the gateway.",
)
PREVIOUS_RESPONSE_NOT_FOUND = ErrorKind(
    "previous_response_not_found",
    404,
    "invalid_request_error",
    "There is no previous response with this id that you made through the gateway.",
)
REQUEST_NOT_RUNNING = ErrorKind(
    "request_not_running",
    404,
    "not_found_error",
    "No request with this id that you may end is running: it has ended, or never began.",
)
MODEL_NOT_FOUND = ErrorKind(
    "model_not_found",
    404,
    "not_found_error",
    "There is no model of this name that is granted to you.",
)
NO_MANAGED_SETTINGS = ErrorKind(
    "no_managed_settings",
    404,
    "not_found_error",
    "The gateway has no managed settings for you.",
)
SPEND_LIMIT_NOT_FOUND = ErrorKind(
    "spend_limit_not_found", 404, "not_found_error", "There is no spend limit with this id."
)
METHOD_NOT_ALLOWED = ErrorKind(
    "method_not_allowed", 405, "invalid_request_error", "This resource is read-only: use GET."
)
REQUEST_ALREADY_ENDED = ErrorKind(
    "request_already_ended",
    409,
    "invalid_request_error",
    "This request has just ended by itself: there is nothing left to end.",
)
PROXY_UNAUTHENTICATED = ErrorKind(
    "proxy_unauthenticated",
    407,
    "authentication_error",
    "The proxy requires a valid gateway token as its password: "
    "HTTPS_PROXY=http://token:<gateway token>@<proxy>.",
)
REQUEST_TIMEOUT = ErrorKind(
    "request_timeout", 408, "timeout_error", "The request body did not arrive in time."
)
REQUEST_TOO_LARGE = ErrorKind(
    "request_too_large", 413, "request_too_large", "The request body is too large."
)
UNSUPPORTED_CODING = ErrorKind(
    "unsupported_coding", 415, "invalid_request_error", "The Content-Encoding is not supported."
)
MISDIRECTED_REQUEST = ErrorKind(
    "misdirected_request",
    421,
    "invalid_request_error",
    "The Host header does not match the CONNECT that opened this connection.",
)
UPGRADE_NOT_SUPPORTED = ErrorKind(
    "upgrade_not_supported",
    426,
    "invalid_request_error",
    "WebSocket is not supported here: use HTTP with server-sent events.",
)
RATE_LIMITED = ErrorKind(
    "rate_limited", 429, "rate_limit_error", "Too many requests. Please slow down."
)
CONCURRENCY_LIMITED = ErrorKind(
    "concurrency_limited",
    429,
    "rate_limit_error",
    "Too many of your requests are in progress. Please wait until one has ended.",
)
BUDGET_EXCEEDED = ErrorKind(
    "budget_exceeded", 429, "billing_error", "A spend limit of yours is reached."
)
"""The word of Anthropic's API, whose clients show the sentence as it is."""
HEADER_TOO_LARGE = ErrorKind(
    "header_too_large", 431, "invalid_request_error", "The request's header is too large."
)
INTERNAL_ERROR = ErrorKind(
    "internal_error", 500, "api_error", "The gateway failed to handle the request."
)
NOT_SUPPORTED = ErrorKind(
    "not_supported", 501, "not_supported", "The provider does not count the tokens of a request."
)
UPSTREAM_UNREACHABLE = ErrorKind(
    "upstream_unreachable", 502, "api_error", "The provider could not be reached."
)
UPSTREAM_INVALID = ErrorKind(
    "upstream_invalid", 502, "api_error", "The provider sent a response that is not valid HTTP."
)
DESTINATION_UNREACHABLE = ErrorKind(
    "destination_unreachable", 502, "api_error", "The destination could not be reached."
)
AUTH_UNAVAILABLE = ErrorKind(
    "auth_unavailable",
    503,
    "api_error",
    "The gateway can't verify tokens at the moment. Please try again.",
)
AT_CAPACITY = ErrorKind(
    "at_capacity",
    503,
    "overloaded_error",
    "AI Bridge is currently at capacity. Please try again later.",
)
CIRCUIT_OPEN = ErrorKind(
    "circuit_open",
    503,
    "overloaded_error",
    "The circuit breaker is open: the provider is overloaded. Please try again later.",
)
RECORDING_FAILED = ErrorKind(
    "recording_failed",
    503,
    "api_error",
    "The request could not be recorded, so it was not sent to the provider.",
)
LOOKUP_FAILED = ErrorKind(
    "lookup_failed",
    503,
    "api_error",
    "The gateway can't check at the moment who made this response or conversation. Please try "
    "again.",
)
QUERY_FAILED = ErrorKind(
    "query_failed", 503, "api_error", "The records could not be queried. Please try again."
)
UPSTREAM_TIMEOUT = ErrorKind(
    "upstream_timeout", 504, "timeout_error", "The provider did not respond in time."
)

ERRORS = tuple(kind for kind in tuple(globals().values()) if isinstance(kind, ErrorKind))
"""All of the above, in their order."""

CONCERN_A_PERSON = frozenset(
    kind.code
    for kind in (
        BUDGET_EXCEEDED,
        BYOK_DISABLED,
        CONCURRENCY_LIMITED,
        MODEL_NOT_ALLOWED,
        MODEL_UNPRICED,
        PROVIDER_NOT_ALLOWED,
        RATE_LIMITED,
        SESSION_ENDED,
    )
)
"""Codes of refusals that say what a person may do, or how much: these are counted per person."""

REASON = "X-Aibridge-Reason"
"""The header with an error's code."""
REQUEST_ID = "Request-Id"
"""The header with a request's id in Anthropic's API."""
SHOULD_RETRY = "X-Should-Retry"
"""Tells clients whether to retry. The official SDKs and Claude Code obey it; without it, Claude
Code silently repeats a request with a wrong token for three minutes, and then reports a network
failure."""
# A retry doesn't help: the caller has to change something first.
_FINAL_STATUSES = frozenset({400, 401, 403, 404, 413, 415, 431, 501})

_NOTHING: Mapping[str, Any] = {}

_encode = msgspec.json.Encoder().encode


class GatewayError(Exception):
    """A request that the gateway itself refuses or fails.

    `retry_after` is in whole seconds, given wherever waiting helps; `allow` names the allowed
    methods. `message` never quotes a header or a body of the caller's, which may contain a secret.
    `reason` is a word on the cause, for the record. `added_headers`, and `fields` of the body's
    `error`, are those by which one client's program knows what to do. `request_id` is set
    where the API says it, too.
    """

    request_id: str | None = None

    def __init__(
        self,
        kind: ErrorKind,
        message: str | None = None,
        *,
        retry_after: int | None = None,
        allow: str | None = None,
        reason: str | None = None,
        added_headers: Mapping[str, str] = _NOTHING,
        fields: Mapping[str, str | int] = _NOTHING,
    ) -> None:
        self.kind = kind
        self.message = message or kind.sentence
        self.retry_after = retry_after
        self.allow = allow
        self.reason = reason
        self.added_headers = added_headers
        self.fields = fields
        super().__init__(self.message)

    def headers(self) -> dict[str, str]:
        """The response headers that go with `body`."""
        headers = {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",  # without it a 404 or 501 may be taken from a cache
            REASON: self.kind.code,
        }
        if self.kind.status in _FINAL_STATUSES or self.kind is BUDGET_EXCEEDED:
            headers[SHOULD_RETRY] = "false"
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.allow is not None:
            headers["Allow"] = self.allow
        if self.request_id is not None:
            headers[REQUEST_ID] = self.request_id
        if self.kind is UNSUPPORTED_CODING:
            headers["Accept-Encoding"] = "gzip, deflate, zstd"
        return {**headers, **self.added_headers}

    def body(self) -> bytes:
        """The JSON body, in the shape that all three families of clients read."""
        said = {} if self.request_id is None else {"request_id": self.request_id}
        return _encode(
            {
                "type": "error",
                "message": self.message,
                **said,
                "error": {
                    "type": self.kind.kind,
                    "code": self.kind.code,
                    "message": self.message,
                    "param": None,
                    **self.fields,
                },
            }
        )
