"""What is kept of what was made, and what isn't."""

import pytest

from aibridged.observe.remembered import Remembered

TOKEN = f"aib_0123456789_{'s' * 43}"


@pytest.fixture
def made():
    """What has been made, in order."""
    return []


@pytest.fixture
def remembered(made):
    def make(*key):
        made.append(key)
        return repr(key)

    return Remembered(make)


def test_what_comes_again_is_made_once(remembered, made):
    for _ in range(3):
        assert remembered["model", "m", None, True] == "('model', 'm', None, True)"
    assert made == [("model", "m", None, True)]


@pytest.mark.parametrize("text", [TOKEN, TOKEN[:-9], f"it is {TOKEN}", "x" * 300])
def test_neither_a_token_nor_a_long_text_is_kept(text, remembered, made):
    for _ in range(2):
        assert text in remembered["model", text]
    assert len(made) == 2
    assert not remembered


def test_it_is_bounded(remembered):
    for number in range(5000):
        assert str(number) in remembered["model", str(number)]
        assert len(remembered) <= 1024
