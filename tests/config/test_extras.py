"""The command that installs what is missing fits how the package was installed."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from aibridged.config import extras

PIP = f"{sys.executable} -m pip install"


def command(direct_url: object, missing: tuple[str, ...] = ("cryptography",)) -> str:
    text = None if direct_url is None else json.dumps(direct_url)
    return extras.install_command("proxy", missing, text, has_pip=True)


def test_every_extra_is_as_the_package_declares_it() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    declared = project["optional-dependencies"]
    assert set(extras.EXTRAS) == set(declared) - {"all"}
    for extra, modules in extras.EXTRAS.items():
        assert sorted(modules.values()) == sorted(declared[extra]), extra


def test_a_source_folder_is_named_with_the_extra(tmp_path: Path) -> None:
    found = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    assert command(found) == f"{PIP} -e '{tmp_path}[proxy]'"
    assert command({"url": tmp_path.as_uri(), "dir_info": {}}) == f"{PIP} '{tmp_path}[proxy]'"


def test_a_wheel_is_named_by_its_url(tmp_path: Path) -> None:
    wheel = tmp_path / "aibridged-1-py3-none-any.whl"
    wheel.touch()
    found = {"url": wheel.as_uri(), "archive_info": {}}
    assert command(found) == f"{PIP} 'aibridged[proxy] @ {wheel.as_uri()}'"
    # Without the file, the libraries are what can be had.
    wheel.unlink()
    assert command(found) == f"{PIP} 'cryptography>=44'"


def test_a_repository_is_named_with_its_commit() -> None:
    vcs = {"vcs": "git", "commit_id": "abc"}
    found = {"url": "https://git.example.com/x.git", "vcs_info": vcs}
    assert command(found) == f"{PIP} 'aibridged[proxy] @ git+https://git.example.com/x.git@abc'"


@pytest.mark.parametrize("found", [None, {}, [], {"url": "file:///nowhere/x.whl"}])
def test_of_an_unknown_origin_only_the_libraries_are_named(found: object) -> None:
    both = ("aiohappyeyeballs", "cryptography")
    assert command(found, both) == f"{PIP} 'aiohappyeyeballs>=2' 'cryptography>=44'"


def test_without_pip_it_is_the_command_of_uv() -> None:
    shown = extras.install_command("postgres", ("psycopg",), None, has_pip=False)
    assert shown == f"uv pip install --python {sys.executable} 'psycopg[binary]>=3.2'"


def test_no_text_of_the_project_names_the_package_alone() -> None:
    """An index may have another package of that name."""
    root = Path(__file__).parents[2]
    files = [*root.glob("aibridged/**/*.py"), *root.glob("man/*"), *root.glob("tools/**/*.py")]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"install(\s|')+aibridged(\[[a-z]+\])?['\s]*$", text, re.M), path
        assert "pip install 'aibridged[" not in text, path


def test_nothing_is_said_where_nothing_is_missing() -> None:
    assert extras.mistake("mcp", "mcp_servers") is None
    assert extras.sentences("mcp", "x") is None
