"""`aibridged sample-config` prints a file that the daemon takes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_sample_is_a_good_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "aibridged.yaml"
    shown = run("sample-config")
    assert shown.stdout.startswith("# Settings of aibridged.")
    file.write_text(shown.stdout, encoding="utf-8")
    assert run("check-config", "--config", str(file)).returncode == 0
