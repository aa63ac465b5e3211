"""What reaches the three sinks, and what a caller's input can't do there."""

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

from aibridged.observe.logging import configure

A_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[[A-Z]+\]  ")


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """Logging is one for the process: leave it to the next test as it was."""
    monkeypatch.setattr(logging.root, "handlers", [])
    yield
    logger.remove()


@pytest.fixture
def human(tmp_path):
    return Sink(tmp_path / "human.log", "log_human")


@pytest.fixture
def json_lines(tmp_path):
    return Sink(tmp_path / "json.log", "log_json")


@pytest.fixture
def stackdriver(tmp_path):
    return Sink(tmp_path / "stackdriver.log", "log_stackdriver")


class Sink:
    """A log file that `configure` writes as the sink of one kind."""

    def __init__(self, path, kind: str) -> None:
        self.path, self.kind = path, kind

    def configure(self, log_filter=(), verbose=False) -> None:
        places = {"log_human": "", "log_json": "", "log_stackdriver": "", self.kind: str(self.path)}
        configure(**places, log_filter=log_filter, verbose=verbose)

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def lines(self) -> list[str]:
        """What was logged, without the time."""
        return [A_LINE.sub("", line) for line in self.text().splitlines()]

    def entries(self) -> list[dict]:
        return [json.loads(line) for line in self.text().splitlines()]


def test_a_human_line_has_time_level_message_and_fields(human):
    human.configure()
    logger.bind(provider="anthropic", status=200).info("Forwarded.")
    line = human.text()
    assert A_LINE.match(line)
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


def test_a_second_configure_takes_the_place_of_the_first(human, tmp_path):
    human.configure()
    other = Sink(tmp_path / "other.log", "log_human")
    other.configure()
    logger.info("loguru")
    logging.getLogger("aiohttp").warning("standard")
    assert human.lines() == []
    assert other.lines() == ["loguru", "standard"]


def test_a_file_that_logrotate_moved_is_opened_anew(human):
    human.configure()
    logger.info("first")
    human.path.rename(human.path.with_suffix(".1"))
    logger.info("second")
    assert human.lines() == ["second"]


def test_a_place_with_braces_is_taken_as_it_is(tmp_path):
    sink = Sink(tmp_path / "{time}{x}.log", "log_human")
    sink.configure()
    logger.info("m")
    assert sink.lines() == ["m"]


def test_a_place_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        configure(str(tmp_path), "", "", [], False)


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
    assert human.lines() == []
    assert "%d format" in capsys.readouterr().err


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


@pytest.mark.parametrize("kind", ["log_human", "log_json", "log_stackdriver"])
@pytest.mark.parametrize("speaker", [logger, logging.getLogger("aiohttp.server")])
def test_a_traceback_shows_the_way_and_no_local_variable(kind, speaker, tmp_path):
    sink = Sink(tmp_path / "log", kind)
    sink.configure(verbose=True)
    try:
        fail_with_a_secret()
    except RuntimeError:
        speaker.exception("Failed.")
    text = sink.text()
    assert "in fail_with_a_secret" in text
    assert "RuntimeError: a key of 11 characters was refused" in text
    assert "canary-4711" not in text


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
