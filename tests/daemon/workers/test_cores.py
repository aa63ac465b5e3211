"""The cores that the process may use: its affinity, and the quotas of its cgroups."""

import os
from pathlib import Path

import pytest

from aibridged.config.kinds import MAX_WORKERS
from aibridged.daemon.workers.cores import usable_cores
from aibridged.limits import region

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/", {}, ALL),
        ("0::/a", {"a/cpu.max": "max 100000"}, ALL),
        ("0::/a", {"a/cpu.max": "100000 100000"}, 1),
        ("0::/a/b", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/a", {"a/cpu.max": "9900000 100000"}, ALL),
        ("0::/a", {"a/cpu.max": "nonsense"}, ALL),
        (
            "3:cpu,cpuacct:/a",
            {"cpu/a/cpu.cfs_quota_us": "20000", "cpu/a/cpu.cfs_period_us": "100000"},
            1,
        ),
        (
            "3:cpu:/a",
            {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
            ALL,
        ),
    ],
)
def test_quotas(tmp_path: Path, membership: str, files: dict[str, str], expected: int) -> None:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "cgroups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert usable_cores(tmp_path / "cgroups", tmp_path / "membership") == expected


def test_a_quota_of_a_core_and_a_half_counts_as_two(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    (tmp_path / "membership").write_text("0::/")
    (tmp_path / "cpu.max").write_text("150000 100000")
    assert usable_cores(tmp_path, tmp_path / "membership") == 2


def test_there_are_no_more_workers_than_can_share_limits(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(192))
    assert usable_cores(tmp_path, tmp_path / "none") == MAX_WORKERS == region.MAX_WORKERS
