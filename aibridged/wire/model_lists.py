"""Lists of models, in any provider's shape, without the models that aren't granted.

The entries that stay are the provider's bytes. Of Anthropic's pages the gateway asks for the whole
list, and cuts the client's page out of what is left.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec

from aibridged.wire.bounds import UNREADABLE
from aibridged.wire.outline import Steps

MAX_BYTES = 2 * 1024 * 1024
"""Of a list; the longest known one takes half of that."""
MAX_MODELS = 10_000
_PAGING = frozenset({"limit", "after_id", "before_id"})
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 1000
# Lists of entries, in what order their names are looked for.
_LISTS = ("data", "models")
_ID_FIELDS = ("id", "slug", "name", "model")
_AT_ONCE = 64

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(
    Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_MODELS)]
).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _Entry(msgspec.Struct):
    id: Any = None
    slug: Any = None
    name: Any = None
    model: Any = None


_decode_entry = msgspec.json.Decoder(_Entry).decode


class NoListError(ValueError):
    """What a provider sent is no list of models, or has too many."""


class Page(NamedTuple):
    """The page of the list that a client asks for; `limit` None is everything."""

    limit: int | None = None
    after_id: str | None = None
    before_id: str | None = None

    def cut(self, names: Sequence[str]) -> slice:
        """Where the page stands in the list; nowhere after or before an unknown model."""
        begin, end = 0, len(names)
        if self.after_id is not None:
            begin = names.index(self.after_id) + 1 if self.after_id in names else end
        elif self.before_id is not None:
            end = names.index(self.before_id) if self.before_id in names else 0
            if self.limit is not None:
                begin = max(0, end - self.limit)
        if self.limit is not None:
            end = min(end, begin + self.limit)
        return slice(begin, end)


def split_query(query: str, whole: str) -> tuple[Page, str]:
    """The page that a query asks for, and the query that asks for the whole list instead."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=None)
    given = {name: value for name, value in pairs if name in _PAGING}
    rest = urlencode([(name, value) for name, value in pairs if name not in _PAGING])
    text = given.get("limit", "")
    limit = int(text) if text.isdecimal() and len(text) < 6 else _DEFAULT_LIMIT
    page = Page(
        min(max(limit, 1), _MAX_LIMIT),
        given.get("after_id") or None,
        given.get("before_id") or None,
    )
    return page, f"{rest}&{whole}" if rest else whole


def granted_only(body: bytes, grants: Callable[[str], bool], page: Page) -> Steps[bytes]:
    """The list without the models that `grants` refuses, and of that the page; in steps.

    Raises:
        NoListError: see there.
    """
    try:
        if body.lstrip()[:1] == b"[":
            return _array(entry for _, entry in (yield from _kept(body, grants)))
        found = _decode_object(body)
        lists = [name for name in _LISTS if bytes(found.get(name, msgspec.Raw(b"")))[:1] == b"["]
        if not lists:
            raise NoListError
        fields: dict[str, bytes] = {name: bytes(value) for name, value in found.items()}
        for name in lists:
            kept = yield from _kept(found[name], grants)
            part = page.cut([model for model, _ in kept])
            fields[name] = _array(entry for _, entry in kept[part])
            if "has_more" in found:
                fields |= _position(kept, part, page)
        return b"{%b}" % b",".join(
            b"%b:%b" % (_encode(name), value) for name, value in fields.items()
        )
    except UNREADABLE:
        raise NoListError from None


def _kept(
    raw: bytes | msgspec.Raw, grants: Callable[[str], bool]
) -> Steps[list[tuple[str, bytes]]]:
    """The granted entries with their names."""
    kept = []
    for number, entry in enumerate(_decode_list(raw)):
        name = _name_of(entry)
        if name is not None and grants(name):
            kept.append((name, bytes(entry)))
        if number % _AT_ONCE == 0:
            yield
    return kept


def _name_of(entry: msgspec.Raw) -> str | None:
    if bytes(memoryview(entry)[:1]) == b'"':
        return str(_decode_any(entry))
    try:
        fields = _decode_entry(entry)
    except msgspec.ValidationError:
        return None
    names = (getattr(fields, field) for field in _ID_FIELDS)
    return next((name for name in names if isinstance(name, str)), None)


def _position(kept: Sequence[tuple[str, bytes]], part: slice, page: Page) -> dict[str, bytes]:
    names = [name for name, _ in kept[part]]
    more = part.start > 0 if page.before_id is not None else part.stop < len(kept)
    return {
        "has_more": b"true" if more and names else b"false",
        "first_id": _encode(names[0] if names else None),
        "last_id": _encode(names[-1] if names else None),
    }


def _array(entries: Any) -> bytes:
    return b"[%b]" % b",".join(entries)
