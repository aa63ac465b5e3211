"""What models without a price cost: a word, or a rate within its bound."""

from decimal import Decimal

import pytest

from aibridged.config.rates import MAX_DOLLARS, UNPRICED


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("allow", "allow"),
        ("Deny", "deny"),
        ("15", Decimal(15)),
        ("0.25", Decimal("0.25")),
    ],
)
def test_it_is_a_word_or_a_rate(text, value):
    assert UNPRICED.parse(text) == value
    assert UNPRICED.parse(UNPRICED.show(value)) == value


@pytest.mark.parametrize("text", ["maybe", "-1", "1e3", "NaN", "0.0000000001", f"{MAX_DOLLARS}.1"])
def test_anything_else_is_a_mistake(text):
    with pytest.raises(ValueError, match="neither allow nor deny, and"):
        UNPRICED.parse(text)
