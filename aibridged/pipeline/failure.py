"""Why an interception failed, in Coder's words and the provider's, or the gateway's own."""

import re
from collections.abc import Iterable, Mapping

from aibridged.errors import INTERNAL_ERROR, GatewayError
from aibridged.gateway_tokens import blanked
from aibridged.records.facts import ErrorSource, ErrorType, Failure
from aibridged.records.schema import MAX_ERROR_MESSAGE, MAX_NAME
from aibridged.transport.upstream_failure import FELL_SILENT
from aibridged.wire.collector import verdict_of
from aibridged.wire.facts import ProviderError

RESPONSE_ABORTED = "response_aborted"
"""The code where the provider broke off its response, or fell silent."""

RESPONSE_INCOMPLETE = "response_incomplete"
"""The code where the provider ended its response before it was complete."""

_REDACTED = "[redacted]"
# Kept beyond the bound until secrets are blanked, so that none is cut in two and kept in part.
_OVERLAP = 8 * 1024
_MIN_SECRET = 8  # characters; what is shorter than that is a placeholder

_STATUSES: Mapping[int, ErrorType] = {
    400: ErrorType.BAD_REQUEST,
    401: ErrorType.UNAUTHORIZED,
    403: ErrorType.UNAUTHORIZED,
    404: ErrorType.BAD_REQUEST,
    408: ErrorType.TIMEOUT,
    413: ErrorType.BAD_REQUEST,
    422: ErrorType.BAD_REQUEST,
    429: ErrorType.RATE_LIMITED,
    503: ErrorType.OVERLOADED,
    504: ErrorType.TIMEOUT,
    529: ErrorType.OVERLOADED,
}
_WORDS: Mapping[str, ErrorType] = {
    "invalid_request_error": ErrorType.BAD_REQUEST,
    "not_found_error": ErrorType.BAD_REQUEST,
    "request_too_large": ErrorType.BAD_REQUEST,
    "not_supported": ErrorType.BAD_REQUEST,
    "authentication_error": ErrorType.UNAUTHORIZED,
    "permission_error": ErrorType.UNAUTHORIZED,
    "rate_limit_error": ErrorType.RATE_LIMITED,
    "billing_error": ErrorType.RATE_LIMITED,
    "overloaded_error": ErrorType.OVERLOADED,
    "timeout_error": ErrorType.TIMEOUT,
    "api_error": ErrorType.SERVER_ERROR,
    "server_error": ErrorType.SERVER_ERROR,
    "internal_server_error": ErrorType.SERVER_ERROR,
}
_OVERLOAD = frozenset({"rate_limit_error", "overloaded_error"})

INTERNAL = Failure(
    type=ErrorType.SERVER_ERROR,
    source=ErrorSource.GATEWAY,
    code=INTERNAL_ERROR.code,
    message=INTERNAL_ERROR.sentence,
)
"""A mistake of the gateway's."""


def of_gateway(error: GatewayError) -> Failure:
    """The gateway refused or failed the request itself; the code is one of `errors.ERRORS`."""
    behind = f" ({error.reason})" if error.reason else ""
    return Failure(
        type=_WORDS.get(error.kind.kind, ErrorType.UNKNOWN),
        source=ErrorSource.GATEWAY,
        code=error.kind.code,
        message=error.message + behind,
    )


def of_break(reason: str) -> Failure:
    """The provider didn't end its response; `reason` is in words of the gateway's."""
    is_late = reason == FELL_SILENT
    return Failure(
        type=ErrorType.TIMEOUT if is_late else ErrorType.SERVER_ERROR,
        source=ErrorSource.PROVIDER,
        code=RESPONSE_ABORTED,
        message=f"The provider aborted its response: {reason}.",
    )


def of_response(status: int, error: ProviderError | None) -> Failure:
    """The provider answered with an error, or with less than a whole response."""
    if error is None and status < 400:
        return Failure(
            type=ErrorType.UNKNOWN,
            source=ErrorSource.PROVIDER,
            code=RESPONSE_INCOMPLETE,
            message="The response ended before it was complete.",
        )
    return Failure(
        type=_type(status, error),
        source=ErrorSource.PROVIDER,
        code=(error.code or error.type) if error is not None else None,
        message=(error.message if error is not None else None)
        or f"The provider responded with status {status}.",
    )


def _type(status: int, error: ProviderError | None) -> ErrorType:
    word = verdict_of(error) if error is not None else ""
    if word in _OVERLOAD:
        return _WORDS[word]
    if status < 400:
        if not re.fullmatch("[45][0-9][0-9]", word):
            return _WORDS.get(word, ErrorType.UNKNOWN)
        status = int(word)  # a status of its own, as some servers put it into a stream
    default = ErrorType.SERVER_ERROR if status >= 500 else ErrorType.UNKNOWN
    return _STATUSES.get(status, default)


def redacted(failure: Failure, secrets: Iterable[bytes]) -> Failure:
    """The failure within the record's bounds, without these secrets: a provider may quote them."""
    known = [secret.decode(errors="replace") for secret in secrets]

    def clean(text: str | None, length: int) -> str | None:
        if text is None:
            return None
        text = text[: length + _OVERLAP]
        for secret in known:
            if len(secret) >= _MIN_SECRET:
                text = text.replace(secret, _REDACTED)
        return blanked(text)[:length]

    return Failure(
        type=failure.type,
        source=failure.source,
        code=clean(failure.code, MAX_NAME),
        message=clean(failure.message, MAX_ERROR_MESSAGE),
    )


def error_fields(failure: Failure | None) -> dict[str, str | None]:
    """The fields of a record that tell of it."""
    if failure is None:
        return {}
    return {
        "error_type": failure.type.value,
        "error_source": failure.source.value,
        "error_code": failure.code,
        "error_message": failure.message,
    }
