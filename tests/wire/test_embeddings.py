"""Embeddings are counted and not read, whatever their size and form."""

import time

import msgspec
import pytest

from aibridged.wire.embeddings import KEPT, EmbeddingsReader
from aibridged.wire.facts import ProviderError, ResponseFacts, TokenUsage, WireApi
from aibridged.wire.response import open_reader

USAGE = {"prompt_tokens": 8, "total_tokens": 8}
FLOATS = [0.0023064255, -0.009327292] * 20_000
BASE64 = "AAAAvwAA" * 20_000


def answer(vector: object, **fields: object) -> bytes:
    data = [{"object": "embedding", "embedding": vector, "index": 0}]
    return msgspec.json.encode({"object": "list", "data": data, **fields})


def read(body: bytes, size: int = 1460, *, complete: bool = True) -> ResponseFacts:
    reader = open_reader(WireApi.EMBEDDINGS, "application/json")
    for start in range(0, len(body), size):
        reader.feed(body[start : start + size])
    return reader.finish(complete)


@pytest.mark.parametrize("size", [1, 7, 1460, 1 << 20])
@pytest.mark.parametrize("vector", [[0.1], FLOATS[:2000], FLOATS[:4000], BASE64[:30_000]])
def test_model_and_usage_are_found_behind_the_vectors(vector: object, size: int) -> None:
    got = read(answer(vector, model="text-embedding", usage=USAGE), size)
    assert got == ResponseFacts(model="text-embedding", usage=TokenUsage(8), complete=True)


def test_and_before_them() -> None:
    data = answer(FLOATS)
    body = b'{"model":"text-embedding","usage":{"prompt_tokens":8},' + data[1:]
    assert read(body) == ResponseFacts(model="text-embedding", usage=TokenUsage(8), complete=True)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 2}}, TokenUsage(6, 0, 2)),
        ({"total_tokens": 9}, TokenUsage(9)),
        ({"prompt_tokens": 0, "total_tokens": 0}, TokenUsage()),
        (None, None),
        ([], None),
    ],
)
def test_usage_of_other_servers(usage: object, expected: TokenUsage | None) -> None:
    assert read(answer([0.1], usage=usage)).usage == expected


def test_the_sum_counts_and_not_one_vectors_part() -> None:
    parts = [{"embedding": FLOATS[:5000], "usage": {"prompt_tokens": 1}} for _ in range(3)]
    body = msgspec.json.encode({"data": parts, "usage": USAGE})
    assert read(body).usage == TokenUsage(8)


def test_an_error_is_one() -> None:
    got = read(b'{"error":{"message":"No such model","type":"invalid_request_error","code":"c"}}')
    assert got.error == ProviderError("invalid_request_error", "c", "No such model")
    assert not got.complete
    assert read(b'{"error":', complete=False).error == ProviderError(None, None, None)


def test_what_broke_off_has_no_usage() -> None:
    whole = answer(FLOATS, model="m", usage=USAGE)
    got = read(whole[: len(whole) // 2], complete=False)
    assert (got.usage, got.complete) == (None, False)


def test_neither_size_nor_form_costs_memory_or_time() -> None:
    """What is kept is bounded, and searching it for hostile marks takes a few milliseconds."""
    reader = EmbeddingsReader()
    for _ in range(2_000):
        reader.feed(b"0.0023064255," * 1_000)
    assert len(reader._beginning) + len(reader._end) <= 3 * KEPT
    for mark in (b'"usage":{', b'"usage":{"a":{},', b'"usage":' + b" " * 50, b'"model":"', b"{"):
        reader = EmbeddingsReader()
        reader.feed(mark * (4 * KEPT // len(mark)))
        began = time.process_time()
        reader.finish(complete=True)
        assert time.process_time() - began < 0.1
