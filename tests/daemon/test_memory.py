"""The memory that the process may use, of its machine or of a cgroup's limit."""

import os
from pathlib import Path

import pytest

from aibridged.daemon.memory import available_memory, resident_memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MIB = 1024 * 1024


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/", {}, MACHINE),
        ("0::/", {"memory.max": "max\n"}, MACHINE),
        ("0::/", {"memory.max": f"{512 * MIB}\n"}, 512 * MIB),
        ("0::/a/b", {"a/memory.max": f"{9 * MIB}", "a/b/memory.max": "max"}, 9 * MIB),
        ("0::/a/b", {"a/memory.max": f"{9 * MIB}", "a/b/memory.max": f"{8 * MIB}"}, 8 * MIB),
        # In a container the path is the host's, and the root the container's.
        ("0::/kubepods/pod1/c", {"memory.max": f"{256 * MIB}"}, 256 * MIB),
        ("5:cpu,memory:/x\n4:pids:/x", {"memory/x/memory.limit_in_bytes": f"{7 * MIB}"}, 7 * MIB),
        ("5:memory:/x", {"memory/x/memory.limit_in_bytes": str(2**63 - 4096)}, MACHINE),
        ("nonsense", {"memory.max": f"{7 * MIB}"}, MACHINE),
    ],
)
def test_limits(tmp_path: Path, membership: str, limits: dict[str, str], expected: int) -> None:
    write(tmp_path / "membership", membership)
    for name, text in limits.items():
        write(tmp_path / "cgroups" / name, text)
    assert available_memory(tmp_path / "cgroups", tmp_path / "membership") == expected


def test_without_cgroups_it_is_the_machines(tmp_path: Path) -> None:
    assert available_memory(tmp_path, tmp_path / "none") == MACHINE


def test_the_process_is_resident() -> None:
    assert MIB < resident_memory() < MACHINE
