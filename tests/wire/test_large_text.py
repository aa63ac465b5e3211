"""Long strings are measured whole, and their beginning is kept."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.facts import CutText
from aibridged.wire.large_text import read_text
from aibridged.wire.outline import Span, run


def read(source: bytes, keep: int = 10**9) -> str:
    return run(read_text(source, Span(0, len(source)), keep))


CHARACTERS = st.text(st.sampled_from('ab"\\\n\x01\u00e9\u4e2d\U0001f600'))


@given(CHARACTERS, st.booleans(), st.integers(1, 9))
def test_the_text_is_that_of_a_decoder(text: str, ascii_only: bool, times: int) -> None:
    source = json.dumps(text * times, ensure_ascii=ascii_only).encode()
    got = read(source)
    assert got == text * times
    assert not isinstance(got, CutText)


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("before", range(13))
@pytest.mark.parametrize("character", ["\U0001f600", "\u4e2d", "\\", '"', "\n"])
def test_no_character_is_cut_in_two(character: str, before: int, ascii_only: bool) -> None:
    text = "x" * before + character * 40_000
    assert read(json.dumps(text, ensure_ascii=ascii_only).encode()) == text


@pytest.mark.parametrize("text", ["x" * 300_000, "\u00e9" * 200_000, "a\n" * 150_000])
def test_of_a_longer_text_the_beginning_is_kept(text: str) -> None:
    whole = text.encode()
    got = read(json.dumps(text).encode(), keep=100_001)
    assert isinstance(got, CutText)
    assert got == whole[:100_001].decode(errors="ignore")
    assert (got.length, got.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b'"\\ud83d"', "\\ud83d"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"' + b"\x80" * 70_000 + b'"', "\ufffd" * 70_000),
        (b'"\\x"', "\\x"),
        (b'"\\u12"', "\\u12"),
        (b'""', ""),
    ],
)
def test_what_is_not_well_formed_is_kept_as_far_as_it_can_be(source: bytes, text: str) -> None:
    assert read(source) == text


def test_its_steps_are_small() -> None:
    source = b'"' + b"x" * 10_000_000 + b'"'
    assert sum(1 for _ in read_text(source, Span(0, len(source)), 5)) > 100
