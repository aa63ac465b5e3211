import platform
import subprocess
import sys

import pytest

MIB = 1024 * 1024
# Bodies of tens of MiB come and go, with something small that stays behind each of them.
PROGRAM = """
import sys
from aibridged.daemon.malloc import return_freed_memory
if sys.argv[1] == "given":
    assert return_freed_memory()

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

bytes(31 << 20)
before = resident()
bodies, small = [], []
for _ in range(20):
    bodies.append(b"x" * (10 << 20))
    small.append(b"y" * 2000)
bodies.clear()
print(resident() - before)
"""


def kept(how: str) -> int:
    """How many bytes a process still has of 200 MiB that it has freed."""
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return int(said.stdout)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have their own way"
)
def test_memory_of_large_bodies_is_given_back():
    assert kept("given") < 10 * MIB
    assert kept("as it is") > 40 * MIB  # or there is nothing to mend any more
