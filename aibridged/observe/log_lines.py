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
from typing import TYPE_CHECKING, Any

import msgspec

from aibridged.gateway_tokens import blanked
from aibridged.observe.remembered import Remembered
from aibridged.observe.scope import Scope
from aibridged.observe.stamps import Stamps

if TYPE_CHECKING:
    from loguru import Record

Render = Callable[["Record"], str]
"""Makes the whole line of a record."""

# Google's names where they differ from loguru's.
_SEVERITIES = {"TRACE": "DEBUG", "SUCCESS": "NOTICE"}

_MOST_KEYS = 1024

_as_json = json.JSONEncoder(default=str).encode
_splits = re.compile(r"[\s\"=]").search
_stamp = Stamps(3, local=True)


class Several(msgspec.Struct, frozen=True, gc=False):
    """A field that stands for several of a request's."""

    def words(self) -> str:
        """For people, each behind two blanks; "" where the message says it all."""
        return ""

    def told(self) -> dict[str, Any]:
        """The fields of a JSON line."""
        raise NotImplementedError

    def shape(self) -> dict[str, str | int]:
        """`HttpRequest` of Google's LogEntry."""
        raise NotImplementedError


class HttpRequest(Several, frozen=True, kw_only=True, gc=False):
    """A field that is in the message for people, and that Google has a place for."""

    method: str
    path: str
    seconds: float
    status: int | None = None
    remote: str | None = None
    user_agent: str | None = None

    def told(self) -> dict[str, Any]:
        return _present(
            method=self.method, path=self.path, status=self.status, user_agent=self.user_agent
        )

    def shape(self) -> dict[str, str | int]:
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


def human(record: "Record") -> str:
    """For people: time, level, message, key=value; a traceback's lines are indented."""
    return f"{_stamp(record['time'])} [{record['level'].name}]  {_said(record)}\n"


def human_in_colour(record: "Record") -> str:
    """The same as a template of loguru's, which colours the level."""
    own: dict[str, Any] = record  # type: ignore[assignment]
    own["stamp"] = _stamp(record["time"])
    own["rendered"] = _said(record)
    return "{stamp} <level>[{level.name}]</level>  {rendered}\n"


def in_loguru(render: Render) -> Render:
    """Makes a template of loguru's of the line."""

    # The record gets the text under a key of its own: loguru would read braces and angle brackets
    # in a template as markup, and those in the text are the caller's.
    def template(record: "Record") -> str:
        record["rendered"] = render(record)  # type: ignore[typeddict-unknown-key]
        return "{rendered}"

    return template


def _said(record: "Record") -> str:
    line = _printable(record["message"])
    for key, value in record["extra"].items():
        line += word(key, value)
    if (scope := _scope(record)) is not None:
        line += f"  request_id={scope.request_id}"
        if scope.interception_id is not None:
            line += f"  interception_id={scope.interception_id}"
    if record["exception"] is not None:
        below = (f"    {_printable(each)}" for each in _traceback(record).splitlines())
        line = "\n".join((line, *below))
    return blanked(line)


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
        if isinstance(value, Several):
            entry["httpRequest"] = value.shape()
    entry["fields"] = fields(record)
    return _encoded(record, entry, "stack_trace")


def _scope(record: "Record") -> Scope | None:
    return record.get("scope")  # type: ignore[return-value]


def fields(record: "Record") -> dict[str, Any]:
    """All fields of a line beside its message, flat."""
    told: dict[str, Any] = {}
    for key, value in record["extra"].items():
        if isinstance(value, Several):
            told |= value.told()
        else:
            told[key] = value
    if (scope := _scope(record)) is not None:
        told["request_id"] = scope.request_id
        if scope.interception_id is not None:
            told["interception_id"] = scope.interception_id
    return told


def word(key: str, value: Any) -> str:
    """A field for people, behind two blanks."""
    kind = value.__class__
    if kind is str:
        return _WORDS[key, value]
    if kind is int:
        return f"  {_key(key)}={value}"
    if isinstance(value, Several):
        return value.words()
    return _rendered(key, str(value))


def _printable(text: str) -> str:
    """The text on one line: control, format and surrogate characters as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


_key = lru_cache(maxsize=_MOST_KEYS)(_printable)


def _quoted(text: str) -> str:
    """A field's value, in quotes where it would be ambiguous."""
    if text and _splits(text) is None:
        return _printable(text)
    return _printable(json.dumps(text, ensure_ascii=False))


def _rendered(key: str, text: str) -> str:
    return f"  {_printable(key)}={_quoted(text)}"


# The same models, names and providers come again and again.
_WORDS = Remembered(_rendered)


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
    return f"{blanked(_as_json(entry))}\n"
