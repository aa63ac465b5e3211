"""Processes, as Linux lists them."""

from collections.abc import Iterator
from pathlib import Path


def children(pid: int) -> list[int]:
    """The ids of a process's children, the oldest first."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def with_variable(name: str, value: str) -> Iterator[int]:
    """The ids of the processes that were begun with this variable."""
    wanted = f"{name}={value}".encode()
    for each in Path("/proc").glob("[0-9]*"):
        try:
            variables = (each / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            continue
        if wanted in variables:
            yield int(each.name)
