"""What the tests of packages, units, images and manifests share."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.main import get_command

from aibridged.cli import build
from aibridged.config import load
from aibridged.config.resolution import Resolution

ROOT = Path(__file__).parents[2]

Resolve = Callable[..., Resolution]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def commands() -> frozenset[str]:
    """What may follow on `aibridged`."""
    return frozenset(get_command(build()).commands)


@pytest.fixture
def resolve(tmp_path: Path) -> Resolve:
    """The settings that variables and the text of a file come to."""

    def resolve(environ: Mapping[str, str], yaml: str = "") -> Resolution:
        file = tmp_path / "aibridged.yaml"
        file.write_text(yaml, encoding="utf-8")
        return load.resolve({}, {**environ, "CODER_CONFIG_PATH": str(file)})

    return resolve


class Built(NamedTuple):
    """What `make install` leaves below DESTDIR, and the archives that it was made of."""

    wheel: Path
    login_wheel: Path
    sdist: Path
    stage: Path


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Built]:
    """Runs `make install DESTDIR=… PREFIX=/usr`, with this Python in the place of .venv's."""
    folder = tmp_path_factory.mktemp("built")
    # It says that the environment is there.
    (folder / "ready").touch()
    variables = {
        "PYTHON": sys.executable,
        "BIN": Path(sys.executable).parent,
        "READY": folder / "ready",
        "DIST": folder / "dist",
        "DESTDIR": folder / "stage",
        "PREFIX": "/usr",
    }

    def install(*flags: str) -> Built:
        subprocess.run(
            ["make", "install", *flags, *(f"{name}={value}" for name, value in variables.items())],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            # Not what a `make test` around it was given.
            env={**os.environ, "MAKEFLAGS": "", "PIP_NO_INDEX": "1"},
        )
        [wheel] = folder.glob("dist/aibridged-*.whl")
        [login_wheel] = folder.glob("dist/aibridged_login-*.whl")
        [sdist] = folder.glob("dist/*.tar.gz")
        return Built(wheel, login_wheel, sdist, folder / "stage")

    return install


@pytest.fixture(scope="session")
def built(install: Callable[..., Built]) -> Built:
    """What `make install DESTDIR=… PREFIX=/usr` leaves."""
    return install()
