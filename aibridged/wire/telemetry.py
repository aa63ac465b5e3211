"""Telemetry in OTLP: puts a person's identity into the resources, in protobuf and in JSON.

Only the resources are looked into: what was measured is copied as it is. An attribute with a key of
ours that the client sent is left out, so that no client can pass as another person. Work is done in
steps of bounded time (see `wire.outline.Steps`).

Sources: opentelemetry-proto 1.x (a batch is `repeated` field 1, of which field 1 is the resource,
whose field 1 are the attributes, for every signal), and the protobuf encoding.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from aibridged.wire.outline import Steps

MAX_RESOURCES = 1_000
"""Resources in one batch."""
MAX_FIELDS = 100_000
"""Protobuf fields that are looked at in one batch."""
MAX_COMMAS = 100_000
"""Commas in one batch of JSON: they bound the elements that a decoder makes."""
MAX_GROUPS = 50
"""Groups of a person that are told."""
_STEP = 256  # fields

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT = 10  # bytes
# Some decoders would take the lower bits of a greater one.
_MAX_NUMBER = 2**29 - 1
_FIRST = 1  # the number of the field that matters, at each level
_FIRST_TAG = bytes([_FIRST << 3 | _BYTES])


class Signal(StrEnum):
    """What a batch of telemetry consists of, as in the path."""

    METRICS = "metrics"
    LOGS = "logs"
    TRACES = "traces"


class Encoding(StrEnum):
    """The media type of a batch."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


class MalformedTelemetryError(ValueError):
    """The bytes aren't a batch; the message quotes nothing."""


class TelemetryTooComplexError(ValueError):
    """A bound is exceeded; the message names it."""


class Identity:
    """A person's identity as resource attributes.

    `enduser.id`, `user.id`, `user.name` and `user.email` are OpenTelemetry's names; it has none for
    groups, which are in `user.groups`.
    """

    KEYS = frozenset({"enduser.id", "user.id", "user.name", "user.email", "user.groups"})

    def __init__(self, id: str, name: str, email: str | None, groups: Sequence[str]) -> None:
        texts = {"enduser.id": id, "user.id": id, "user.name": name}
        if email is not None:
            texts["user.email"] = email
        self._texts = texts
        self._groups = list(groups[:MAX_GROUPS])

    def protobuf(self) -> bytes:
        """The attributes as fields of a resource."""
        values = {key: _field(1, _text(text)) for key, text in self._texts.items()}
        if self._groups:
            each = (_field(1, _field(1, _text(group))) for group in self._groups)
            values["user.groups"] = _field(5, b"".join(each))
        return b"".join(
            _field(1, _field(1, key.encode()) + _field(2, value)) for key, value in values.items()
        )

    def json(self) -> list[msgspec.Raw]:
        """The attributes as elements of a resource's list."""
        values: dict[str, object] = {
            key: {"stringValue": _text(text).decode()} for key, text in self._texts.items()
        }
        if self._groups:
            each = [{"stringValue": _text(group).decode()} for group in self._groups]
            values["user.groups"] = {"arrayValue": {"values": each}}
        return [msgspec.Raw(_encode({"key": key, "value": value})) for key, value in values.items()]


def stamp(body: bytes, encoding: Encoding, identity: Identity) -> Steps[bytes]:
    """The batch with the identity in each resource.

    Raises:
        MalformedTelemetryError, TelemetryTooComplexError
    """
    if encoding is Encoding.JSON:
        return _stamp_json(body, identity)
    return _Stamper(body, identity).run()


class _Field(NamedTuple):
    number: int
    kind: int
    start: int
    value: int
    end: int

    @property
    def is_first(self) -> bool:
        """Whether it is the field that matters at its level: a message, or a text."""
        return self.number == _FIRST and self.kind == _BYTES


class _Stamper:
    """Walks through a batch in protobuf."""

    def __init__(self, body: bytes, identity: Identity) -> None:
        self._body = body
        self._view = memoryview(body)
        self._ours = identity.protobuf()
        self._keys = frozenset(key.encode() for key in identity.KEYS)
        self._fields = 0
        self._resources = 0

    def run(self) -> Steps[bytes]:
        pieces: list[bytes | memoryview] = []
        at = 0
        while at < len(self._body):
            field = yield from self._next(at, len(self._body))
            at = field.end
            if field.is_first:
                pieces += yield from self._group(field)
            else:
                pieces.append(self._view[field.start : field.end])
        return b"".join(pieces)

    def _group(self, group: _Field) -> Steps[list[bytes | memoryview]]:
        """What belongs to one resource. A message that comes in parts is one message."""
        self._resources += 1
        if self._resources > MAX_RESOURCES:
            raise TelemetryTooComplexError(f"There are more than {MAX_RESOURCES} resources.")
        resource: list[bytes | memoryview] = [self._ours]
        others: list[bytes | memoryview] = []
        at = group.value
        while at < group.end:
            field = yield from self._next(at, group.end)
            at = field.end
            if field.is_first:
                resource += yield from self._of_client(field)
            else:
                others.append(self._view[field.start : field.end])
        head = _FIRST_TAG + _varint(sum(map(len, resource)))
        size = len(head) + sum(map(len, resource)) + sum(map(len, others))
        return [_FIRST_TAG + _varint(size), head, *resource, *others]

    def _of_client(self, resource: _Field) -> Steps[list[bytes | memoryview]]:
        """The fields of a resource without the attributes that are ours to give."""
        kept: list[bytes | memoryview] = []
        at = resource.value
        while at < resource.end:
            field = yield from self._next(at, resource.end)
            at = field.end
            if field.is_first and (yield from self._key(field)) in self._keys:
                continue
            kept.append(self._view[field.start : field.end])
        return kept

    def _key(self, attribute: _Field) -> Steps[bytes]:
        """The key of an attribute: the last one, if there are several."""
        key = b""
        at = attribute.value
        while at < attribute.end:
            field = yield from self._next(at, attribute.end)
            at = field.end
            if field.is_first:
                key = self._body[field.value : field.end]
        return key

    def _next(self, at: int, end: int) -> Steps[_Field]:
        """The field at this position of a message that ends there."""
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise TelemetryTooComplexError(f"There are more than {MAX_FIELDS} fields.")
        if self._fields % _STEP == 0:
            yield
        start = at
        tag, at = self._read_varint(at, end)
        number, kind = tag >> 3, tag & 7
        value = at
        if kind == _VARINT:
            _, at = self._read_varint(at, end)
        elif kind == _BYTES:
            size, value = self._read_varint(at, end)
            at = value + size
        elif kind in _SIZES:
            at += _SIZES[kind]
        else:
            raise MalformedTelemetryError
        if not 0 < number <= _MAX_NUMBER or at > end:
            raise MalformedTelemetryError
        return _Field(number, kind, start, value, at)

    def _read_varint(self, at: int, end: int) -> tuple[int, int]:
        body, value = self._body, 0
        for place in range(min(_MAX_VARINT, end - at)):
            byte = body[at + place]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value, at + place + 1
        raise MalformedTelemetryError


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value


def _text(text: str) -> bytes:
    return text.encode(errors="replace")


# What isn't a field of the protocol is left out, and so are the objects that it would take to keep.
class _Attribute(msgspec.Struct):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw(b"{}")


class _Resource(msgspec.Struct, rename="camel", omit_defaults=True):
    attributes: list[msgspec.Raw] | None = None
    dropped_attributes_count: msgspec.Raw = msgspec.Raw()
    entity_refs: msgspec.Raw = msgspec.Raw()


class _Group(msgspec.Struct, rename="camel", omit_defaults=True):
    resource: msgspec.Raw = msgspec.Raw()
    scope_metrics: msgspec.Raw = msgspec.Raw()
    scope_logs: msgspec.Raw = msgspec.Raw()
    scope_spans: msgspec.Raw = msgspec.Raw()
    schema_url: msgspec.Raw = msgspec.Raw()


class _Batch(msgspec.Struct, rename="camel", omit_defaults=True):
    resource_metrics: list[msgspec.Raw] | None = None
    resource_logs: list[msgspec.Raw] | None = None
    resource_spans: list[msgspec.Raw] | None = None


_encode = msgspec.json.Encoder().encode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_group = msgspec.json.Decoder(_Group).decode
_decode_resource = msgspec.json.Decoder(_Resource | None).decode
_decode_attribute = msgspec.json.Decoder(_Attribute).decode


def _stamp_json(body: bytes, identity: Identity) -> Steps[bytes]:
    if body.count(b",") > MAX_COMMAS:
        raise TelemetryTooComplexError(f"There are more than {MAX_COMMAS} commas.")
    try:
        batch = _decode_batch(body)
        yield
        ours = identity.json()
        found = 0
        for groups in (batch.resource_metrics, batch.resource_logs, batch.resource_spans):
            found += len(groups or ())
            if found > MAX_RESOURCES:
                raise TelemetryTooComplexError(f"There are more than {MAX_RESOURCES} resources.")
            for place, group in enumerate(groups or ()):
                assert groups is not None
                groups[place] = yield from _stamp_group(group, ours)
        return _encode(batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedTelemetryError from None


def _stamp_group(source: msgspec.Raw, ours: Sequence[msgspec.Raw]) -> Steps[msgspec.Raw]:
    group = _decode_group(source)
    yield
    resource = (_decode_resource(group.resource) if group.resource else None) or _Resource()
    kept = [*ours]
    for count, each in enumerate(resource.attributes or ()):
        if count % _STEP == 0:
            yield
        attribute = _decode_attribute(each)
        if attribute.key not in Identity.KEYS:
            # Not as it came, which may have the key twice.
            kept.append(msgspec.Raw(_encode(attribute)))
    resource.attributes = kept
    group.resource = msgspec.Raw(_encode(resource))
    yield
    return msgspec.Raw(_encode(group))
