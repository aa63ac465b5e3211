"""Which lines reach which sink, from loguru and from the standard library's loggers."""

import io
import json
import logging
import os
import re
import sys

import pytest
from loguru import logger

from aibridged.observe.logging import CannotLogError, configure
from aibridged.observe.scope import SCOPE, Scope


def test_every_sink_gets_every_line(tmp_path):
    places = [tmp_path / name for name in ("human", "json", "stackdriver")]
    configure(*map(str, places), log_filter=[], verbose=False)
    logger.bind(n=1).info("m")
    human, json_line, stackdriver = (place.read_text() for place in places)
    assert human.endswith("[INFO]  m  n=1\n")
    # What is rendered for one sink shows in no other.
    assert json.loads(json_line)["fields"] == {"n": 1}
    assert json.loads(stackdriver)["fields"] == {"n": 1}


def test_standard_streams_are_places(capsys):
    configure("/dev/stderr", "/dev/stdout", "", [], False)
    logger.info("m")
    out, err = capsys.readouterr()
    assert err.endswith("[INFO]  m\n")
    assert json.loads(out)["msg"] == "m"


def test_all_off_is_silence(capfd):
    configure("", "", "", [], True)
    logger.error("m")
    logging.getLogger("aiohttp").error("m")
    assert capfd.readouterr() == ("", "")


def test_a_file_is_appended_to(human):
    human.path.write_text("before\n")
    human.configure()
    logger.info("after")
    assert human.lines() == ["before", "after"]


def test_a_second_configure_takes_the_place_of_the_first(human, sink):
    human.configure()
    other = sink("human", "other")
    other.configure()
    logger.info("loguru")
    logging.getLogger("aiohttp").warning("standard")
    assert human.lines() == []
    assert other.lines() == ["loguru", "standard"]


def test_a_place_with_braces_is_taken_as_it_is(sink):
    braces = sink("human", "{time}{x}")
    braces.configure()
    logger.info("m")
    assert braces.lines() == ["m"]


def test_a_place_that_cannot_be_opened_is_an_error_and_changes_nothing(human, sink, tmp_path):
    human.configure()
    other = sink("json", "other")
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(CannotLogError, match=re.escape(f"{tmp_path} can't be opened")):
        configure(str(tmp_path), str(other.path), "", [], False)
    with pytest.raises(CannotLogError):
        configure("", str(other.path), str(tmp_path), [], True)
    assert os.listdir("/proc/self/fd") == descriptors
    logger.info("m")
    logger.debug("nobody asked for it")
    assert human.lines() == ["m"]
    assert other.text() == ""


def test_a_malformed_filter_is_an_error(human):
    with pytest.raises(re.error):
        human.configure(log_filter=["("])


def log_one_of_each() -> None:
    logger.info("info line")
    logger.debug("debug line")
    logger.trace("trace line")
    logging.getLogger("aiohttp.server").debug("served")
    logging.getLogger("aiohttp.server").info("serving")


@pytest.mark.parametrize(
    ("log_filter", "verbose", "shown"),
    [
        ([], False, ["info line", "serving"]),
        ([], True, ["info line", "debug line", "served", "serving"]),
        ([".*"], False, ["info line", "debug line", "served", "serving"]),
        (["bug l"], False, ["info line", "debug line", "serving"]),
        # The logger's name is looked at too.
        ([r"^aiohttp\."], False, ["info line", "served", "serving"]),
        (["nothing", "served"], False, ["info line", "served", "serving"]),
        # A filter narrows what --verbose shows, and never hides what isn't debug.
        (["nothing"], True, ["info line", "serving"]),
    ],
)
def test_which_lines_are_shown(log_filter, verbose, shown, human):
    human.configure(log_filter, verbose)
    log_one_of_each()
    assert human.lines() == shown


LIBRARIES = (
    "aiohttp.server",
    "alembic.runtime.migration",
    "asyncio",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "sqlalchemy.engine.Engine",
)


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_libraries_say_goes_the_same_way(name, human):
    human.configure()
    logging.getLogger(name).warning("careful")
    assert human.lines() == ["careful"]


def test_the_standard_librarys_loggers_are_routed_with_their_origin(json_lines):
    json_lines.configure()
    logging.getLogger("aiohttp.access").warning("%s said {x} <y>", "peer")
    [entry] = json_lines.entries()
    assert (entry["level"], entry["msg"]) == ("WARNING", "peer said {x} <y>")
    assert entry["logger_names"] == ["aiohttp", "access"]
    assert entry["caller"].startswith("aiohttp.access:")
    assert entry["func"] == "test_the_standard_librarys_loggers_are_routed_with_their_origin"


def test_a_level_of_ones_own_is_kept_as_a_number(json_lines):
    json_lines.configure()
    logging.getLogger("some").log(35, "m")
    assert json_lines.entries()[0]["level"] == "Level 35"


def test_wrong_arguments_of_a_log_call_raise_nothing(human, capsys):
    human.configure()
    logging.getLogger("some").error("%d", "no number")
    assert human.lines() == ["A log message could not be formatted: TypeError"]
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "coloured"), [(Terminal(), True), (io.StringIO(), False)])
def test_only_a_terminal_gets_colours(stream, coloured, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    configure("/dev/stderr", "", "", [], False)
    logger.info("m <red>x</red>")
    assert ("\x1b[" in stream.getvalue()) is coloured
    assert "m <red>x</red>" in stream.getvalue()


class Span:
    """One that only remembers what happened."""

    def __init__(self):
        self.events = []

    def event(self, name, attributes):
        self.events.append((name, attributes))


@pytest.fixture
def scope():
    """The scope of a request that is served."""
    scope = Scope("r-1")
    token = SCOPE.set(scope)
    yield scope
    SCOPE.reset(token)


def test_every_line_of_a_request_has_its_ids(scope, human):
    human.configure()
    logger.bind(n=1).info("before")
    scope.interception_id = "i-1"
    logging.getLogger("aiohttp").warning("after")
    assert human.lines() == [
        "before  n=1  request_id=r-1",
        "after  request_id=r-1  interception_id=i-1",
    ]


def test_what_outlives_a_request_doesnt_speak_in_its_name(scope, human):
    human.configure()
    scope.interception_id = "i-1"
    scope.leave()
    logger.info("later")
    assert human.lines() == ["later"]


def test_lines_are_events_of_the_span_if_that_is_wanted(scope, tmp_path):
    scope.span = span = Span()
    configure("", "", "", [], False, trace_logs=True)
    logger.bind(n=1).info("m {}", "x")
    logger.debug("too little")
    assert span.events == [("m x", {"level": "INFO", "n": 1, "request_id": "r-1"})]
    configure("", "", "", [], False)
    logger.info("m")
    assert len(span.events) == 1


def test_without_a_span_there_are_no_events(scope, human):
    configure(str(human.path), "", "", [], False, trace_logs=True)
    logger.info("m")
    assert human.lines() == ["m  request_id=r-1"]
