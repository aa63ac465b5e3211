"""Syntax errors of the file: line and column, and what to change, without the parser's words."""

from pathlib import Path

import pytest

from aibridged.config import yaml_file

WRONG = [
    ("aibridge:\n\trate_limit: 5\n", "2:1", "a tab", "Replace it with spaces."),
    ("aibridge:\n  rate_limit:\t5\n", "2:14", "a tab", "Replace it with spaces."),
    ("aibridge:\n  rate_limit 5\n  retention: 1d\n", "2", "a line without a colon", "Write key:"),
    ("aibridge:\n  rate_limit:5\n  retention: 1d\n", "2", "there is no space after", "Write key:"),
    ("a: b: c\n", "1:5", "a second colon on one line", "Put the value into quotes"),
    ("aibridge:\n  a: 5\n   b: 1\n", "3:5", "it is indented deeper than the line above", "Align"),
    ("aibridge:\n    a: 5\n  b: 1\n", "3:3", "the indentation fits none of the", "Align it"),
    ("a:\n  - b\n  c: d\n", "3:3", "the indentation fits none of the", "Align it"),
    ("a: 'b\nc: d\n", "1:4", "a quote that is never closed", "Close it"),
    ('a: "b\nc: d\n', "1:4", "a quote that is never closed", "Close it"),
    ("a: [1, 2\nb: 3\n", "1:4", "a bracket that is never closed", "Close it"),
    ("a: {b: 1\nc: 2\n", "1:4", "a bracket that is never closed", "Close it"),
    ("a: [\n", "2:1", "a bracket that is never closed", "Close it"),
    ("a: @canary\n", "1:4", "begins with a character of YAML's own", "Put the value into quotes."),
    ("a: *canary\n", "1:4", "begins with a character of YAML's own", "Put the value into quotes."),
    ("a: [*]\n", "1:6", "begins with a character of YAML's own", "Put the value into quotes."),
    ("a: >x\n", "1:5", "begins with a character of YAML's own", "Put the value into quotes."),
    ('a: "C:\\dir"\n', "1:8", "a backslash in double quotes", "Use single quotes."),
    ("a: 1\n---\nb: 2\n", "2:1", "a second document begins here", "Remove the line ---."),
    ("[aibridge]\nrate_limit = 5\n", "2:1", "this is not YAML", "Write key: value"),
    ("a: 1\nb: \x01\n", "2", "a control character", "Remove it."),
    ("a: " + "[" * 5000, "", "nested too deeply", "`aibridged sample-config`"),
]


@pytest.mark.parametrize(("text", "place", "what", "remedy"), WRONG)
def test_what_is_wrong_where_and_the_remedy(
    text: str, place: str, what: str, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    [mistake] = yaml_file.read(path).mistakes
    assert mistake.where == f"{path}:{place}".rstrip(":")
    assert what in mistake.what
    assert mistake.remedy.startswith(remedy)
    assert "canary" not in f"{mistake.what} {mistake.remedy}"
