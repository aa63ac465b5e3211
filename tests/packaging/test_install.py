"""The wheel, the source archive, and what `make install` puts where."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import aibridged
from aibridged.config import render

pytestmark = pytest.mark.drill

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
    commit = files.get("aibridged/commit.txt", b"").decode().strip()
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", commit) or not (root / ".git").exists()
    assert package - {"aibridged/commit.txt"} == {
        path.relative_to(root).as_posix()
        for path in (root / "aibridged").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert b"aibridged = aibridged.__main__:main" in files[f"{prefix}.dist-info/entry_points.txt"]


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
        "packaging/install",
        "packaging/requirements.txt",
        "packaging/kubernetes/config.yaml",
        "packaging/systemd/aibridged.env",
        "tests/conftest.py",
    ):
        assert name in names


def test_a_package_has_everything_where_systems_look(built, root):
    usr = built.stage / "usr"
    for place, content in shared(root).items():
        found = (usr / place).read_bytes()
        if place.endswith(".service"):
            assert b"\nExecStart=/usr/bin/aibridged serve\n" in found
            assert b"/etc/aibridged/credentials" in found
        else:
            assert found == content
    [package] = usr.glob("lib/python3*/*-packages/aibridged")
    said = subprocess.run(
        [usr / "bin" / "aibridged", "version"],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith(f"aibridged {aibridged.__version__} (")
    assert ("commit " in said.stdout) == (root / ".git").exists()
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


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def python(tmp_path) -> Path:
    """A Python whose environments have a pip that takes what is installed here already."""
    program = tmp_path / "python"
    here = json.dumps([path for path in sys.path if path.endswith("site-packages")])
    program.write_text(
        "#!/bin/sh\n"
        f'for last; do :; done; "{sys.executable}" "$@" && '
        f"printf '%s\\n' '{here}' | tr -d '[]\" ' | tr , '\\n' "
        '> "$(echo "$last"/lib/python3*/site-packages)/here.pth"\n'
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def in_prefix(built, root, python, tmp_path):
    """Runs packaging/install with a prefix of its own, without an index."""
    requirements = tmp_path / "source" / "packaging"
    shutil.copytree(root / "packaging", requirements)
    (requirements / "requirements.txt").write_text("")
    prefix = tmp_path / "own"

    def run(what: str) -> None:
        arguments = [prefix, prefix / "etc"]
        if what == "install":
            arguments = [python, built.wheel, *arguments]
        subprocess.run(
            [requirements / "install", what, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            # Without what pip asks for its version, and which writes there: rustup, say.
            env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "HOME": str(tmp_path / "home")},
        )

    return run


def test_a_prefix_of_ones_own_has_everything_and_then_what_it_had_before(in_prefix, root, tmp_path):
    prefix = tmp_path / "own"
    before = {"bin", "share", "share/man", "share/man/man1"}
    for folder in before:
        (prefix / folder).mkdir(parents=True, exist_ok=True)
    in_prefix("install")
    unit = (prefix / "lib/systemd/system/aibridged.service").read_text()
    assert f"ExecStart={prefix}/bin/aibridged serve\n" in unit
    assert f"LoadCredential=aibridged:{prefix}/etc/aibridged/credentials\n" in unit
    said = subprocess.run([prefix / "bin/aibridged", "version"], capture_output=True, check=True)
    assert said.stdout.startswith(b"aibridged ")
    assert not [place for place in shared(root) if not (prefix / place).is_file()]
    assert (prefix / "etc/aibridged/credentials").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "home").exists(), "nothing is written elsewhere"

    in_prefix("install")
    (prefix / "bin/other").touch()
    (prefix / "etc/aibridged/aibridged.yaml").write_text("mine\n")
    in_prefix("uninstall")
    mine = {"bin/other", "etc", "etc/aibridged", "etc/aibridged/aibridged.yaml"}
    assert listed(prefix) == before | mine


def test_every_library_is_listed_with_hashes_and_as_the_tests_had_it(root):
    pinned = dict(
        line.split("==") for line in (root / "packaging/constraints.txt").read_text().split()
    )
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    text = (root / "packaging/requirements.txt").read_text()
    for name, version, rest in re.findall(r"^([\w.-]+)==([\w.]+)(.*)$", text, re.M):
        assert pinned.get(name, version) == version
        assert rest.endswith("\\")
    listed = set(re.findall(r"^([\w.-]+)==", text, re.M))
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(each for name in ("mcp", "postgres", "proxy", "tracing") for each in extras[name]),
    ]
    names = {re.match(r"[\w.-]+", each)[0].lower() for each in wanted}
    assert names <= listed


def test_a_release_has_a_list_of_its_components_and_checksums(root, tmp_path):
    tools = Path(sys.executable).parent
    if not (tools / "cyclonedx-py").exists() and not os.environ.get("CI"):
        pytest.skip("cyclonedx-bom is not installed: make dev")
    (tmp_path / "ready").touch()
    subprocess.run(
        ["make", "dist", f"BIN={tools}", f"READY={tmp_path}/ready", f"DIST={tmp_path}/dist"],
        cwd=root,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "MAKEFLAGS": "", "PIP_NO_INDEX": "1"},
    )
    dist = tmp_path / "dist"
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=dist, check=True
    )
    assert len((dist / "SHA256SUMS").read_text().splitlines()) == len(list(dist.iterdir())) - 1 == 4
    [file] = dist.glob("*.cdx.json")
    bom = json.loads(file.read_text())
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["version"] == aibridged.__version__
    names = {component["name"] for component in bom["components"]}
    assert {"aiohttp", "sqlalchemy", "psycopg", "mcp"} <= names
    assert all(component["version"] for component in bom["components"])
