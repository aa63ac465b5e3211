"""Log files that are moved away, and streams whose reader is stuck."""

import os
import resource
import threading

import pytest
from loguru import logger

from aibridged.observe import log_outputs
from aibridged.observe.log_outputs import (
    BACKLOG_BYTES,
    LOST,
    LogFile,
    LogStream,
    Loss,
    finish,
    reopen,
    show,
)
from aibridged.observe.logging import configure
from tests.observe.conftest import A_LINE

LINE = "x" * 99 + "\n"
PROMPT = "canary-prompt " * 10


@pytest.fixture(autouse=True)
def _nothing_lost_before(monkeypatch):
    for loss in Loss:
        monkeypatch.setitem(LOST, loss, 0)


@pytest.fixture
def disk():
    """A disk on which files have room for so many bytes: `disk(1000)`; None is no limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        soft = before[0] if size is None else size
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, before[1]))

    yield limit
    limit(None)


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


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
    LogStream(writer, "the pipe").write(LINE)
    assert os.read(reader.fileno(), 1000) == LINE.encode()
    assert not any(thread.name == "log" for thread in threading.enumerate())


def test_a_reader_that_is_behind_holds_nobody_up_and_gets_all_in_order(pipe):
    reader, writer = pipe
    stream = LogStream(writer, "the pipe")
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
    stream = LogStream(writer, "the pipe")
    lines = 2 * BACKLOG_BYTES // len(LINE)
    for _ in range(lines):
        stream.write(LINE)
    os.set_blocking(reader.fileno(), False)
    got = 0
    while any(thread.name == "log" for thread in threading.enumerate()):
        got += len(reader.read() or b"")
    wait_for_the_log_thread()
    got += len(reader.read() or b"")
    assert got % len(LINE) == 0
    assert got > BACKLOG_BYTES
    lost = lines - got // len(LINE)
    assert human.lines() == [
        f"{lost} log lines were lost: the pipe could not be written: it takes lines too slowly"
    ]
    assert LOST[Loss.TOO_SLOW] == lost


def test_a_reader_that_is_gone_troubles_nobody(capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as writer:
        LogStream(writer, "the pipe").write(LINE)
    assert capfd.readouterr() == ("", "")


def test_a_reader_that_goes_while_it_is_behind_troubles_nobody(pipe, capfd):
    reader, writer = pipe
    stream = LogStream(writer, "the pipe")
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
            stream = LogStream(writer, "the pipe")
            stream.write("ü\n")
            stream.stop()
        assert reader.read() == b"\\xfc\n"


@pytest.fixture
def large(human):
    """A log that is so long already that on a disk with no more room other files have some."""
    human.path.write_text("-\n" * 50_000)
    human.configure()
    return human


def test_a_full_disk_shows_nothing_of_the_lines_and_says_so_once(large, disk, capfd):
    human = large
    disk(human.path.stat().st_size + 30)
    for number in range(1000):
        logger.bind(prompt=PROMPT).info("{} {}", number, PROMPT)
    assert LOST[Loss.UNWRITABLE] == 1000
    out, err = capfd.readouterr()
    assert out == ""
    assert (
        err
        == f"aibridged: log lines are being lost: {human.path} can't be written: File too large\n"
    )


def test_after_a_torn_line_the_next_one_begins_a_line_and_the_loss_is_told(large, disk):
    human = large
    disk(human.path.stat().st_size + 30)
    logger.info("torn {}", PROMPT)
    disk(None)
    logger.info("after")
    wait_for_the_log_thread()
    *_, before, torn, after, told = human.text().splitlines()
    assert (before, len(torn)) == ("-", 30)
    assert [A_LINE.sub("", line) for line in (after, told)] == [
        "after",
        f"1 log lines were lost: {human.path} could not be written: File too large",
    ]


def test_a_disk_that_is_now_full_and_now_not_is_told_of_once_a_minute(large, disk, capfd):
    human = large
    for _ in range(5):
        disk(human.path.stat().st_size)
        logger.info("lost")
        disk(None)
        logger.info("written")
        wait_for_the_log_thread()
    assert capfd.readouterr().err.count("\n") == 1
    assert human.text().count("were lost") == 1
    assert LOST[Loss.UNWRITABLE] == 5


def test_a_file_that_another_process_left_torn_is_gone_on_with_in_a_line_of_its_own(human):
    human.path.write_text("half a li")
    human.configure()
    logger.info("whole")
    assert human.lines() == ["half a li", "whole"]
    human.path.unlink()
    human.path.write_text("half again")
    reopen()
    assert human.lines() == ["half again", "Reopened the log files"]


def test_the_loss_is_reported_between_the_lines_on_standard_error(pipe, monkeypatch, capfd):
    """And not at all where standard error itself is what can't be written."""
    reader, writer = pipe
    monkeypatch.setattr(log_outputs, "_STDERR", writer.fileno())
    stderr = LogStream(writer, "/dev/stderr")
    stderr.write("first\n")
    full = LogFile("/dev/full")
    full.write(LINE)
    full.stop()
    said = "aibridged: log lines are being lost: /dev/full can't be written: No space left"
    assert os.read(reader.fileno(), 1000).decode().startswith(f"first\n{said}")
    lines = 2 * BACKLOG_BYTES // len(LINE)
    for _ in range(lines):
        stderr.write(LINE)
    stderr.stop()
    writer.close()
    assert set(reader.read().splitlines()) == {LINE.encode().rstrip()}
    assert capfd.readouterr() == ("", "")


def test_a_line_that_cannot_be_formatted_is_counted_and_not_shown(human, capfd, monkeypatch):
    class Spiteful:
        def __str__(self):
            raise ValueError(PROMPT)

    human.configure()
    logger.bind(field=Spiteful()).info(PROMPT)
    assert human.text() == ""
    assert capfd.readouterr() == ("", "")
    assert LOST[Loss.UNFORMATTABLE] == 1


def test_a_named_pipe_that_nobody_reads_is_opened_and_holds_nobody_up(fifo, capfd):
    file = LogFile(fifo)
    lines = 2 * BACKLOG_BYTES // len(LINE)
    for _ in range(lines):
        file.write(LINE)
    assert LOST[Loss.TOO_SLOW] > lines // 3
    assert "x" not in capfd.readouterr().err.replace(fifo, "")
    with open(fifo, "rb") as reader:
        for _ in range(lines - LOST[Loss.TOO_SLOW]):
            assert reader.readline() == LINE.encode()
    wait_for_the_log_thread()
    file.stop()


def test_the_last_lines_are_waited_for_within_a_bound(fifo, capfd):
    file = LogFile(fifo)
    for _ in range(1000):  # more than a pipe holds
        file.write(LINE)
    finish(0.01)
    assert 0 < LOST[Loss.TOO_SLOW] < 1000
    assert capfd.readouterr().err.count("are being lost") == 1
    with open(fifo, "rb") as reader:
        for _ in range(1000):
            reader.readline()
    wait_for_the_log_thread()
    file.stop()


def test_what_is_kept_is_written_before_the_output_is_closed(pipe):
    reader, writer = pipe
    stream = LogStream(writer, "the pipe")
    for _ in range(1000):
        stream.write(LINE)
    stream.stop()
    writer.close()
    assert reader.read() == LINE.encode() * 1000  # to the end: nobody can write any more


def test_what_is_shown_holds_nobody_up_either(pipe):
    reader, writer = pipe
    show(LINE * 10_000, writer)
    writer.close()
    assert reader.read() == LINE.encode() * 10_000


def test_a_slow_disk_is_left_to_a_thread(tmp_path, monkeypatch):
    """Here each second call of the clock is a second later."""
    file = LogFile(str(tmp_path / "log"))
    seconds = iter(range(100))
    writers = []
    write = os.write

    def noted(descriptor, data):
        writers.append(threading.current_thread().name)
        return write(descriptor, data)

    monkeypatch.setattr(log_outputs, "_monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("aibridged.observe.log_outputs.os.write", noted)
    file.write(LINE)
    file.write(LINE)
    wait_for_the_log_thread()
    assert writers == ["MainThread", "log"]
    for _ in range(10):  # seconds
        next(seconds)
    file.write(LINE)
    assert writers == ["MainThread", "log", "MainThread"]
    assert (tmp_path / "log").read_text() == LINE * 3


def test_who_logs_never_waits_for_another_thread_that_writes(tmp_path, monkeypatch):
    file = LogFile(str(tmp_path / "log"))
    stuck, go_on = threading.Event(), threading.Event()
    write = os.write

    def hang(descriptor, data):
        if threading.current_thread().name == "hangs":
            stuck.set()
            go_on.wait(10)
        return write(descriptor, data)

    monkeypatch.setattr("aibridged.observe.log_outputs.os.write", hang)
    thread = threading.Thread(target=file.write, args=("first\n",), name="hangs")
    thread.start()
    assert stuck.wait(10)
    file.write("second\n")
    go_on.set()
    thread.join()
    wait_for_the_log_thread()
    assert (tmp_path / "log").read_text() == "first\nsecond\n"
