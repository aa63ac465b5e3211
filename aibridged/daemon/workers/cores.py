"""Cores that the process may use: its CPU affinity, and the quotas of its cgroups."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from aibridged.config.kinds import MAX_WORKERS
from aibridged.daemon.cgroups import CGROUPS, MEMBERSHIP, folders


def usable_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """From 1 to `MAX_WORKERS`. A quota of 2.5 cores counts as 3, so that all of it can be used.

    `cgroups` is their mount point, `membership` the file that names the process's.
    """
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, MAX_WORKERS, *_quotas(cgroups, membership)))


def _quotas(cgroups: Path, membership: Path) -> Iterator[int]:
    for folder, version in folders("cpu", cgroups, membership):
        # Without a quota it is "max", or -1.
        with suppress(OSError, ValueError, ZeroDivisionError):
            if version == 2:
                quota, period = map(int, (folder / "cpu.max").read_text().split())
            else:
                quota = int((folder / "cpu.cfs_quota_us").read_text())
                period = int((folder / "cpu.cfs_period_us").read_text())
            if quota > 0:
                yield math.ceil(quota / period)
