"""Memory of the process, and what is available to it: the machine's, or the cgroup's limit."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from aibridged.config.options import Settings
from aibridged.daemon.cgroups import CGROUPS, MEMBERSHIP, folders

_FILES = {1: "memory.limit_in_bytes", 2: "memory.max"}

SHARE_OF_BODIES = 4
"""The default share of memory for bodies: some exist twice while they are changed."""

_PAGES = Path("/proc/self/statm")


def available_memory(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """In bytes. `cgroups` is their mount point, `membership` the file that names the process's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, *_limits(cgroups, membership), machine)


def body_bytes(settings: Settings, workers: int) -> int:
    """The bytes that the bodies of requests in flight may take in this one of the workers."""
    most = settings.max_inflight_bytes
    if most is None:
        most = available_memory() // SHARE_OF_BODIES
    elif workers == 1:
        return most
    return max(most // workers, settings.max_request_bytes)


def resident_memory() -> int:
    """In bytes; 0 where the system doesn't say."""
    try:
        return int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _limits(cgroups: Path, membership: Path) -> Iterator[int]:
    """The limits of the process's cgroup and of its parents."""
    for folder, version in folders("memory", cgroups, membership):
        with suppress(OSError, ValueError):
            yield int((folder / _FILES[version]).read_text())
