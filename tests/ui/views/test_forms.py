"""What forms of several pages share."""

import pytest

from aibridged.ui.views.forms import Lifetimes, choices, groups, new_token, usernames

DAY = 86_400


def test_names_are_separated_as_people_do_it():
    assert usernames(" ann, bob\r\ncat  ,") == ["ann", "bob", "cat"]
    assert groups("CN=a, OU=b\r\n\r\n ops ") == ["CN=a, OU=b", "ops"]


def test_lifetimes_are_those_that_the_settings_allow():
    found = choices(Lifetimes(2 * DAY, 7 * DAY))
    assert [(each.label, each.is_chosen) for each in found] == [
        ("1 day", False),
        ("2 days", True),
        ("7 days", False),
    ]
    assert choices(Lifetimes(30 * DAY, None))[-1] == ("0", "without an end", False)
    assert [each.label for each in choices(Lifetimes(5400, 5400))] == ["90 minutes"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("86400", 86400), ("0", 0), ("", None), ("x", None), ("9" * 13, None)]
)
def test_a_choice_is_a_number_or_the_default(text, seconds):
    form = {"name": " ci ", "lifetime": text}
    assert new_token(form) == {"name": "ci", "lifetime_seconds": seconds}
