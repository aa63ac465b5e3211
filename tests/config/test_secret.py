"""A secret is only ever shown on purpose."""

import traceback

from aibridged.config.options import ProviderSettings, Settings
from aibridged.config.secret import Secret

LONG = "sk-abcdefghijklmnopqrstuvwxyz"


def test_reveals_itself_only_when_asked() -> None:
    assert Secret(LONG).reveal() == LONG


def test_a_long_secret_can_be_recognised_and_a_short_one_cannot() -> None:
    assert str(Secret(LONG)) == "sk-a…wxyz"
    assert str(Secret("sk-short-one-of-23-char")) == "****"
    assert str(Secret("")) == "****"


def test_no_way_of_printing_shows_it() -> None:
    secret = Secret(LONG)
    settings = Settings(
        openai_key=secret, providers=(ProviderSettings("openai", "openai", secret, "http://x"),)
    )
    shown = [
        repr(secret),
        f"{secret}",
        f"{secret!r:>9}",
        str([secret]),
        repr(settings),
    ]
    try:
        raise ValueError(secret, settings)
    except ValueError:
        shown.append(traceback.format_exc())
    assert LONG not in "\n".join(shown)


def test_equal_secrets_are_equal() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
