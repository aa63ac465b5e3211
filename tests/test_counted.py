"""Counts with their noun; and no text of the product that says "1 tokens"."""

import re
from pathlib import Path

import pytest

from aibridged.counted import counted, noun

# Nouns after a placeholder that is a count: these go through `counted`.
_COUNTED = re.compile(
    r"\{[^{}]*\} (more |running |concurrent )?"
    r"(tokens|requests|records|interceptions|sessions|tools|lines|mistakes|users|calls)\b"
)
# A bound that is a constant, or a noun that isn't counted.
_FINE = (
    *("only people read", "_THRESHOLD", "MCP server", "{item", "{first", "and a key is one"),
    "{whose}",
)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 tokens"), (1, "1 token"), (2, "2 tokens"), (1000, "1000 tokens")]
)
def test_a_count_with_its_noun(count: int, text: str) -> None:
    assert counted(count, "token") == text
    assert f"{count} {noun(count, 'token')}" == text


def test_another_plural() -> None:
    assert counted(1, "query is", "queries are") == "1 query is"
    assert counted(2, "query is", "queries are") == "2 queries are"


def test_no_text_has_a_plural_of_its_own() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in Path(__file__).parents[1].glob("aibridged/**/*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if _COUNTED.search(line) and "counted(" not in line and "noun(" not in line
        if not any(fine in line for fine in _FINE)
    ]
    assert found == []
