import fcntl
import os
import struct

import pytest

from aibridged.core.rate_limit import MAX_CALLERS
from aibridged.limits.region import CALLERS, MAX_WORKERS, SESSION_CONTENT, Layout, Region, make

MIB = 1 << 20


def test_the_memory_is_bounded_and_has_a_fixed_size():
    assert Layout(MAX_WORKERS).size < 48 * MIB
    assert CALLERS >= MAX_CALLERS
    fd = make(2)
    try:
        size = os.fstat(fd).st_size
        assert size == Layout(2).size
        for other in (size - 4096, size + 4096):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, other)
        assert os.fstat(fd).st_blocks * 512 < 64 * 1024, "pages are taken when they are used"
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    finally:
        os.close(fd)


def test_no_two_areas_overlap():
    layout = Layout(5)
    areas = [layout.locks, layout.slots]
    for each in vars(layout).values():
        if hasattr(each, "records"):
            areas += [each.keys, each.records]
    ends = 4096
    for area in sorted(areas, key=lambda area: area.offset):
        assert area.offset >= ends
        assert area.size % 8 == area.offset % 64 == 0
        ends = area.offset + area.size * area.count
    assert ends <= layout.size


@pytest.mark.parametrize("workers", [0, MAX_WORKERS + 1])
def test_there_is_a_most_of_workers(workers):
    with pytest.raises(ValueError, match="workers"):
        make(workers)


def test_what_is_not_such_a_memory_is_refused():
    fd = os.memfd_create("other")
    os.ftruncate(fd, 4 * MIB)
    try:
        with pytest.raises(ValueError, match="shared limits"):
            Region(fd)
    finally:
        os.close(fd)


def test_a_content_that_is_half_written_is_not_there(region):
    cell = region.layout.sessions.records.offset + 16
    assert region.content(cell, SESSION_CONTENT)[0] == 0
    for text in (b"first", b"second"):
        switch, at = region.next_content(cell, SESSION_CONTENT)
        region.bytes[at : at + len(text)] = text
        region.words[cell // 8] = switch
    switch, at = region.next_content(cell, SESSION_CONTENT)
    region.bytes[at : at + 3] = b"thi"  # and then its writer is killed
    _, at = region.content(cell, SESSION_CONTENT)
    assert region.bytes[at : at + 6] == b"second"


def test_a_content_that_is_overwritten_while_it_is_read_is_read_again(region):
    cell, layout = region.layout.circuits.records.offset + 8, struct.Struct("QQ")

    def store(value: int) -> None:
        switch, at = region.next_content(cell, layout.size)
        layout.pack_into(region.bytes, at, value, value)
        region.words[cell // 8] = switch

    class Preempted:
        """Reads late: one has stored, and another has cleared what it will write to."""

        size, reads = layout.size, 0

        def unpack_from(self, memory: bytes, at: int) -> tuple[int, int]:
            self.reads += 1
            if self.reads == 1:
                store(2)
                region.bytes[at : at + self.size] = bytes(self.size)
            return layout.unpack_from(memory, at)

    assert region.read(cell, layout) is None
    store(1)
    assert region.read(cell, Preempted()) == (2, 2)
