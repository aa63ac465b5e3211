"""Commands in sentences stay whole."""

from aibridged.config.wrapping import wrapped


def test_a_command_is_not_broken_over_two_lines() -> None:
    for length in range(30):
        text = f"{'z' * length} `aibridged serve --config x`, or so."
        lines = wrapped(text, 40, indent="  ", first="> ").splitlines()
        assert any("`aibridged serve --config x`," in line for line in lines)
        assert max(map(len, lines)) <= 40


def test_what_is_longer_than_a_line_is_broken() -> None:
    assert wrapped("run " + "`a b`" * 1 + " " + "x " * 30, 20).count("\n") >= 3
