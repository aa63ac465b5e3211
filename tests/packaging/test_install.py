"""The wheel, the source archive, and what `make install` puts where."""

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import aibridged
from aibridged.config import render

COMPLETIONS = {
    "share/bash-completion/completions/aibridged": "aibridged.bash",
    "share/zsh/site-functions/_aibridged": "_aibridged",
    "share/fish/vendor_completions.d/aibridged.fish": "aibridged.fish",
}
UNITS = ("aibridged.service", "aibridged.socket", "aibridged-proxy.socket")


def shared(root: Path) -> dict[str, bytes]:
    """What an installation has below its prefix beside the package, as the source tree has it."""
    pages = {f"share/man/man{page.suffix[1:]}/{page.name}": page for page in root.glob("man/*")}
    completions = {place: root / "completions" / name for place, name in COMPLETIONS.items()}
    units = {f"lib/systemd/system/{name}": root / "packaging/systemd" / name for name in UNITS}
    assert len(pages) > 10
    return {place: file.read_bytes() for place, file in (pages | completions | units).items()}


def test_the_wheel_has_the_package_and_all_that_goes_beside_it(built, root):
    with zipfile.ZipFile(built.wheel) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist()}
    prefix = f"aibridged-{aibridged.__version__}"
    data = f"{prefix}.data/data/"
    beside = {name.removeprefix(data): text for name, text in files.items() if data in name}
    assert beside == shared(root)
    package = {name for name in files if not name.startswith(prefix)}
    assert package == {
        path.relative_to(root).as_posix()
        for path in (root / "aibridged").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert b"aibridged = aibridged.cli:main" in files[f"{prefix}.dist-info/entry_points.txt"]


def test_the_source_archive_has_what_the_makefile_and_the_tests_need(built):
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for name in (
        "Makefile",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        ".ci/run",
        "aibridged/py.typed",
        "docs/architecture.md",
        "completions/aibridged.bash",
        "man/aibridged.1",
        "packaging/constraints.txt",
        "packaging/docker/Dockerfile",
        "packaging/hatch_build.py",
        "packaging/kubernetes/config.yaml",
        "packaging/systemd/aibridged.env",
        "tests/conftest.py",
    ):
        assert name in names


def test_a_package_has_everything_where_systems_look(built, root):
    usr = built.stage / "usr"
    for place, content in shared(root).items():
        assert (usr / place).read_bytes() == content
    [package] = usr.glob("lib/python3*/*-packages/aibridged")
    said = subprocess.run(
        [usr / "bin" / "aibridged", "version"],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith(f"aibridged {aibridged.__version__} ")
    # Nothing of anybody else's, and nothing elsewhere.
    assert {path.name for path in package.parent.iterdir()} == {
        "aibridged",
        f"aibridged-{aibridged.__version__}.dist-info",
    }
    assert {path.name for path in built.stage.iterdir()} == {"usr", "etc"}


def test_a_configuration_to_start_from_is_there_and_is_never_overwritten(built, install):
    etc = built.stage / "etc" / "aibridged"
    yaml, env, credentials = (
        etc / name for name in ("aibridged.yaml", "aibridged.env", "credentials")
    )
    assert yaml.read_text(encoding="utf-8") == render.sample_yaml()
    assert [f"{path.stat().st_mode & 0o777:o}" for path in (yaml, env, credentials)] == [
        "644",
        "600",
        "700",
    ]
    for path in (yaml, env, credentials / "anthropic-key"):
        path.write_text("mine\n", encoding="utf-8")
    install("--old-file=dist")
    for path in (yaml, env, credentials / "anthropic-key"):
        assert path.read_text(encoding="utf-8") == "mine\n"
