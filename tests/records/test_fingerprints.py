"""Fingerprints of prompts: keyed hashes, packed into rows that build on one another."""

import pytest

from aibridged.core.cache_breaks import DIGEST, Trait
from aibridged.records.fingerprints import Hasher, Stored, assembled, bases, pack, trait
from aibridged.wire.prompt_blocks import Block

KEY = b"k" * 32


def block(*content, kind="text"):
    return Block(kind, "user", 7, 300, content)


def digests(count, mark=b"."):
    return b"".join(number.to_bytes(2) + mark * (DIGEST - 2) for number in range(count))


def traits(count):
    return tuple(Trait("text", "user", number, 0) for number in range(count))


def row(id, total, shared=0, base=None, first=0, key=b"key1", mark=b"."):
    blocks = pack(key, digests(total, mark), traits(total), first)
    return Stored(id, "messages", base, shared, total, blocks)


def test_a_hash_is_of_the_key_the_kind_and_all_of_the_content():
    made = {
        Hasher(key).digest(each)
        for key in (KEY, b"l" * 32)
        for each in (
            block(b"ab", b"c"),
            block(b"a", b"bc"),
            block(b"abc"),
            block(b"ab", b"c", kind="tool_use"),
        )
    }
    assert len(made) == 8
    assert {len(each) for each in made} == {DIGEST}
    assert Hasher(KEY).key_id != Hasher(b"l" * 32).key_id


def test_a_size_has_a_bound():
    assert trait(block()._replace(size=2**40)).size == 2**32 - 1


def test_a_prompt_is_put_together_of_the_rows_it_builds_on():
    rows = {
        "1": row("1", 5),
        "2": row("2", 7, shared=5, base="1", first=5),
        # Shorter: it shares what the second had of the first.
        "3": row("3", 6, shared=3, base="2", first=3, mark=b"!"),
        "4": row("4", 9, shared=6, base="3", first=6, mark=b"!"),
    }
    assert [assembled(id, rows)[1].digests for id in "12"] == [digests(5), digests(7)]
    third = digests(3) + digests(6, b"!")[3 * DIGEST :]
    assert assembled("3", rows)[1].digests == third
    key_id, fourth = assembled("4", rows)
    assert key_id == b"key1"
    assert fourth.digests == third + digests(9, b"!")[6 * DIGEST :]
    assert fourth.traits == traits(9)
    assert bases(rows.values()) == {"1", "2", "3"}


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"2": row("2", 7, shared=5, base="1", first=5)},
        {"2": row("2", 7, shared=5, base="2", first=5)},
        {"2": row("2", 7)._replace(blocks=b"?")},
        {"1": row("1", 5, key=b"key2"), "2": row("2", 7, shared=5, base="1", first=5)},
    ],
)
def test_what_is_missing_or_of_another_key_makes_no_prompt(rows):
    assert assembled("2", rows) is None


def test_a_row_with_all_of_its_blocks_needs_no_other():
    whole = row("2", 7, shared=5, base="1")
    assert assembled("2", {"2": whole})[1].digests == digests(7)
    assert bases([whole]) == set()


def test_words_have_a_bound():
    many = tuple(Trait(f"kind{number}", "user", 1, 0) for number in range(300))
    packed = Stored("1", "messages", None, 0, 300, pack(b"key1", digests(300), many))
    found = [each.kind for each in assembled("1", {"1": packed})[1].traits]
    assert found[:253] == [f"kind{number}" for number in range(253)]
    assert set(found[254:]) == {"other"}
