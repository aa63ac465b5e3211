"""What is hidden, and what isn't."""

import re

from aibridged.core.hidden_characters import FILLERS, HIDDEN


def test_what_controls_a_terminal_or_turns_text_is_hidden():
    assert re.fullmatch(f"[{HIDDEN}]+", "\0\x1b\x7f\x9b\u202e\u2066\u200b\ufeff\ud800\U000e0041")


def test_letters_emoji_and_line_breaks_are_not():
    assert re.search(f"[{HIDDEN}]", "a\tb\nä😀\ufe0f") is None
    assert re.fullmatch(f"[{FILLERS}]+", "\ufe0f\u3164\u1160")
