"""Text as both databases can store it."""

import pytest

from aibridged.records.storable import storable


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("日本語 👍", "日本語 👍"),
        ("a\0b", "a\ufffdb"),
        ("half an emoji \ud83d", "half an emoji ?"),
    ],
)
def test_what_no_column_holds_is_replaced(text, stored):
    assert storable(text) == stored
