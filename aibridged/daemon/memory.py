"""Memory of the process, and what is available to it: the machine's, or the cgroup's limit."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_PAGES = Path("/proc/self/statm")


def available_memory(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """In bytes. `cgroups` is their mount point, `membership` the file that names the process's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, *_limits(cgroups, membership), machine)


def resident_memory() -> int:
    """In bytes; 0 where the system doesn't say."""
    try:
        return int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _limits(cgroups: Path, membership: Path) -> Iterator[int]:
    """The limits of the process's cgroup and of its parents, of either version."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "none", "")
        if controllers == "":
            yield from _upwards(cgroups, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _upwards(cgroups / "memory", path, "memory.limit_in_bytes")


def _upwards(root: Path, path: str, file: str) -> Iterator[int]:
    here = root / path.lstrip("/")
    # In a container the path may be the host's: then the root is the container's own.
    for folder in (here, *here.parents):
        with suppress(OSError, ValueError):
            yield int((folder / file).read_text())
        if folder == root:
            break
