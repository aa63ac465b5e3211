"""Which models a request names beside its `model`: fallbacks, advisors, and whatever else runs one.

Providers keep adding such fields, so none is listed here: a field named like a model, at any depth
outside of the conversation and of JSON schemas, names one. What names a model in a way that can't
be seen is an error.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from aibridged.wire.bounds import UNREADABLE, elements
from aibridged.wire.outline import Span
from aibridged.wire.splice import Fields, UnsplittableError

MAX_CHECKED = 1024 * 1024
"""Bytes of a request beside its conversation."""
MAX_DECODED = 256 * 1024
"""Bytes of these that are decoded, because they may name a model."""
MAX_ELEMENTS = 16 * 1024
"""About how many elements these may have."""
_MAX_DEPTH = 64

# What a person or model says, and labels.
_CONVERSATION = frozenset({"messages", "input", "system", "instructions", "metadata"})
# What most requests have besides, and can't name a model.
_ORDINARY = _CONVERSATION | {
    "model",
    "stream",
    "store",
    "include",
    "user",
    "stop",
    "stop_sequences",
    "n",
    "seed",
    "max_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "parallel_tool_calls",
    "prompt_cache_key",
    "previous_response_id",
}
_TEMPLATES = ("prompt", "preset")
# What describes values rather than giving them.
_SCHEMAS = frozenset(
    {"input_schema", "parameters", "schema", "json_schema", "output_schema", "input_examples"}
)
# How the names of such fields end, in lower case.
_NAMES = re.compile(r"models?(?:_?(?:id|name|slug)s?)?$|fallback")
# The same in JSON, with a value: but for an object that begins like a schema.
_VALUES = (
    (
        b"model",
        re.compile(
            rb'model(?:s|s?_?(?:id|name|slug)s?)?"\s*+:\s*+'
            rb'(?!\{\s*"(?:type|description|title|enum|const|default|anyof|oneof|allof|\$ref)")'
        ),
    ),
    (b"fallback", re.compile(rb'fallback[\w.-]*"\s*:')),
    # A name may be spelled with escapes.
    (b"\\u00", re.compile(rb"\\u00[4567]")),
)
_SHORTEST = len(b'{"model":"m"}')
# An agent sends the same tools with each request, and their hash takes a tenth of a search.
_REMEMBERED = 64
_MAX_REMEMBERED = 64 * 1024
_TOO_LARGE = "The request is too large beside its conversation for its models to be checked."
_UNREADABLE = "The request can't be read."
_TWICE = "The request has a field twice, or too many of them."

_NULL = msgspec.Raw(b"null")
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class UnseenModelError(ValueError):
    """A request that may run models that can't be seen; the sentence says why, and the mend."""


def other_models(body: bytes, members: Mapping[str, Span] | None = None) -> Iterable[str]:
    """The models that a JSON body names, but for the value of its `model`.

    `members` are the positions of its fields, where they are known. It takes some microseconds, and
    a few milliseconds at the most.

    Raises:
        UnseenModelError: it can't be told; also while the models are looked through.
    """
    fields = _fields(body, members)
    return _in_fields(fields) if fields else ()


def _in_fields(fields: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    checked = decoded = 0
    for name, raw in fields:
        checked += len(raw)
        if checked > MAX_CHECKED:
            raise UnseenModelError(_TOO_LARGE)
        if name.lower() in _TEMPLATES and not (name == "prompt" and raw[:1] in (b'"', b"[")):
            raise UnseenModelError(
                f"The field {name} refers to settings that the provider keeps, which may choose "
                "another model. Models are restricted for you: send what it stands for instead."
            )
        if _may_name(raw) or _is_model(name):
            decoded += len(raw)
            if decoded > MAX_DECODED or elements(raw) > MAX_ELEMENTS:
                raise UnseenModelError(_TOO_LARGE)
            try:
                value = json.loads(raw, object_pairs_hook=_Pairs)
            except (ValueError, RecursionError):
                raise UnseenModelError(_UNREADABLE) from None
            yield from _named(_Pairs([(name, value)]), 0)


class _Pairs(list[tuple[str, Any]]):
    """An object, in which a provider may take any of the values that a key has."""


def _fields(body: bytes, members: Mapping[str, Span] | None) -> Sequence[tuple[str, bytes]]:
    """The fields that may name a model, and aren't null."""
    if members is None:
        try:
            found = _decode_fields(body)
        except UNREADABLE:
            raise UnseenModelError(_UNREADABLE) from None
        if _has_each_once(body, found):
            unusual = found.keys() - _ORDINARY
            return [(name, bytes(found[name])) for name in unusual if found[name] != _NULL]
    try:
        fields = Fields(body, members)
    except UnsplittableError:
        raise UnseenModelError(_TWICE) from None
    names = [name for name in fields.spans if name not in _ORDINARY]
    return [(name, raw) for name in names if (raw := fields.raw(name)) is not None]


def _has_each_once(body: bytes, found: Mapping[str, msgspec.Raw]) -> bool:
    """Whether no field was there twice: true only where that takes no search.

    Without blanks the sizes add up then. With one behind each comma and colon, as many programs
    write them, the body is what is written of the fields again.
    """
    count = len(found)
    blanks = len(body) - sum(map(len, found)) - sum(map(len, found.values())) - 4 * count - 1
    if blanks != 2 * count - 1:
        return blanks == 0
    fields = [b'"%b": %b' % (name.encode(), value) for name, value in found.items()]
    return body == b"{%b}" % b", ".join(fields)


def _may_name(raw: bytes) -> bool:
    if len(raw) < _SHORTEST:
        return False
    return _searched_once(raw) if len(raw) <= _MAX_REMEMBERED else _searched(raw)


def _searched(raw: bytes) -> bool:
    low = raw.lower()
    return any(mark in low and value.search(low) is not None for mark, value in _VALUES)


_searched_once = lru_cache(_REMEMBERED)(_searched)


def _is_model(name: str) -> bool:
    return _NAMES.search(name.lower()) is not None


def _named(value: Any, depth: int, *, under: bool = False) -> Iterator[str]:
    """The names in a value; `under` says that texts in it are names."""
    if depth > _MAX_DEPTH:
        raise UnseenModelError("The request is nested too deeply for its models to be checked.")
    if isinstance(value, str):
        if under:
            yield value
    elif isinstance(value, _Pairs):
        # An entry that says which model it is has other texts, too.
        plain = under and not any(_is_model(name) for name, _ in value)
        for name, each in value:
            if name not in _SCHEMAS:
                yield from _named(each, depth + 1, under=plain or _is_model(name))
    elif isinstance(value, list):
        for each in value:
            yield from _named(each, depth + 1, under=under)
