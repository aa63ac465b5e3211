"""The lines of requests, which look as if loguru had written them."""

import os
import re

import msgspec
import pytest
from loguru import logger

from aibridged.observe.direct_lines import DIRECT
from aibridged.observe.events import request_finished
from aibridged.observe.log_outputs import LOST, Loss, reopen
from aibridged.observe.logging import configure
from aibridged.observe.request_summary import RequestOutcome, RequestSummary
from aibridged.observe.scope import SCOPE, Scope
from tests.waiting import until

REQUEST = RequestSummary(
    request_id="r1",
    outcome=RequestOutcome.COMPLETED,
    method="POST",
    path="/anthropic/v1/messages",
    began=1.0,
    ended=2.5,
    status=200,
    username="ann \u001b[31m",
    provider="anthropic",
)


class Unprintable:
    def __str__(self):
        raise ValueError


REFUSED = RequestSummary(
    request_id="r2",
    outcome=RequestOutcome.REJECTED,
    method="GET",
    path="/*",
    began=1.0,
    ended=1.0,
    status=503,
    reason="at_capacity",
    remote="192.0.2.1",
)
# What no two lines have in common: when, and where in the source.
DIFFERS = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+(\+00:00)?|events:\d+|\"line\": \"\d+\"")


@pytest.fixture
def through_loguru(monkeypatch):
    """Told again, by loguru."""

    def told(*requests):
        with monkeypatch.context() as patched:
            patched.setattr(DIRECT, "_outputs", ())
            for request in requests:
                request_finished(request)

    return told


@pytest.fixture
def _in_a_request():
    scope = Scope("r1")
    scope.interception_id = "i1"
    token = SCOPE.set(scope)
    yield
    SCOPE.reset(token)


@pytest.mark.parametrize("kind", ["human", "json", "stackdriver"])
@pytest.mark.usefixtures("_in_a_request")
def test_they_look_like_all_others(sink, through_loguru, kind, monkeypatch):
    log = sink(kind)
    log.configure()
    with monkeypatch.context() as patched:
        patched.setattr(logger, "bind", None)  # loguru has no part in it
        request_finished(REQUEST)
        request_finished(REFUSED)
    through_loguru(REQUEST, REFUSED)
    lines = [DIFFERS.sub("", line) for line in log.text().splitlines()]
    assert len(lines) == 4
    assert lines[:2] == lines[2:]
    assert "i1" in lines[0]


def test_they_go_to_all_places(human, json_lines, stackdriver):
    configure(str(human.path), str(json_lines.path), str(stackdriver.path), [], False)
    request_finished(REQUEST)
    for log in (human, json_lines, stackdriver):
        assert len(log.text().splitlines()) == 1


@pytest.mark.usefixtures("_in_a_request")
def test_out_of_a_request_they_have_no_ids(human):
    human.configure()
    SCOPE.get().leave()
    request_finished(REQUEST)
    assert "request_id" not in human.text()


def test_what_is_logged_to_no_more_gets_none(human, sink, capfd):
    human.configure()
    other = sink("human", "other")
    other.configure()
    request_finished(REQUEST)
    assert human.text() == ""
    assert len(other.lines()) == 1
    logger.remove()
    request_finished(REQUEST)
    assert len(other.lines()) == 1


def test_a_terminal_gets_colours_from_loguru(monkeypatch, capfd):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    configure("/dev/stderr", "", "", [], False)
    request_finished(REQUEST)
    assert "\x1b[1m[INFO]" in capfd.readouterr().err


def test_where_nothing_more_fits_the_line_is_lost_and_not_shown(capfd):
    configure("/dev/full", "", "", [], False)
    request_finished(REQUEST)
    request_finished(REQUEST)
    _, err = capfd.readouterr()
    assert err == (
        "aibridged: log lines are being lost: /dev/full can't be written: No space left on device\n"
    )


def test_one_that_cannot_be_formatted_is_counted(human, capfd):
    human.configure()
    lost = LOST[Loss.UNFORMATTABLE]
    request_finished(msgspec.structs.replace(REQUEST, provider=Unprintable()))
    assert LOST[Loss.UNFORMATTABLE] == lost + 1
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def writes(monkeypatch):
    """What is written to files, by each call."""
    written, write = [], os.write

    def noted(descriptor, data):
        written.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr("aibridged.observe.log_outputs.os.write", noted)
    return written


async def test_lines_that_come_together_are_written_together(human, writes, monkeypatch):
    human.configure()
    monkeypatch.setattr(DIRECT, "_last_at", float("-inf"))  # another test's line
    for _ in range(5):
        request_finished(REQUEST)
    assert [data.count(b"\n") for data in writes] == [1]
    await until(lambda: len(writes) == 2)
    assert [data.count(b"\n") for data in writes] == [1, 4]


async def test_lines_stay_in_order_and_whole(human, writes):
    human.configure()
    for _ in range(20):
        request_finished(REQUEST)
    logger.info("Another line")
    assert all(data.endswith(b"\n") and len(data) <= 4096 for data in writes)
    lines = human.lines()
    assert len(lines) == 21
    assert lines[-1] == "Another line"


async def test_what_was_gathered_is_written_before_the_output_changes(human, sink):
    human.configure()
    request_finished(REQUEST)
    request_finished(REQUEST)
    sink("human", "other").configure()
    assert len(human.path.read_text(encoding="utf-8").splitlines()) == 2


async def test_a_rotated_file_gets_what_was_gathered_before(human):
    human.configure()
    request_finished(REQUEST)
    request_finished(REQUEST)
    rotated = human.path.rename(human.path.with_suffix(".1"))
    reopen()
    assert len(rotated.read_text(encoding="utf-8").splitlines()) == 2
