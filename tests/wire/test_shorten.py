"""Long strings are left out of JSON, whatever it is cut into."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridged.wire import shorten
from aibridged.wire.shorten import MAX_STRING, Kept, Shortener, shortened

MIB = 1024 * 1024
TEXTS = st.text(st.sampled_from('ab"\\\n,:é{}'), max_size=60) | st.sampled_from(["x" * 2000])
JSON = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def without_long(plain: Any, most: int) -> Any:
    if isinstance(plain, str):
        return plain if len(json.dumps(plain)) <= most else ""
    if isinstance(plain, list):
        return [without_long(each, most) for each in plain]
    if isinstance(plain, dict):
        return {without_long(key, most): without_long(each, most) for key, each in plain.items()}
    return plain


@given(JSON, st.lists(st.integers(1, 50), max_size=40))
def test_it_is_the_same_without_its_long_strings(plain: Any, sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shorten, "MAX_STRING", 1500)
        shortener = Shortener()
        source = rest = json.dumps(plain).encode()
        found = b""
        for size in sizes:
            found += shortener.feed(rest[:size])
            rest = rest[size:]
        found += shortener.feed(rest) + shortener.finish()
        assert shortened(source) == found
    assert json.loads(found) == without_long(plain, 1500)


@pytest.mark.parametrize(
    "piece",
    [b"A", b'\\"', b'"a",', b'{"a":"b"},', b'"%b",' % (b"x" * 600), b'"' + b"x" * 500 + b'\\",'],
)
def test_a_slice_takes_little_whatever_it_holds(piece: bytes) -> None:
    source = b'{"a":"' + piece * (4 * MIB // len(piece))
    shortener = Shortener()
    began = time.process_time()
    for start in range(0, len(source), 64 * 1024):
        shortener.feed(source[start : start + 64 * 1024])
    assert time.process_time() - began < 2, "64 slices, each of a few milliseconds"


def keep(most: int, source: bytes) -> Kept:
    kept = Kept(most)
    for start in range(0, len(source), 10_000):
        kept.fresh += source[start : start + 10_000]
        kept.bound(len(kept.fresh))
    return kept


def test_a_text_is_kept_whole_up_to_a_bound() -> None:
    image = b'{"a":"%b","b":"c"}' % (b"A" * MIB)
    kept = keep(2 * MIB, image)
    assert kept.text(len(kept.fresh)) == image
    assert not kept.is_short
    kept = keep(MIB // 2, image)
    assert kept.text(len(kept.fresh)) == b'{"a":"","b":"c"}'
    assert kept.is_short
    assert not kept.is_oversized


def test_a_string_that_comes_in_bytes_is_not_looked_at_with_each() -> None:
    kept = keep(MIB, b'{"a":"%b","b":"%b' % (b"A" * MIB, b"B" * 40_000))
    assert kept.is_short
    began = time.process_time()
    for _ in range(20_000):
        kept.fresh += b"B"
        kept.bound(len(kept.fresh))
    assert time.process_time() - began < 0.5, "1 s if each byte costs what the string does"
    assert kept.text(len(kept.fresh)) == b'{"a":"","b":"%b' % (b"B" * 60_000)


def test_of_what_is_too_long_even_so_the_end_is_kept() -> None:
    texts = b'"%b",' % (b"a" * (MAX_STRING // 2)) * 40
    kept = keep(MIB, texts)
    assert kept.is_oversized
    assert texts.endswith(kept.text(len(kept.fresh)))
    assert len(kept.fresh) + len(kept._short) < 4 * MAX_STRING
