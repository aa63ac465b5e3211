"""The file: what is read from which line, and how it says that it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.config import yaml_file
from aibridged.config.yaml_file import YamlFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.yaml"


def read(path: Path, text: str) -> YamlFile:
    path.write_text(text, encoding="utf-8")
    return yaml_file.read(path)


def test_knows_the_line_of_each_setting(path: Path) -> None:
    file = read(path, "# one\naibridge:\n\n  rate_limit: 5\n  max_concurrency: '6'\n")
    assert file.mistakes == []
    assert {key: (g.text, g.where, str(g.source)) for key, g in file.settings.items()} == {
        "aibridge.rate_limit": ("5", f"{path}:4 aibridge.rate_limit", f"{path}:4"),
        "aibridge.max_concurrency": ("6", f"{path}:5 aibridge.max_concurrency", f"{path}:5"),
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "aibridge:\n", "---\n", "aibridge: {}\n"])
def test_an_empty_file_is_fine(path: Path, text: str) -> None:
    file = read(path, text)
    assert (file.mistakes, file.settings, file.lists) == ([], {}, {})


MISTAKES = [
    ("- a\n", "1", "the file has no settings"),
    ("just text\n", "1", "the file has no settings"),
    ("OPENAI_API_KEY=x\n", "1", "the file has no settings"),
    (
        "aibridge:\n  providers:\n  - type:openai\n",
        "3 aibridge.providers[0]",
        "there is no space after the colon",
    ),
    ("aibridge:\n  rate_limit:5\n", "2 aibridge", "there is no space after the colon"),
    (
        "aibridge:\n  rate_limit: {{ .Values.x }}\n",
        "2 aibridge.rate_limit",
        "a template {{ … }} that nothing has filled in",
    ),
    ("aibridge: 5\n", "1 aibridge", "a group of settings, not a value"),
    ("aibridge:\n  rate_limit:\n    x: 1\n", "3 aibridge.rate_limit", "this is not a value"),
    ("aibridge:\n  rate_limit: [[1]]\n", "2 aibridge.rate_limit", "this is not a value"),
    (
        "aibridge:\n  rate_limit: 1\n  rate_limit: 1\n",
        "3 aibridge.rate_limit",
        "the key is on line 2 too",
    ),
    ("aibridge:\n  enabled: t\naibridge:\n", "3 aibridge", "the key is on line 1 too"),
    ("aibridge:\n  providers: x\n", "2 aibridge.providers", "this is not a list"),
    ("aibridge:\n  providers:\n  - x\n", "3 aibridge.providers[0]", "this is no provider"),
    (
        "aibridge:\n  providers:\n  - type: openai\n    type: openai\n",
        "4 aibridge.providers[0].type",
        "the key is on line 3 too",
    ),
    ("? [a, b]\n: 1\n", "1 ?", "unknown setting"),
]


@pytest.mark.parametrize(("text", "where", "what"), MISTAKES)
def test_mistakes(path: Path, text: str, where: str, what: str) -> None:
    [mistake] = read(path, text).mistakes
    assert mistake.where == f"{path}:{where}".rstrip(":")
    assert mistake.what == what
    assert mistake.remedy


def test_two_lists_of_providers_are_a_mistake(path: Path) -> None:
    one = "  providers: [{type: openai}]\n"
    [mistake] = read(path, f"aibridge:\n{one}ai_gateway:\n{one}").mistakes
    assert mistake.what == "two names of the same list"
    assert f"{path}:2 aibridge.providers" in mistake.where
    assert f"{path}:4 ai_gateway.providers" in mistake.where


def test_a_file_that_cannot_be_read_is_a_mistake(path: Path, tmp_path: Path) -> None:
    [mistake] = yaml_file.read(path).mistakes
    assert (mistake.where, mistake.what) == (
        str(path),
        "can't be read: No such file or directory",
    )
    [mistake] = yaml_file.read(tmp_path).mistakes
    assert mistake.what == "can't be read: Is a directory"
    path.write_bytes(b"a: \xff\n")
    [mistake] = yaml_file.read(path).mistakes
    assert mistake.what == "is not UTF-8 text"


def test_a_file_is_bounded_and_may_have_a_mark(path: Path) -> None:
    assert read(path, "\ufeffaibridge:\n  rate_limit: 5\n").settings
    [mistake] = read(path, "#" * (yaml_file.MAX_FILE + 1)).mistakes
    assert mistake.what == "is larger than 1 MiB"
    path.write_bytes("a: 1\n".encode("utf-16"))
    [mistake] = yaml_file.read(path).mistakes
    assert mistake.what.startswith("is UTF-16 text")


def test_the_second_of_two_keys_has_no_effect(path: Path) -> None:
    file = read(path, "aibridge:\n  rate_limit: 1\n  rate_limit: 2\n")
    assert file.settings["aibridge.rate_limit"].text == "1"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_is_a_file_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    assert yaml_file.read(path).path == path


def test_the_two_lists_may_stand_side_by_side(path: Path) -> None:
    file = read(
        path, "aibridge:\n  providers: [{type: a}]\nai_gateway:\n  mcp_servers: [{id: b}]\n"
    )
    assert file.mistakes == []
    assert {name: len(entries) for name, entries in file.lists.items()} == {
        "providers": 1,
        "mcp_servers": 1,
    }


@pytest.mark.parametrize("headers", ["{a: [b]}", "{a: {b: c}}", "[[a]]"])
def test_headers_are_pairs_or_a_list(path: Path, headers: str) -> None:
    [mistake] = read(path, f"aibridge:\n  mcp_servers:\n  - headers: {headers}\n").mistakes
    assert mistake.what == "this is not a value"
