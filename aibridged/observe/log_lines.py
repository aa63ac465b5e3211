"""Log formats: human-readable, JSON Lines and Google Cloud Logging (Stackdriver).

Whatever a caller sends may end up in a message or a field, so it is escaped here: it can neither
start a line of its own nor move the terminal's cursor; and gateway tokens in it are redacted. A
traceback's lines are treated like any other text.
"""

import json
import re
import traceback
from collections.abc import Callable
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import msgspec

from aibridged.gateway_tokens import blanked
from aibridged.observe.scope import Scope
from aibridged.observe.stamps import Stamps

if TYPE_CHECKING:
    from loguru import Record

# The record gets the text under keys of its own: loguru would read braces and angle brackets in a
# template as markup, and those in the text are the caller's.
_LINE = "{rendered}\n"
_HUMAN = "{stamp} <level>[{level.name}]</level>  " + _LINE

# Google's names where they differ from loguru's.
_SEVERITIES = {"TRACE": "DEBUG", "SUCCESS": "NOTICE"}

# The same models, names and providers come again and again.
_REMEMBERED = 1024
_SHORT = 64  # characters

_splits = re.compile(r"[\s\"=]").search
_stamp = Stamps(3, local=True)


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A field that is in the message for people, and that Google has a place for."""

    method: str
    path: str
    seconds: float
    status: int | None = None
    remote: str | None = None
    user_agent: str | None = None

    def told(self) -> dict[str, str | int]:
        """The fields of a JSON line."""
        return _present(
            method=self.method, path=self.path, status=self.status, user_agent=self.user_agent
        )

    def shape(self) -> dict[str, str | int]:
        """`HttpRequest` of Google's LogEntry."""
        return _present(
            requestMethod=self.method,
            requestUrl=self.path,
            status=self.status,
            userAgent=self.user_agent,
            remoteIp=self.remote,
            latency=f"{self.seconds:.6f}s",
        )


def _present(**values: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in values.items() if value is not None}


def uncoloured(render: Callable[["Record"], str], record: "Record") -> str:
    """The formatted line, for output without loguru: `render` is one of those below."""
    if render(record) is _HUMAN:
        return f"{record['stamp']} [{record['level'].name}]  {record['rendered']}\n"  # type: ignore[typeddict-item]
    return f"{record['rendered']}\n"  # type: ignore[typeddict-item]


def human(record: "Record") -> str:
    """For people: time, level, message, key=value; a traceback's lines are indented."""
    words = [_printable(record["message"])]
    for key, value in record["extra"].items():
        kind = value.__class__
        if kind is str and len(value) <= _SHORT:
            words.append(_short_word(key, value))
        elif kind is not HttpRequest:
            words.append(f"{_key(key)}={value if kind is int else _quoted(str(value))}")
    if (scope := _scope(record)) is not None:
        words.append(f"request_id={scope.request_id}")
        if scope.interception_id is not None:
            words.append(f"interception_id={scope.interception_id}")
    line = "  ".join(words)
    if record["exception"] is not None:
        below = (f"    {_printable(each)}" for each in _traceback(record).splitlines())
        line = "\n".join((line, *below))
    own = cast(dict[str, Any], record)
    own["stamp"] = _stamp(record["time"])
    own["rendered"] = blanked(line)
    return _HUMAN


def json_line(record: "Record") -> str:
    """JSON lines with the keys of Coder's own log."""
    entry: dict[str, Any] = {
        "ts": _timestamp(record),
        "level": record["level"].name,
        "msg": record["message"],
        "caller": f"{record['name']}:{record['line']}",
        "func": record["function"],
        "logger_names": (record["name"] or "").split("."),
    }
    scope = _scope(record)
    if scope is not None and scope.span is not None:
        entry["trace_id"] = scope.span.trace_id
        entry["span_id"] = scope.span.span_id
    entry["fields"] = fields(record)
    return _encoded(record, entry, "exception")


def stackdriver(record: "Record") -> str:
    """JSON lines with the keys that Google Cloud Logging and Error Reporting look for."""
    level = record["level"].name
    entry: dict[str, Any] = {
        "severity": _SEVERITIES.get(level, level),
        "message": record["message"],
        "time": _timestamp(record),
        "logging.googleapis.com/sourceLocation": {
            "file": record["name"],
            "line": str(record["line"]),
            "function": record["function"],
        },
    }
    scope = _scope(record)
    if scope is not None and scope.span is not None:
        entry["logging.googleapis.com/trace"] = scope.span.trace_id
        entry["logging.googleapis.com/spanId"] = scope.span.span_id
    for value in record["extra"].values():
        if value.__class__ is HttpRequest:
            entry["httpRequest"] = value.shape()
    entry["fields"] = fields(record)
    return _encoded(record, entry, "stack_trace")


def _scope(record: "Record") -> Scope | None:
    return cast(Scope | None, record.get("scope"))


def fields(record: "Record") -> dict[str, Any]:
    """All fields of a line beside its message, flat."""
    told: dict[str, Any] = {}
    for key, value in record["extra"].items():
        if value.__class__ is HttpRequest:
            told |= value.told()
        else:
            told[key] = value
    if (scope := _scope(record)) is not None:
        told["request_id"] = scope.request_id
        if scope.interception_id is not None:
            told["interception_id"] = scope.interception_id
    return told


def _printable(text: str) -> str:
    """The text on one line: control, format and surrogate characters as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


_key = lru_cache(maxsize=_REMEMBERED)(_printable)


def _quoted(text: str) -> str:
    """A field's value, in quotes where it would be ambiguous."""
    if text and _splits(text) is None:
        return _printable(text)
    return _printable(json.dumps(text, ensure_ascii=False))


@lru_cache(maxsize=_REMEMBERED)
def _short_word(key: str, text: str) -> str:
    return f"{_printable(key)}={_quoted(text)}"


def _traceback(record: "Record") -> str:
    exception = record["exception"]
    if exception is None:
        return ""
    # Not loguru's own rendering: an exception's message has to be escaped like any other text.
    return "".join(traceback.format_exception(*exception))


def _timestamp(record: "Record") -> str:
    return record["time"].astimezone(UTC).isoformat(timespec="microseconds")


def _encoded(record: "Record", entry: dict[str, Any], traceback_key: str) -> str:
    if text := _traceback(record):
        entry[traceback_key] = text
    # ASCII only, so that lone surrogates (bytes of a header that aren't UTF-8) can be written.
    cast(dict[str, Any], record)["rendered"] = blanked(json.dumps(entry, default=str))
    return _LINE
