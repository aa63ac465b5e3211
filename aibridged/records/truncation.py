"""Truncation of stored texts: longer ones are cut, and marked with the size of the whole.

Hashing 32 MiB takes 20 ms and more, so it is never done on the event loop: a prompt is truncated in
a thread before its request is recorded, and a response's texts, which are bounded already, by the
writer's thread. Both process a text in windows: encoding holds the interpreter lock, and the event
loop must get it in between.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TypeVar

import msgspec

from aibridged.records.facts import (
    Fact,
    Metadata,
    ModelThoughtRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.wire.facts import CutText

DEFAULT_MAX_BYTES = 256 * 1024
"""Bytes, by default."""

_WINDOW = 64 * 1024  # characters
MAX_ENCODED = 4
"""Bytes of a character in UTF-8."""

TEXTS: Mapping[type, Sequence[tuple[str, str]]] = {
    UserPromptRecord: (("prompt", ""),),
    ToolUsageRecord: (("input", ""), ("invocation_error", "error_")),
    ModelThoughtRecord: (("content", ""),),
}
"""The texts of a record, and what stands before the names of their marks."""

T = TypeVar("T", bound=Fact)


class Truncator:
    """Truncates the texts of records to `max_bytes` of UTF-8, which may be changed.

    The metadata of a record with a truncated text has `cut`, and of the full text the `length` in
    bytes and the `sha256`, both of its UTF-8; for a tool's error they are `error_cut` and so on.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        # One thread: a caller's many long prompts queue up, and leave a core to others.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="truncation")

    def may_truncate(self, *facts: Fact) -> bool:
        """Cheap test whether `truncate` may have to change a record (false positives only)."""
        short = self.max_bytes // MAX_ENCODED
        for fact in facts:
            if (names := TEXTS.get(type(fact))) is None:
                continue
            for name, mark in names:
                text: str | None = getattr(fact, name)
                # Nearly all are short, which the first comparison shows.
                if (
                    text
                    and len(text) > short
                    and _may_exceed(text, self.max_bytes)
                    and not _is_cut(fact, mark)
                ):
                    return True
        return False

    def truncate(self, fact: T) -> T:
        """The record as it is stored. Slow where a text is long."""
        changes: dict[str, str] = {}
        marks: Metadata = {}
        for name, mark in TEXTS.get(type(fact), ()):
            text: str | None = getattr(fact, name)
            if text and _exceeds(text, self.max_bytes) and not _is_cut(fact, mark):
                changes[name] = _beginning(text, self.max_bytes)
                if f"{mark}cut" not in fact.metadata:  # type: ignore[union-attr]  # as below
                    marks |= _marks(mark, text)
        if not changes:
            return fact
        metadata = {**fact.metadata, **marks}  # type: ignore[union-attr]  # all with texts have it
        return msgspec.structs.replace(fact, **changes, metadata=metadata)

    async def truncate_in_thread(self, fact: T) -> T:
        """The same, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.truncate, fact)

    def close(self) -> None:
        """Stop the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def cut_short(fact: T, most: int) -> tuple[T, int]:
    """The record with texts of `most` characters together, and how many they are.

    For where there is no time: the whole of what is cut here is neither measured nor hashed.
    """
    changes: dict[str, str] = {}
    marks: Metadata = {}
    taken = 0
    for name, mark in TEXTS.get(type(fact), ()):
        text: str | None = getattr(fact, name)
        if text and len(text) > most - taken:
            changes[name] = text = text[: most - taken]
            marks[f"{mark}cut"] = True
        taken += len(text or "")
    if changes:
        metadata = {**marks, **fact.metadata}  # type: ignore[union-attr]  # as above
        fact = msgspec.structs.replace(fact, **changes, metadata=metadata)
    return fact, taken


def truncation_metadata(text: str) -> Metadata:
    """The marks of a text that was truncated as it was read."""
    if not isinstance(text, CutText):
        return {}
    return {"cut": True, "length": text.length, "sha256": text.sha256}


def _is_cut(fact: Fact, mark: str) -> bool:
    """Whether it was truncated before; if so, it stays as it is under another limit.

    What `cut_short` has cut has no length, and its limit is another.
    """
    return f"{mark}length" in fact.metadata  # type: ignore[union-attr]  # as above


def _may_exceed(text: str, most: int) -> bool:
    return len(text) > most or (len(text) * MAX_ENCODED > most and not text.isascii())


def _exceeds(text: str, most: int) -> bool:
    return _may_exceed(text, most) and (len(text) > most or len(_encoded(text)) > most)


def _beginning(text: str, most: int) -> str:
    return _encoded(text[:most])[:most].decode("utf-8", "ignore")


def _marks(mark: str, text: str) -> Metadata:
    length, digest = 0, sha256()
    for start in range(0, len(text), _WINDOW):
        window = _encoded(text[start : start + _WINDOW])
        length += len(window)
        digest.update(window)
    return {f"{mark}cut": True, f"{mark}length": length, f"{mark}sha256": digest.hexdigest()}


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
