"""What globs match."""

from time import perf_counter

import pytest

from aibridged.config.globs import matcher


@pytest.mark.parametrize(
    ("globs", "name", "matches"),
    [
        (["claude-haiku-*"], "claude-haiku-4-5", True),
        (["claude-haiku-*"], "claude-haiku-", True),
        (["claude-haiku-*"], "anthropic.claude-haiku-4-5", False),
        (["claude-haiku-4"], "claude-haiku-4-5", False),
        (["*haiku*"], "anthropic.claude-haiku-4-5", True),
        (["gpt-?"], "gpt-5", True),
        (["gpt-?"], "gpt-5.4", False),
        (["GPT-5"], "gpt-5", False),
        (["a", "b"], "b", True),
        (["a|b"], "b", False),
        (["a.c"], "abc", False),
        (["m[1m]"], "m[1m]", True),
        (["m[1m]"], "m1", False),
        (["meta-llama/*"], "meta-llama/Llama-3.3-70B-Instruct", True),
        (["a"], "a\n", False),
        (["*"], "a\nb", True),
        ([], "a", False),
        ([], "", False),
    ],
)
def test_a_whole_name_matches(globs: list[str], name: str, matches: bool) -> None:
    assert matcher(globs)(name) is matches


def test_no_glob_makes_a_long_name_slow() -> None:
    matches = matcher(["*a" * 30 + "b"])
    began = perf_counter()
    assert not matches("a" * 512)
    assert perf_counter() - began < 0.5
