"""Log files that are moved away, and streams whose reader is stuck."""

import os
import threading

import pytest
from loguru import logger

from aibridged.observe.log_outputs import BACKLOG_BYTES, LogFile, LogStream, reopen
from aibridged.observe.logging import configure

LINE = "x" * 99 + "\n"


def test_a_file_that_was_moved_is_written_on_until_it_is_opened_anew(human):
    human.configure()
    logger.info("first")
    rotated = human.path.rename(human.path.with_suffix(".1"))
    logger.info("second")
    reopen()
    logger.info("third")
    assert [line.split()[-1] for line in rotated.read_text().splitlines()] == ["first", "second"]
    assert human.lines() == ["Reopened the log files", "third"]


def test_a_file_that_cannot_be_opened_anew_is_written_on(human, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    configure(str(folder / "log"), str(human.path), "", [], False)
    moved = folder.rename(tmp_path / "moved")
    reopen()
    logger.info("after")
    text = (moved / "log").read_text()
    assert f"Failed to reopen {folder}/log, keeping the old file: No such file" in text
    assert text.endswith("after\n")


def test_a_file_that_is_no_longer_logged_to_is_not_opened_anew(human, sink):
    human.configure()
    sink("human", "other").configure()
    human.path.unlink()
    reopen()
    assert not human.path.exists()


def test_a_files_descriptor_is_closed_with_it(tmp_path):
    file = LogFile(str(tmp_path / "log"))
    before = len(os.listdir("/proc/self/fd"))
    file.stop()
    assert len(os.listdir("/proc/self/fd")) == before - 1


@pytest.fixture
def pipe():
    """A pipe's reading end, and its writing end as a stream."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w", encoding="utf-8") as writer:
        yield reader, writer


def wait_for_the_log_thread():
    for thread in threading.enumerate():
        if thread.name == "log":
            thread.join(10)
            assert not thread.is_alive()


def test_a_stream_is_written_to_at_once(pipe):
    reader, writer = pipe
    LogStream(writer).write(LINE)
    assert os.read(reader.fileno(), 1000) == LINE.encode()
    assert not any(thread.name == "log" for thread in threading.enumerate())


def test_a_reader_that_is_behind_holds_nobody_up_and_gets_all_in_order(pipe):
    reader, writer = pipe
    stream = LogStream(writer)
    lines = [f"{number:07}{'x' * number}\n" for number in range(1000)]
    for line in lines:  # more than a pipe holds
        stream.write(line)
    got = b""
    expected = "".join(lines).encode()
    while len(got) < len(expected):
        got += os.read(reader.fileno(), 65536)
    assert got == expected
    wait_for_the_log_thread()
    stream.write(LINE)
    assert os.read(reader.fileno(), 1000) == LINE.encode()


@pytest.mark.parametrize("blocking", [True, False])
def test_what_is_too_much_to_keep_is_lost_and_counted(pipe, human, blocking):
    human.configure()
    reader, writer = pipe
    os.set_blocking(writer.fileno(), blocking)
    stream = LogStream(writer)
    lines = 2 * BACKLOG_BYTES // len(LINE)
    for _ in range(lines):
        stream.write(LINE)
    os.set_blocking(reader.fileno(), False)
    got = 0
    while any(thread.name == "log" for thread in threading.enumerate()):
        got += len(reader.read() or b"")
    got += len(reader.read() or b"")
    assert got % len(LINE) == 0
    assert got > BACKLOG_BYTES
    lost = lines - got // len(LINE)
    assert human.lines() == [f"{lost} log lines were lost: the reader of the log was too slow"]


def test_a_reader_that_is_gone_troubles_nobody(capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as writer:
        LogStream(writer).write(LINE)
    assert capfd.readouterr() == ("", "")


def test_a_reader_that_goes_while_it_is_behind_troubles_nobody(pipe, capfd):
    reader, writer = pipe
    stream = LogStream(writer)
    for _ in range(1000):
        stream.write(LINE)
    reader.close()
    wait_for_the_log_thread()
    stream.write(LINE)
    assert capfd.readouterr() == ("", "")


def test_a_character_that_the_stream_lacks_is_escaped():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader:
        with os.fdopen(writing, "w", encoding="ascii") as writer:
            LogStream(writer).write("ü\n")
        assert reader.read() == b"\\xfc\n"
