import errno
import os
import socket
import subprocess
import sys

import pytest
from loguru import logger

from aibridged.observe.descriptors import MOST, Shortages, in_use, is_shortage

RAISING = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from aibridged.observe.descriptors import limit, raise_limit
print(limit(), raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.fixture
def lines():
    """What is logged."""
    lines = []
    sink = logger.add(lines.append, format="{message}", level=0)
    yield lines
    logger.remove(sink)


def os_error(number):
    return OSError(number, os.strerror(number))


def caused_by(cause):
    error = RuntimeError("something else")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("soft", "hard"), [(64, 128), (128, 128)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft, hard):
    said = subprocess.run(
        [sys.executable, "-c", RAISING, str(soft), str(hard)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == f"{soft} {hard} {hard} {hard}\n"
    assert hard < MOST


def test_descriptors_in_use_are_counted():
    before = in_use()
    with socket.socket(), socket.socket():
        assert in_use() == before + 2
    assert in_use() == before > 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL])
def test_what_the_system_runs_out_of_is_ours(number):
    assert is_shortage(os_error(number))
    assert is_shortage(caused_by(caused_by(os_error(number))))


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ENETUNREACH, errno.ECONNRESET])
def test_what_the_other_end_does_is_not(number):
    assert not is_shortage(os_error(number))
    assert not is_shortage(caused_by(os_error(number)))


def test_a_circle_of_causes_ends():
    error = RuntimeError()
    assert not is_shortage(caused_by(error))
    error.__cause__ = error
    assert not is_shortage(error)


def test_a_resolver_may_fail_for_want_of_a_descriptor(no_descriptor_left):
    no_answer = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert not is_shortage(no_answer)
    assert not is_shortage(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert is_shortage(socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"))
    with no_descriptor_left():
        assert is_shortage(no_answer)


def test_shortages_are_counted_and_told_of_now_and_then(clock, lines):
    shortages = Shortages(clock)
    for _ in range(100):
        shortages.no_place()
        shortages.system_refused("providers", os_error(errno.EMFILE))
    assert len(lines) == 1
    clock.advance(10)
    shortages.system_refused("providers", os_error(errno.EMFILE))
    assert shortages.counts == {"clients": 100, "providers": 101}
    assert (
        "Out of file descriptors, ports or buffers for providers: Too many open files" in lines[1]
    )
