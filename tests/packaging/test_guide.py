"""packaging/README.md names files, commands, flags and variables that exist."""

import re

import pytest

from aibridged import __version__
from aibridged.config.almost_variables import known_variables
from aibridged.config.options import OPTIONS


@pytest.fixture
def text(root) -> str:
    return (root / "packaging" / "README.md").read_text(encoding="utf-8")


def test_every_file_is_there(text, root):
    named = re.findall(r"packaging/[a-z/_.]*[a-z]", text) + [
        f"packaging/kubernetes/{name}" for name in re.findall(r"`([a-z]+\.yaml)`", text)
    ]
    assert len(named) > 5
    assert not [name for name in named if not (root / name).exists()]


def test_every_command_is_known(text, commands):
    lines = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    lines += "\n".join(re.findall(r"`(aibridged [^`]+)`", text))
    # Before the program there may be a namespace or a container of the same name.
    called = set(re.findall(r"(?<!--namespace )\baibridged ([a-z][a-z-]+)\b", lines))
    assert {"users", "db", "check-config"} <= called - {"aibridged"} <= commands


def test_every_flag_and_variable_is_known(text):
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    flags = set(re.findall(r"`(--[a-z-]+)`", prose))
    assert "--shutdown-timeout" in flags
    dockers = {"--memory", "--stop-timeout"}
    assert flags - {flag for option in OPTIONS for flag in option.flags} == dockers
    variables = set(re.findall(r"CODER_[A-Z_]+", text)) - {"CODER_CONFIG_PATH"}
    assert variables <= known_variables()


def test_every_version_is_this_release(text, root):
    """Neither a release that is gone nor a tag that nobody made."""
    manifests = [path.read_text(encoding="utf-8") for path in root.glob("packaging/*/*.yaml")]
    named = re.findall(r"aibridged[-:](\d+\.\d+\.\d+)", "\n".join([text, *manifests]))
    assert len(named) > 3
    assert set(named) == {__version__}
    assert not re.search(r"\bv\d+\.\d+", text)
