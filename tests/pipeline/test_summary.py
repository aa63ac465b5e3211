"""What of a path that isn't served is shown."""

import pytest

from aibridged.pipeline.summary import shown_path

WORDS = frozenset({"", "anthropic", "v1", "messages", "models"})


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/", "/"),
        ("/v1/messages", "/v1/messages"),
        ("/anthropic/v1/mesages", "/anthropic/v1/*"),
        ("/anthropic/", "/anthropic/"),
        ("/anthropic/sk-secret/messages?key=secret", "/anthropic/*/messages"),
        ("/?secret", "/"),
        ("http://user:secret@host/v1", "*"),
        ("*", "*"),
        ("", "*"),
        ("/v1" * 10, "/v1" * 8 + "/*"),
        ("/*", "/*"),
        ("/" * 5000, "/" * 8 + "/*"),
    ],
)
def test_only_words_of_routes_are_shown(target, shown):
    assert shown_path(target, WORDS) == shown
