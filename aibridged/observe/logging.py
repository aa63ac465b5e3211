"""Logging setup: three sinks, as in `coder server` (see `log_lines` for the formats).

Everything logs through loguru; the standard library's loggers are routed into it. Fields are bound
(`logger.bind(provider="anthropic").info("...")`): they become key=value for people and fields in
JSON; events that are counted or searched for by their fields have a function in `events`. Each line
of a request gets its ids. Tracebacks contain no local variables, because these hold keys.
"""

import io
import logging
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from loguru import logger

from aibridged.config.resolution import StartError
from aibridged.observe.direct_lines import DIRECT, Output
from aibridged.observe.log_lines import (
    Render,
    fields,
    human,
    human_in_colour,
    in_loguru,
    json_line,
    stackdriver,
)
from aibridged.observe.log_outputs import LogFile, LogOutput, LogStream, Loss, count_lost
from aibridged.observe.scope import SCOPE, Scope

if TYPE_CHECKING:
    from loguru import Message, Record


class CannotLogError(StartError):
    """A log output can't be used; the message says why."""


_Place = TextIO | LogOutput

_STANDARD_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


def configure(
    log_human: str,
    log_json: str,
    log_stackdriver: str,
    log_filter: Sequence[str],
    verbose: bool,
    *,
    trace_logs: bool = False,
) -> None:
    """Send log lines to the named outputs from now on, and nowhere else.

    An output is a file, which is appended to, or /dev/stderr or /dev/stdout; "" is none. Lines of
    level info and up are logged. `verbose` adds all debug lines; `log_filter` adds those whose
    logger's name or message one of these regexes matches (and with both, only these). With
    `trace_logs` a request's lines are events of its spans, too.

    Raises CannotLogError where a file can't be opened and re.error where a regex is malformed; the
    outputs then stay as they were.
    """
    pattern = re.compile("|".join(f"(?:{regex})" for regex in log_filter)) if log_filter else None
    level = logging.DEBUG if verbose or pattern else logging.INFO
    options: dict[str, Any] = {"level": level, "backtrace": False, "diagnose": False}
    if pattern is not None:
        options["filter"] = _wanted(pattern)
    places = ((log_human, human), (log_json, json_line), (log_stackdriver, stackdriver))
    with ExitStack() as opened:
        outputs = [(_open(place, opened), render) for place, render in places if place]
        opened.pop_all()
    DIRECT.to(())
    logger.remove()
    logger.configure(patcher=_name_request)
    for (output, in_color), render in outputs:
        template = human_in_colour if in_color and render is human else in_loguru(render)
        logger.add(cast(TextIO, output), format=_safe(template), colorize=in_color, **options)
    if trace_logs:
        logger.add(_add_to_span, format="{message}", **options)
    else:
        DIRECT.to(_direct(outputs))
    logging.basicConfig(handlers=[_StandardLogging()], level=level, force=True)
    # It logs at every start, at level info, which classes it is about to use.
    logging.getLogger("alembic").setLevel(level if level < logging.INFO else logging.WARNING)


def name_worker(worker: str) -> None:
    """Have each line of this process say which of several workers it is."""
    own = {"worker": worker}
    logger.configure(extra=own)
    DIRECT.own_fields = own


def _direct(outputs: Sequence[tuple[tuple[_Place, bool], Render]]) -> Sequence[Output]:
    """All of the outputs, if each can be written to without loguru: none is coloured."""
    direct = [
        (output, render)
        for (output, in_colour), render in outputs
        if isinstance(output, LogOutput) and not in_colour
    ]
    return direct if len(direct) == len(outputs) else []


def _safe(template: Render) -> Render:
    """As `template`, but "" if that fails: loguru would print the record on standard error."""

    def safe(record: "Record") -> str:
        try:
            return template(record)
        except Exception:  # noqa: BLE001 - a log line must not fail a request
            count_lost(Loss.UNFORMATTABLE)
            return ""

    return safe


def _wanted(pattern: re.Pattern[str]) -> Callable[["Record"], bool]:
    def wanted(record: "Record") -> bool:
        if record["level"].no > logging.DEBUG:
            return True
        return bool(pattern.search(record["name"] or "") or pattern.search(record["message"]))

    return wanted


def _open(place: str, opened: ExitStack) -> tuple[_Place, bool]:
    """The stream or file, and whether it is coloured; `opened` closes it."""
    streams: dict[str, TextIO] = {"/dev/stderr": sys.stderr, "/dev/stdout": sys.stdout}
    stream = streams.get(place)
    if stream is None:
        try:
            file = LogFile(place)
        except OSError as error:
            raise CannotLogError(
                f"{place} can't be opened for logging: {error.strerror}.",
                "Choose a file that this user may write to, or /dev/stderr.",
            ) from None
        opened.callback(file.stop)
        return file, False
    try:
        output = LogStream(stream, place)
    except io.UnsupportedOperation:  # something in this process has replaced the stream
        return stream, stream.isatty()
    opened.callback(output.stop)
    return output, stream.isatty()


def _name_request(record: "Record") -> None:
    """Add the ids of the current request, if there is one."""
    scope = SCOPE.get()
    if scope is not None and scope.request_id:
        cast(dict[str, Any], record)["scope"] = scope


def _add_to_span(message: "Message") -> None:
    record = message.record
    scope = cast(Scope | None, record.get("scope"))
    if scope is not None and scope.span is not None:
        with suppress(Exception):  # as in `_safe`
            scope.span.event(record["message"], {"level": record["level"].name, **fields(record)})


class _StandardLogging(logging.Handler):
    """Passes the records of the standard library's loggers to loguru, with their origin."""

    def emit(self, record: logging.LogRecord) -> None:
        def originate(ours: "Record") -> None:
            ours["name"] = record.name
            ours["function"] = record.funcName
            ours["line"] = record.lineno

        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - wrong arguments raise anything
            # Not handleError, which prints the arguments on standard error.
            logger.patch(originate).error(
                "A log message could not be formatted: {}", type(error).__name__
            )
            return
        level: str | int = record.levelname
        if level not in _STANDARD_LEVELS:
            level = record.levelno
        logger.patch(originate).opt(exception=record.exc_info).log(level, message)
