"""Secrets from files, two names of one setting, and values as they are shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config import kinds, sources
from aibridged.config.declare import Option
from aibridged.config.options import OPTIONS
from aibridged.config.resolution import Resolution, Source
from aibridged.config.secret import Secret
from aibridged.config.sources import Given

Resolve = Callable[..., Resolution]
URL = "postgres://sk-1/d"
HOOK = "https://hooks.example.com/d"
SECRETS = [variable for option in OPTIONS if option.secret for variable in option.envs]


def _url(variable: str) -> str:
    """What every secret may be, of whatever kind."""
    if "REDIS" in variable:
        return "unix:///run/sk-1"
    return HOOK if "WEBHOOK" in variable else URL


@pytest.mark.parametrize("variable", SECRETS)
def test_any_secret_can_come_from_a_file(variable: str, resolve: Resolve, tmp_path: Path) -> None:
    file = tmp_path / "key"
    text = _url(variable) if variable.endswith("URL") else "sk-from-a-file"
    file.write_text(f"  {text}\n")
    resolution = resolve(environ={f"{variable}_FILE": str(file)})
    assert resolution.settings is not None
    [name] = [option.name for option in OPTIONS if variable in option.envs]
    assert getattr(resolution.settings, name).reveal() == text
    assert Source("environment", f"{variable}_FILE") in [v.source for v in resolution.values]


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_given_twice_is_a_mistake(variable: str, resolve: Resolve, tmp_path: Path) -> None:
    file = tmp_path / "key"
    url = _url(variable)
    file.write_text(url)
    [mistake] = resolve(environ={variable: url, f"{variable}_FILE": str(file)}).mistakes
    assert mistake.where == f"{variable} and {variable}_FILE"
    assert mistake.remedy.startswith("Remove one of them")


def test_a_flag_outranks_the_file_of_a_secret(resolve: Resolve) -> None:
    resolution = resolve(
        {"--aibridge-openai-key": "sk-flag"}, {"CODER_AIBRIDGE_OPENAI_KEY_FILE": "/nowhere"}
    )
    assert resolution.mistakes == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "the file can't be read: No such file or directory"),
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xff\xff", "the file is not UTF-8 text"),
        ("sk-1\n".encode("utf-16"), "the file is UTF-16 text, as PowerShell's > writes"),
        ("sk-1".encode("utf-16-le"), "the file is UTF-16 text, as PowerShell's > writes"),
        (b"x" * (sources.MAX_KEY_FILE + 1), "the file is larger than 64 KiB"),
        (b"sk-1\nsk-2\n", "has 2 lines, and a key is one"),
    ],
)
def test_a_file_without_a_key_is_a_mistake(
    content: bytes | None, what: str, resolve: Resolve, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    [mistake] = resolve(environ={"CODER_AIBRIDGE_OPENAI_KEY_FILE": str(file)}).mistakes
    assert mistake.where == f"CODER_AIBRIDGE_OPENAI_KEY_FILE ({file})"
    assert mistake.what == what


def test_a_file_may_have_a_byte_order_mark(resolve: Resolve, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xef\xbb\xbfsk-1\r\n")
    resolution = resolve(environ={"CODER_AIBRIDGE_OPENAI_KEY_FILE": str(file)})
    assert resolution.settings is not None
    assert resolution.settings.openai_key == Secret("sk-1")


def test_a_file_may_be_in_the_home_directory(
    resolve: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("sk-1")
    resolution = resolve(environ={"CODER_AIBRIDGE_OPENAI_KEY_FILE": "~/key"})
    assert resolution.settings is not None
    assert resolution.settings.openai_key == Secret("sk-1")


def test_a_reference_to_a_variable_is_named(resolve: Resolve) -> None:
    yaml = "aibridge:\n  openai_base_url: https://${HOST}/v1\n"
    [mistake] = resolve(yaml=yaml).mistakes
    assert mistake.what == "contains ${…}, which stands for no value here"
    assert mistake.remedy == "Write the value itself: variables are not replaced in settings."
    assert resolve({"--log-filter": "a$"}).mistakes == []


def test_what_was_given_does_not_show_in_a_repr() -> None:
    assert "canary" not in repr(Given("canary", "--flag", Source("flag", "--flag")))


def test_a_value_is_shown_and_encoded_by_its_kind() -> None:
    def show(kind: kinds.Kind[object], text: str) -> tuple[str, object]:
        value = sources.as_value("name", "group", Given(text, "", Source("default")), kind)
        return value.text, value.data

    assert show(kinds.BOOL, "t") == ("true", True)
    assert show(kinds.COUNT, "+3") == ("3", 3)
    assert show(kinds.DURATION, "60s") == ("1m", "1m")
    assert show(kinds.PATH, "") == ("", None)
    assert show(kinds.HEADERS, "A, B") == ("A,B", ["A", "B"])
    assert show(kinds.SECRET, "sk-1") == ("****", "****")
    assert show(kinds.COUNT, "canary") == ("(not valid)", None)


@pytest.mark.parametrize("option", [row for row in OPTIONS if row.secret], ids=lambda row: row.name)
def test_any_secret_can_be_a_credential(option: Option, resolve: Resolve, tmp_path: Path) -> None:
    handed_over = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    resolution = resolve(environ=handed_over)
    assert resolution.settings is not None
    assert getattr(resolution.settings, option.name) is None

    url = _url(option.env)
    (tmp_path / f"aibridged_{option.credential}").write_text(f"{url}/credential\n")
    resolution = resolve(environ=handed_over)
    assert resolution.settings is not None
    assert getattr(resolution.settings, option.name).reveal() == f"{url}/credential"
    [value] = [value for value in resolution.values if value.name == option.name]
    assert value.source == Source("credential", f"the credential {option.credential}")

    resolution = resolve(environ={**handed_over, option.env: url})
    assert resolution.settings is not None
    assert getattr(resolution.settings, option.name).reveal() == url


def test_a_credential_without_a_key_is_a_mistake(resolve: Resolve, tmp_path: Path) -> None:
    file = tmp_path / "aibridged_anthropic-key"
    file.touch()
    [mistake] = resolve(environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}).mistakes
    assert mistake.where == f"the credential anthropic-key ({file})"
    assert mistake.what == "the file is empty"


def test_a_key_in_place_of_a_file_is_not_shown(resolve: Resolve) -> None:
    key = "sk-canary-0123456789abcdefghijklmnopqrstuvwxyz"
    [mistake] = resolve(environ={"CODER_AIBRIDGE_OPENAI_KEY_FILE": key}).mistakes
    assert mistake.where == "CODER_AIBRIDGE_OPENAI_KEY_FILE (…)"
    assert mistake.what == "there is no such file, and the name looks like a key"
    assert "canary" not in str(mistake)
