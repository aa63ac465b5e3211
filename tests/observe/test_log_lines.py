"""What lines look like in the three sinks, and what a caller's input can't do there."""

import io
import json
import logging
import re
import sys
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from loguru import logger

from aibridged.observe.log_lines import HttpRequest
from aibridged.observe.logging import configure
from aibridged.observe.scope import SCOPE, Scope


def test_a_human_line_has_time_level_message_and_fields(human):
    human.configure()
    logger.bind(provider="anthropic", status=200).info("Forwarded.")
    line = human.text()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[INFO\]  ", line)
    assert line[24:] == "[INFO]  Forwarded.  provider=anthropic  status=200\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("ünï", "ünï"),
        (None, "None"),
        (0.5, "0.5"),
    ],
)
def test_a_field_that_could_be_taken_for_two_is_quoted(value, shown, human):
    human.configure()
    logger.bind(field=value).info("m")
    assert human.lines() == [f"m  field={shown}"]


def test_no_line_shows_the_secret_of_a_token(human, json_lines):
    secret = "s" * 43
    for sink in (human, json_lines):
        sink.configure()
        token = f"aib_0123456789_{secret}"
        request = HttpRequest(method="GET", path="/x", seconds=1.0, user_agent=f"me ({token})")
        logger.bind(model=token, cut=token[:-9], **{token: 1}, http=request).info(f"It is {token}")
        try:
            raise RuntimeError(token)
        except RuntimeError:
            logger.exception("A bug")
        assert "aib_0123456789_***" in sink.text()
        assert secret[:9] not in sink.text()


def test_a_json_line_has_coders_keys(json_lines):
    json_lines.configure()
    logger.bind(provider="anthropic", status=200).info("Forwarded.")
    [entry] = json_lines.entries()
    assert list(entry) == ["ts", "level", "msg", "caller", "func", "logger_names", "fields"]
    assert datetime.fromisoformat(entry["ts"]).utcoffset() == timedelta(0)
    assert (entry["level"], entry["msg"]) == ("INFO", "Forwarded.")
    assert entry["func"] == "test_a_json_line_has_coders_keys"
    assert entry["logger_names"] == __name__.split(".")
    assert re.fullmatch(re.escape(__name__) + r":\d+", entry["caller"])
    assert entry["fields"] == {"provider": "anthropic", "status": 200}


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        ("DEBUG", "DEBUG"),
        ("INFO", "INFO"),
        ("SUCCESS", "NOTICE"),
        ("WARNING", "WARNING"),
        ("ERROR", "ERROR"),
        ("CRITICAL", "CRITICAL"),
    ],
)
def test_a_stackdriver_line_has_googles_keys(level, severity, stackdriver):
    stackdriver.configure(verbose=True)
    logger.bind(status=200).log(level, "Forwarded.")
    [entry] = stackdriver.entries()
    assert (entry["severity"], entry["message"]) == (severity, "Forwarded.")
    assert datetime.fromisoformat(entry["time"]).utcoffset() == timedelta(0)
    assert entry["logging.googleapis.com/sourceLocation"]["file"] == __name__
    assert entry["fields"] == {"status": 200}


def test_fields_never_overwrite_what_is_the_loggers_own(json_lines, stackdriver):
    for sink in (json_lines, stackdriver):
        sink.configure()
        logger.bind(level="forged", severity="forged", msg="forged", message="forged").info("m")
    assert (json_lines.entries()[0]["level"], json_lines.entries()[0]["msg"]) == ("INFO", "m")
    [entry] = stackdriver.entries()
    assert (entry["severity"], entry["message"]) == ("INFO", "m")


def test_a_value_that_json_lacks_is_written_as_text(json_lines):
    json_lines.configure()
    logger.bind(error=ValueError("no"), kinds={"a"}).info("m")
    assert json_lines.entries()[0]["fields"] == {"error": "no", "kinds": "{'a'}"}


FORGED = "x\n2026-01-01 00:00:00.000 [INFO]  forged"


def test_no_message_or_field_forges_a_line(human):
    human.configure()
    logger.info(FORGED)
    logger.bind(path=FORGED).info("m")
    logger.bind(**{FORGED: 1}).info("m")
    logging.getLogger("aiohttp").info("%s", FORGED)
    escaped = r"x\n2026-01-01 00:00:00.000 [INFO]  forged"
    assert human.lines() == [escaped, f'm  path="{escaped}"', f"m  {escaped}=1", escaped]


@pytest.mark.parametrize("char", ["\r", "\x1b", "\x9b", "\u2028", "\x85", "\u202e", "\udc80", "\0"])
def test_no_character_reaches_a_terminal_that_it_would_obey(char, human):
    human.configure()
    logger.bind(field=char).info(char)
    [line] = human.lines()
    assert line.isprintable()
    assert line.count("\\") == 2


def test_an_exceptions_message_forges_no_line(human):
    human.configure()
    try:
        raise ValueError(FORGED + "\x1b[31m")
    except ValueError:
        logger.exception("Failed.")
    first, *rest = human.lines()
    assert first == "Failed."
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert any("2026-01-01 00:00:00.000 [INFO]  forged" in line for line in rest)


@limits(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.text(), value=st.text())
def test_any_text_is_one_line_in_every_sink(message, value, monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    configure("/dev/stderr", "/dev/stdout", "/dev/stdout", [], False)
    logger.bind(value=value).info(message)
    assert err.getvalue()[:-1].isprintable()
    assert err.getvalue().endswith("\n")
    as_json, as_stackdriver = map(json.loads, out.getvalue().splitlines())
    assert as_json["msg"] == as_stackdriver["message"] == message
    assert as_json["fields"] == as_stackdriver["fields"] == {"value": value}


def fail_with_a_secret() -> None:
    key = "".join(["canary", "-", "4711"])
    raise RuntimeError(f"a key of {len(key)} characters was refused")


@pytest.mark.parametrize("kind", ["human", "json", "stackdriver"])
@pytest.mark.parametrize("speaker", [logger, logging.getLogger("aiohttp.server")])
def test_a_traceback_shows_the_way_and_no_local_variable(kind, speaker, sink):
    log = sink(kind)
    log.configure(verbose=True)
    try:
        fail_with_a_secret()
    except RuntimeError:
        speaker.exception("Failed.")
    text = log.text()
    assert "in fail_with_a_secret" in text
    assert "RuntimeError: a key of 11 characters was refused" in text
    assert "canary-4711" not in text


REQUEST = HttpRequest(
    method="POST",
    path="/anthropic/v1/messages",
    seconds=1.25,
    status=200,
    remote="192.0.2.1",
    user_agent="curl/8",
)


def test_a_request_is_told_by_the_message_to_people_and_by_fields_to_programs(
    human, json_lines, stackdriver
):
    for sink in (human, json_lines, stackdriver):
        sink.configure()
        logger.bind(http=REQUEST, n=1).info("m")
    assert human.lines() == ["m  n=1"]
    told = {
        "method": "POST",
        "path": "/anthropic/v1/messages",
        "status": 200,
        "user_agent": "curl/8",
        "n": 1,
    }
    assert json_lines.entries()[0]["fields"] == told
    [entry] = stackdriver.entries()
    assert entry["fields"] == told
    assert entry["httpRequest"] == {
        "requestMethod": "POST",
        "requestUrl": "/anthropic/v1/messages",
        "status": 200,
        "userAgent": "curl/8",
        "remoteIp": "192.0.2.1",
        "latency": "1.250000s",
    }


def test_what_isnt_known_of_a_request_is_left_out(json_lines, stackdriver):
    request = HttpRequest(method="GET", path="*", seconds=0.0)
    for sink in (json_lines, stackdriver):
        sink.configure()
        logger.bind(http=request).info("m")
    assert json_lines.entries()[0]["fields"] == {"method": "GET", "path": "*"}
    assert stackdriver.entries()[0]["httpRequest"] == {
        "requestMethod": "GET",
        "requestUrl": "*",
        "latency": "0.000000s",
    }


class Span:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_programs_are_told_where_in_a_trace_a_line_belongs(human, json_lines, stackdriver):
    scope = Scope("r-1")
    scope.span = Span()
    token = SCOPE.set(scope)
    for sink in (human, json_lines, stackdriver):
        sink.configure()
        logger.info("m")
    SCOPE.reset(token)
    assert human.lines() == ["m  request_id=r-1"]
    [entry] = json_lines.entries()
    assert (entry["trace_id"], entry["span_id"]) == (Span.trace_id, Span.span_id)
    assert entry["fields"] == {"request_id": "r-1"}
    [entry] = stackdriver.entries()
    assert entry["logging.googleapis.com/trace"] == Span.trace_id
    assert entry["logging.googleapis.com/spanId"] == Span.span_id
