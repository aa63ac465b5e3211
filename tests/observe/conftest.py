"""Log files of one kind, and logging that a test leaves as it found it."""

import json
import logging
import re

import pytest
from loguru import logger

from aibridged.observe.log_outputs import finish
from aibridged.observe.logging import configure

A_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[[A-Z]+\]  ")


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """Logging is one for the process: leave it to the next test as it was."""
    monkeypatch.setattr(logging.root, "handlers", [])
    yield
    logger.remove()


@pytest.fixture
def sink(tmp_path):
    """Makes log files of a kind: `sink("json")`, with a name if there are several."""
    return lambda kind, name="log": Sink(tmp_path / f"{name}.{kind}", f"log_{kind}")


@pytest.fixture
def human(sink):
    return sink("human")


@pytest.fixture
def json_lines(sink):
    return sink("json")


@pytest.fixture
def stackdriver(sink):
    return sink("stackdriver")


class Sink:
    """A log file that `configure` writes as the sink of one kind."""

    def __init__(self, path, kind: str) -> None:
        self.path, self.kind = path, kind

    def configure(self, log_filter=(), verbose=False) -> None:
        places = {"log_human": "", "log_json": "", "log_stackdriver": "", self.kind: str(self.path)}
        configure(**places, log_filter=log_filter, verbose=verbose)

    def text(self) -> str:
        finish(10)  # on a busy machine a line may have taken long, and be left to a thread
        return self.path.read_text(encoding="utf-8")

    def lines(self) -> list[str]:
        """What was logged, without the time."""
        return [A_LINE.sub("", line) for line in self.text().splitlines()]

    def entries(self) -> list[dict]:
        return [json.loads(line) for line in self.text().splitlines()]
