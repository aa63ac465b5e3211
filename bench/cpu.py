"""CPU time of a process."""

import subprocess
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, user and system, in seconds.

    Linux reports it in nanoseconds; elsewhere `ps` does, on macOS in hundredths of a second.
    """
    tasks = Path(f"/proc/{pid}/task")
    if tasks.is_dir():
        stats = [(task / "schedstat").read_text(encoding="ascii") for task in tasks.iterdir()]
        return sum(int(stat.split()[0]) for stat in stats) / 1e9
    shown = subprocess.run(
        ["ps", "-o", "time=", "-p", str(pid)], check=True, capture_output=True, text=True
    )
    return parse_ps_time(shown.stdout)


def tree_seconds(pid: int) -> float:
    """CPU time of a process and of its descendants, in seconds; only Linux tells whose they are."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text(encoding="ascii").split()
    ]
    return cpu_seconds(pid) + sum(tree_seconds(child) for child in children)


def parse_ps_time(shown: str) -> float:
    """The seconds in `[[dd-]hh:]mm:ss[.cc]`, as `ps` shows a time."""
    days, _, clock = shown.strip().rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return int(days or 0) * 86_400 + seconds
