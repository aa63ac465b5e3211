"""Where log lines go and what they look like: three sinks, as `coder server` has them.

Everything logs through loguru; what the standard library's loggers say is routed into it. Fields
are bound (`logger.bind(provider="anthropic").info("...")`): they become key=value for people and
fields in JSON. Whatever a caller sends may end up in a message or a field, so a sink escapes it:
it can neither start a line of its own nor move the terminal's cursor. Tracebacks name no local
variables, because these hold keys.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any, TextIO, cast

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

# The record gets the text under this key of its own: loguru would read braces and angle brackets
# in a template as markup, and those in the text are the caller's.
_LINE = "{rendered}\n"
_HUMAN = "{time:YYYY-MM-DD HH:mm:ss.SSS} <level>[{level.name}]</level>  " + _LINE

# Google's names where they differ from loguru's.
_SEVERITIES = {"TRACE": "DEBUG", "SUCCESS": "NOTICE"}


def configure(
    log_human: str, log_json: str, log_stackdriver: str, log_filter: Sequence[str], verbose: bool
) -> None:
    """Send log lines to the named places from now on, and nowhere else.

    A place is a file, which is appended to, or /dev/stderr or /dev/stdout; "" is none. Lines of
    level info and up are logged. `verbose` adds all debug lines; `log_filter` adds those whose
    logger's name or message one of these regexes matches (and with both, only these).

    Raises OSError where a file can't be opened and re.error where a regex is malformed.
    """
    pattern = re.compile("|".join(f"(?:{regex})" for regex in log_filter)) if log_filter else None
    level = logging.DEBUG if verbose or pattern else logging.INFO
    logger.remove()
    for place, render in ((log_human, _human), (log_json, _json), (log_stackdriver, _stackdriver)):
        if place:
            _add_sink(place, render, level, pattern)
    logging.basicConfig(handlers=[_StandardLogging()], level=level, force=True)
    # It tells at every start, at level info, which classes it is about to use.
    logging.getLogger("alembic").setLevel(level if level < logging.INFO else logging.WARNING)


def _add_sink(
    place: str, render: Callable[["Record"], str], level: int, pattern: re.Pattern[str] | None
) -> None:
    def wanted(record: "Record") -> bool:
        if pattern is None or record["level"].no > logging.DEBUG:
            return True
        return bool(pattern.search(record["name"] or "") or pattern.search(record["message"]))

    streams: dict[str, TextIO] = {"/dev/stderr": sys.stderr, "/dev/stdout": sys.stdout}
    options: dict[str, Any] = {
        "format": render,
        "level": level,
        "filter": wanted,
        "backtrace": False,
        "diagnose": False,
    }
    if stream := streams.get(place):
        logger.add(stream, colorize=stream.isatty(), **options)
    else:
        # loguru reads a path as a template too. A file is watched, as logrotate may move it away.
        logger.add(place.replace("{", "{{").replace("}", "}}"), watch=True, **options)


class _StandardLogging(logging.Handler):
    """Hands the records of the standard library's loggers to loguru, with their origin."""

    def emit(self, record: logging.LogRecord) -> None:
        def originate(ours: "Record") -> None:
            ours["name"] = record.name
            ours["function"] = record.funcName
            ours["line"] = record.lineno

        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - wrong arguments raise anything; logging never does
            self.handleError(record)
            return
        level: str | int = record.levelname
        if level not in _STANDARD_LEVELS:
            level = record.levelno
        logger.patch(originate).opt(exception=record.exc_info).log(level, message)


_STANDARD_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


def _human(record: "Record") -> str:
    """For people: time, level, message, key=value; a traceback's lines are indented."""
    words = [_printable(record["message"])]
    words += [f"{_printable(key)}={_quoted(value)}" for key, value in record["extra"].items()]
    lines = ["  ".join(words)]
    lines += [f"    {_printable(line)}" for line in _traceback(record).splitlines()]
    return _rendered(record, "\n".join(lines), _HUMAN)


def _json(record: "Record") -> str:
    """JSON lines with the keys of Coder's own log."""
    entry: dict[str, Any] = {
        "ts": _timestamp(record),
        "level": record["level"].name,
        "msg": record["message"],
        "caller": f"{record['name']}:{record['line']}",
        "func": record["function"],
        "logger_names": (record["name"] or "").split("."),
        "fields": record["extra"],
    }
    if text := _traceback(record):
        entry["exception"] = text
    return _rendered(record, _encode(entry), _LINE)


def _stackdriver(record: "Record") -> str:
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
        "fields": record["extra"],
    }
    if text := _traceback(record):
        entry["stack_trace"] = text
    return _rendered(record, _encode(entry), _LINE)


def _rendered(record: "Record", text: str, template: str) -> str:
    """Give loguru the text beside the template, never inside it."""
    cast(dict[str, Any], record)["rendered"] = text
    return template


def _printable(text: str) -> str:
    """The text on one line: control, format and surrogate characters as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _quoted(value: object) -> str:
    """A field's value, in quotes where it could be taken for more than one."""
    text = str(value)
    if text and not re.search(r"[\s\"=]", text):
        return _printable(text)
    return _printable(json.dumps(text, ensure_ascii=False))


def _traceback(record: "Record") -> str:
    exception = record["exception"]
    if exception is None:
        return ""
    # Not loguru's own rendering: the message of an exception is to be escaped like any other text.
    return "".join(traceback.format_exception(*exception))


def _timestamp(record: "Record") -> str:
    return record["time"].astimezone(UTC).isoformat(timespec="microseconds")


def _encode(entry: dict[str, Any]) -> str:
    # Plain ASCII, so that lone surrogates (bytes of a header that are no UTF-8) can be written.
    return json.dumps(entry, default=str)
