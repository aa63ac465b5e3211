"""Long strings are measured whole, and their beginning is kept."""

import hashlib
import json
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire.envelopes import WINDOW, Said, said_in
from aibridged.wire.facts import CutText
from aibridged.wire.large_text import LongText, read_said
from aibridged.wire.outline import Span, run


def said(*texts: str, keep: int = 10**9) -> Said:
    """What is read of long texts, which stand one behind the other."""
    sources = [json.dumps(text).encode() for text in texts]
    ends = list(accumulate(map(len, sources)))
    spans = [Span(end - len(source), end) for source, end in zip(sources, ends, strict=True)]
    return run(read_said(b"".join(sources), [LongText.at(span) for span in spans], keep))


def read(source: bytes, keep: int = 10**9) -> str:
    got = run(read_said(source, [LongText.at(Span(0, len(source)))], keep)).prompt
    assert got is not None
    return got


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
        (b'"\\ud83d"', "\ufffd"),
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
    text = LongText.at(Span(0, len(source)))
    assert sum(1 for _ in read_said(source, [text], 5)) > 1000


REMINDER = "<system-reminder>%s</system-reminder>"
LONG = [("w\u00e9 ", 1), ("\U0001f600", WINDOW - 20), ('say "hi"\n', WINDOW)]


@pytest.mark.parametrize(("word", "length"), [*LONG, ("x", WINDOW + 1), ("\n\u00e9", 18 * WINDOW)])
@pytest.mark.parametrize(
    "envelope",
    [
        "%s",
        REMINDER % "date" + "\n%s\n",
        "%s\n\n" + REMINDER % "date",
        REMINDER % "a" + " " * 99 + "%s" + REMINDER % "b",
        REMINDER,
        "Stop hook feedback:\n%s",
        "<session>\n%s\n</session>\n\nWrite the title in English.",
        "Please solve this issue: %s\n\nYou can execute bash commands and edit files to implement "
        "the necessary changes.\n\nBegin.",
    ],
)
def test_what_is_said_is_the_same_in_long_texts(envelope: str, word: str, length: int) -> None:
    text = envelope % (word * (length // len(word) + 1))
    short = said_in([text])
    assert said(text) == short
    cut = said(text, keep=1000).prompt
    if short.prompt is not None and (whole := short.prompt.encode()) != whole[:1000]:
        assert isinstance(cut, CutText)
        assert cut == whole[:1000].decode(errors="ignore")
        assert (cut.length, cut.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


def test_several_long_texts_are_one_prompt() -> None:
    texts = ["x" * 100_000, "", REMINDER % "date", "y" * 3_000_000, "z"]
    expected = said_in(texts)
    assert expected.prompt == "\n".join([texts[0], texts[3], "z"])
    assert said(*texts) == expected
    cut = said(*texts, keep=5).prompt
    assert isinstance(cut, CutText)
    whole = expected.prompt.encode()
    assert (cut.length, cut.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
