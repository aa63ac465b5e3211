"""Processes, as Linux lists them."""

from pathlib import Path


def children(pid: int) -> list[int]:
    """The ids of a process's children, the oldest first."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
