"""Fields of a request's line in the access log.

Most are words that the next request of the same person has, too: these are rendered once.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from aibridged.observe.log_lines import HttpRequest, Several, word
from aibridged.observe.remembered import Remembered
from aibridged.observe.request_summary import RequestSummary

_UNKNOWN = "Unknown"
_EXACT = "exact"
_SHAPES = 64  # which numbers there are


class AccessFields(Several, frozen=True, gc=False):
    """All fields of a request that has ended.

    The client's address stands in for an unknown caller, the user agent for an unknown client.
    """

    request: RequestSummary
    is_well: bool

    def words(self) -> str:
        numbers = _numbers(self.request)
        between = _template(*numbers) % tuple(numbers.values())
        return f"{self._names.words}{between}{self._ways.words}"

    def told(self) -> dict[str, Any]:
        return {**self._http.told(), **self._others}

    def shape(self) -> dict[str, str | int]:
        return self._http.shape()

    def apart(self) -> dict[str, Any]:
        """Each as a field of its own, and that of the HTTP request."""
        return {"http": self._http, **self._others}

    @property
    def _others(self) -> dict[str, Any]:
        return {**self._names.fields, **_numbers(self.request), **self._ways.fields}

    @property
    def _http(self) -> HttpRequest:
        request = self.request
        return HttpRequest(
            method=request.method,
            path=request.path,
            seconds=request.seconds,
            status=request.status,
            remote=request.remote,
            user_agent=request.user_agent if request.client == _UNKNOWN else None,
        )

    @property
    def _names(self) -> "_Group":
        request = self.request
        return _NAMES[
            str(request.outcome),
            request.reason,
            request.username,
            None if self.is_well else request.api_key_id,
            request.claimed_api_key_id,
            request.remote if request.username is None else None,
            request.provider,
            request.upstream_url,
            request.model,
            request.error_type,
            request.error_source,
            request.provider_error,
            request.unread,
            request.ended_by,
            request.streamed or None,
        ]

    @property
    def _ways(self) -> "_Group":
        label, client = self.request.cost_label, self.request.client
        return _WAYS[None if label == _EXACT else label, None if client == _UNKNOWN else client]


class _Group(NamedTuple):
    """Some of the fields, and their words."""

    fields: Mapping[str, str | bool]
    words: str


def _groups(*names: str) -> Remembered[_Group]:
    def group(*values: str | bool | None) -> _Group:
        told = zip(names, values, strict=True)
        fields = {name: value for name, value in told if value is not None}
        return _Group(fields, "".join([word(*field) for field in fields.items()]))

    return Remembered(group)


_NAMES = _groups(
    "outcome",
    "reason",
    "username",
    "api_key_id",
    "claimed_api_key_id",
    "remote",
    "provider",
    "upstream",
    "model",
    "error_type",
    "error_source",
    "provider_error",
    "unread",
    "ended_by",
    "streamed",
)
_WAYS = _groups("cost_label", "client")


def _numbers(request: RequestSummary) -> dict[str, int | str]:
    """Those that differ between requests; the cost is exact text."""
    first_byte = request.seconds_to_first_byte
    numbers: dict[str, int | str] = (
        {} if first_byte is None else {"first_byte_ms": round(first_byte * 1000)}
    )
    numbers["total_ms"] = round(request.seconds * 1000)
    if (tokens := request.all_tokens) is not None:
        numbers["input_tokens"] = tokens.input
        numbers["output_tokens"] = tokens.output
        if tokens.cache_read:
            numbers["cache_read_tokens"] = tokens.cache_read
        if tokens.cache_write:
            numbers["cache_write_tokens"] = tokens.cache_write
    if request.cost is not None:
        numbers["cost"] = request.cost
    return numbers


@lru_cache(_SHAPES)
def _template(*names: str) -> str:
    return "".join([f"  {name}=%s" for name in names])
