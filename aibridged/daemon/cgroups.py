"""The control groups of the process, of either version."""

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def folders(controller: str, cgroups: Path, membership: Path) -> Iterator[tuple[Path, int]]:
    """The folders of the process's cgroup and of its parents, with the version (1 or 2).

    `cgroups` is their mount point, `membership` the file that names the process's.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "none", "")
        if controllers == "":
            yield from ((folder, 2) for folder in _upwards(cgroups, path))
        elif controller in controllers.split(","):
            yield from ((folder, 1) for folder in _upwards(cgroups / controller, path))


def _upwards(root: Path, path: str) -> Iterator[Path]:
    here = root / path.lstrip("/")
    # In a container the path may be the host's: then the root is the container's own.
    for folder in (here, *here.parents):
        yield folder
        if folder == root:
            break
