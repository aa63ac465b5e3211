"""Dumps on a disk that is full, or too slow."""

import resource
import threading

import pytest
from loguru import logger

from aibridged.pipeline.dump_writer import DumpWriter


class Dump:
    def __init__(self, path, size=1000):
        self.path = path
        self.size = size

    def files(self):
        return {".req.txt": b"q" * (self.size // 2), ".resp.txt": b"p" * self.size}


@pytest.fixture
def disk():
    """Limits how large a file can become: `disk(700)`; None is no limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[0] if size is None else size, before[1]))

    yield limit
    limit(None)


@pytest.fixture
def said():
    lines = []
    handler = logger.add(lambda line: lines.append(line.record["message"]), level="WARNING")
    yield lines
    logger.remove(handler)


def test_a_full_disk_leaves_no_file_and_is_told_of_once(tmp_path, disk, said):
    writer = DumpWriter()
    disk(700)  # there is room for the request, and for a part of the response
    for number in range(5):
        writer.put(Dump(tmp_path / "provider" / f"d{number}"))
    writer.finish(10)
    assert list((tmp_path / "provider").iterdir()) == []
    disk(None)
    writer.put(Dump(tmp_path / "provider" / "d5"))
    writer.finish(10)
    assert sorted(path.name for path in (tmp_path / "provider").iterdir()) == [
        "d5.req.txt",
        "d5.resp.txt",
    ]
    assert said == [
        f"Failed to dump a request to {tmp_path}/provider/d0: File too large",
        "Requests are dumped again: 5 were not",
    ]


def test_a_dump_is_dropped_where_no_thread_can_be_started(tmp_path, said):
    writer = DumpWriter()
    before = threading.stack_size(1 << 46)  # more than there is room for
    try:
        writer.put(Dump(tmp_path / "provider" / "d0"))
    finally:
        threading.stack_size(before)
    writer.put(Dump(tmp_path / "provider" / "d1"))
    writer.finish(10)
    assert {path.name[:2] for path in (tmp_path / "provider").iterdir()} == {"d1"}
    assert said == [f"Failed to dump a request to {tmp_path}/provider/d0: no thread can be started"]


def test_what_waits_has_a_bound(tmp_path, said):
    writer = DumpWriter(most_bytes=1000)
    writer.put(Dump(tmp_path / "provider" / "large", 1001))
    writer.finish(10)
    assert said == [
        f"Failed to dump a request to {tmp_path}/provider/large: too many wait to be written"
    ]


def test_a_dump_that_cannot_be_made_keeps_no_other_from_being_written(tmp_path, said):
    class Broken(Dump):
        def files(self):
            raise ValueError("canary")

    writer = DumpWriter()
    writer.put(Broken(tmp_path / "provider" / "broken"))
    writer.put(Dump(tmp_path / "provider" / "whole"))
    writer.finish(10)
    assert len(list((tmp_path / "provider").iterdir())) == 2
    assert said == [f"Failed to dump a request to {tmp_path}/provider/broken: ValueError"]
