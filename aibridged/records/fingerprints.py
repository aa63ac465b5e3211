"""Fingerprints of prompts: keyed hashes of a request's blocks, and how they are stored.

The key belongs to the installation, so that short texts can't be found by hashing guesses. A
prompt mostly begins like the one before it in its conversation: its row has only the blocks behind
those, and the id of that other one, `base_id`.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from aibridged.core.cache_breaks import DIGEST, Prompt, Trait
from aibridged.wire.prompt_blocks import LONG_LIFETIME, SHORT_LIFETIME, Block

KEY_FILE = "prompt-fingerprints.key"
"""In the state directory: the key of the installation."""

_PACKED = struct.Struct(f">{DIGEST}sBBBI")
_LIFETIMES = (0, SHORT_LIFETIME, LONG_LIFETIME)
_MAX_WORDS = 255
_OTHER = "other"
_MAX_SIZE = 2**32 - 1
_KEY_ID = 4  # bytes that tell keys apart

_encode = msgspec.msgpack.Encoder().encode


class Stored(NamedTuple):
    """A row: `total` blocks, the first `shared` of them as in the prompt of `base_id`.

    `blocks` are the last ones: those behind the shared ones, or all.
    """

    interception_id: str
    api: str
    base_id: str | None
    shared: int
    total: int
    blocks: bytes


class _Blocks(msgspec.Struct, array_like=True, frozen=True):
    key_id: bytes
    words: list[str]
    packed: bytes


_decode = msgspec.msgpack.Decoder(_Blocks).decode


class Hasher:
    """Makes the fingerprints of one installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.key_id = blake2b(b"key", key=key, digest_size=_KEY_ID).digest()

    def digest(self, block: Block) -> bytes:
        """The fingerprint of a block."""
        made = blake2b(block.kind.encode(), key=self._key, digest_size=DIGEST)
        for piece in block.content:
            # No JSON has a NUL in it: pieces can't be shifted.
            made.update(b"\0")
            made.update(piece)
        return made.digest()


def trait(block: Block) -> Trait:
    """What is kept of a block beside its fingerprint."""
    return Trait(block.kind, block.role, min(block.size, _MAX_SIZE), block.lifetime)


def pack(key_id: bytes, digests: bytes, traits: Sequence[Trait], first: int = 0) -> bytes:
    """The blocks from the `first` on, for a row; words beyond the 254 first ones are `other`."""
    words: dict[str, int] = {_OTHER: 0}
    packed = bytearray()
    for index in range(first, len(traits)):
        each = traits[index]
        kind, role = (_number(words, word) for word in (each.kind, each.role))
        digest = digests[index * DIGEST : (index + 1) * DIGEST]
        lifetime = _LIFETIMES.index(each.lifetime)
        packed += _PACKED.pack(digest, kind, role, lifetime, each.size)
    return _encode(_Blocks(key_id, list(words), bytes(packed)))


def _number(words: dict[str, int], word: str) -> int:
    if word not in words and len(words) >= _MAX_WORDS:
        return 0
    return words.setdefault(word, len(words))


class _Tail(NamedTuple):
    key_id: bytes
    digests: bytes
    traits: tuple[Trait, ...]


def _unpack(blocks: bytes) -> _Tail:
    found = _decode(blocks)
    digests, traits, words = bytearray(), [], found.words
    for digest, kind, role, lifetime, size in _PACKED.iter_unpack(found.packed):
        digests += digest
        traits.append(Trait(words[kind], words[role], size, _LIFETIMES[lifetime]))
    return _Tail(found.key_id, bytes(digests), tuple(traits))


def assembled(id: str, rows: Mapping[str, Stored]) -> tuple[bytes, Prompt] | None:
    """The whole prompt of an interception, of its row and of those that it builds on; and its key.

    None where one of them is missing or can't be read.
    """
    tails: list[_Tail] = []
    wanted, row = None, rows.get(id)
    for _ in rows:
        if row is None:
            break
        try:
            tail = _unpack(row.blocks)
        except (msgspec.DecodeError, struct.error, IndexError):
            return None
        total = row.total if wanted is None else wanted
        first = row.total - len(tail.traits)
        if total > first:
            tails.append(_Tail(tail.key_id, *_beginning(tail, total - first)))
        if first == 0:
            return _joined(tails)
        wanted, row = min(total, first), rows.get(row.base_id or "")
    return None


def new_traits(row: Stored) -> Sequence[Trait]:
    """The traits of the blocks that the prompt before it hadn't; none of a row that isn't read."""
    try:
        traits = _unpack(row.blocks).traits
    except (msgspec.DecodeError, struct.error, IndexError):
        return ()
    return traits[row.shared - (row.total - len(traits)) :]


def _beginning(tail: _Tail, count: int) -> tuple[bytes, tuple[Trait, ...]]:
    return tail.digests[: count * DIGEST], tail.traits[:count]


def _joined(tails: Sequence[_Tail]) -> tuple[bytes, Prompt] | None:
    parts = tails[::-1]
    if not parts or len({each.key_id for each in parts}) > 1:
        return None
    return parts[0].key_id, Prompt(
        b"".join(each.digests for each in parts),
        tuple(trait for each in parts for trait in each.traits),
    )


def bases(rows: Iterable[Stored]) -> set[str]:
    """The ids of the rows that these build on."""
    return {
        row.base_id for row in rows if row.base_id is not None and row.total > _count(row.blocks)
    }


def _count(blocks: bytes) -> int:
    try:
        return len(_decode(blocks).packed) // _PACKED.size
    except msgspec.DecodeError:
        return 0
