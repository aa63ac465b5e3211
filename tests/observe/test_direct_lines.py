"""The lines of requests, which look as if loguru had written them."""

import re

import msgspec
import pytest
from loguru import logger

from aibridged.observe.direct_lines import DIRECT
from aibridged.observe.events import request_finished
from aibridged.observe.log_outputs import LOST, Loss
from aibridged.observe.logging import configure
from aibridged.observe.request_summary import RequestOutcome, RequestSummary
from aibridged.observe.scope import SCOPE, Scope

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
