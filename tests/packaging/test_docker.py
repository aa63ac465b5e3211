"""The Dockerfile, as far as it can be judged without building it: what it copies, sets and runs."""

import json
import re

import pytest

from aibridged.config import kinds
from aibridged.config.options import Settings


@pytest.fixture
def steps(root) -> list[tuple[str, str]]:
    """The instructions with their arguments, continued lines joined."""
    text = (root / "packaging/docker/Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (word, " ".join(rest.split()))
        for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


@pytest.fixture
def image(steps) -> dict[str, str]:
    """The last of each instruction of the last stage."""
    last = max(index for index, (word, _) in enumerate(steps) if word == "FROM")
    return dict(steps[last:])


@pytest.fixture
def variables(image) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in image["ENV"].split())


def copied(steps) -> list[str]:
    """What is taken from the source tree."""
    return [
        source
        for word, rest in steps
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]


def test_what_it_copies_is_there_and_is_all_that_a_wheel_needs(steps, root):
    sources = copied(steps)
    assert not [source for source in sources if not (root / source).exists()]
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    needed = [
        "pyproject.toml",
        "aibridged/",
        *re.findall(r'^(?:readme|path) = "(?!aibridged/)(.+)"', text, re.MULTILINE),
        *re.findall(r'^license-files = \["(.+)"\]', text, re.MULTILINE),
    ]
    assert set(needed) <= set(sources)


def test_its_python_is_one_that_the_package_takes(steps, root):
    [minimum] = re.findall(r'requires-python = ">=3\.(\d+)"', (root / "pyproject.toml").read_text())
    [python] = [rest for word, rest in steps if word == "ARG" and rest.startswith("PYTHON=")]
    assert int(re.fullmatch(r"PYTHON=3\.(\d+)", python)[1]) >= int(minimum)


def test_it_runs_as_a_user_of_a_fixed_number_who_owns_the_volume(steps, image, variables):
    user = image["USER"].partition(":")[0]
    assert user != "0"
    [making] = [rest for word, rest in steps if word == "RUN" and "useradd" in rest]
    assert f"--uid {user} " in making
    assert making.endswith(f"--mode 0700 {image['VOLUME']}")
    assert variables["CODER_STATE_DIR"] == image["VOLUME"]


def test_its_variables_are_the_daemons(variables, resolve):
    ours = {name: value for name, value in variables.items() if name.startswith("CODER_")}
    assert set(variables) - set(ours) == {"PATH", "container"}
    # Its port is published outside, where TLS may be terminated.
    assert resolve(variables).warnings == []
    resolution = resolve(ours)
    assert resolution.mistakes == []
    assert {v.source.name for v in resolution.values if v.source.kind == "environment"} == set(ours)
    assert kinds.ADDRESS.parse(ours["CODER_HTTP_ADDRESS"]).port == Settings().http_address.port


def test_what_it_runs_are_commands_without_a_shell_so_that_signals_arrive(image, commands):
    start = json.loads(image["ENTRYPOINT"]) + json.loads(image["CMD"])
    probe = json.loads(image["HEALTHCHECK"].partition("CMD ")[2])
    for program, command in (start, probe):
        assert program == "aibridged"
        assert command in commands
    assert image["STOPSIGNAL"] == "SIGTERM"
    assert image["EXPOSE"] == str(Settings().http_address.port)


def test_what_built_it_stays_behind(steps, image):
    assert [rest for word, rest in steps if word == "FROM"] == [
        "python:${PYTHON}-slim AS build",
        "python:${PYTHON}-slim",
    ]
    assert image["COPY"] == "--from=build /opt/aibridged /opt/aibridged"
    assert not [rest for word, rest in steps if word == "RUN" and "apt" in rest]
    assert "pip uninstall" in image["RUN"]
