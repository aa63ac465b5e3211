"""A person's identity is in each resource of a batch, in both encodings, and nobody else's."""

import json
import time
from itertools import product

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aibridged.wire.outline import run
from aibridged.wire.telemetry import (
    MAX_COMMAS,
    MAX_FIELDS,
    MAX_GROUPS,
    MAX_RESOURCES,
    Encoding,
    Identity,
    MalformedTelemetryError,
    TelemetryTooComplexError,
    stamp,
)

ANN = Identity("ann-id", "ann", "ann@example.com", ("contractors", "core"))
NOBODY = Identity("local", "local", None, ())
TOLD = {
    "enduser.id": {"stringValue": "ann-id"},
    "user.id": {"stringValue": "ann-id"},
    "user.name": {"stringValue": "ann"},
    "user.email": {"stringValue": "ann@example.com"},
    "user.groups": {
        "arrayValue": {"values": [{"stringValue": "contractors"}, {"stringValue": "core"}]}
    },
}


def attribute(key, text):
    return {"key": key, "value": {"stringValue": text}}


EVIL = [attribute(key, "root") for key in sorted(Identity.KEYS)]
OWN = [attribute("service.name", "claude-code"), attribute("user.idea", "kept")]
SCOPES = {
    "metrics": {"scopeMetrics": [{"metrics": [{"name": "tokens"}], "schemaUrl": "s"}]},
    "logs": {"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hi"}}]}]},
    "traces": {"scopeSpans": [{"spans": [{"name": "turn", "traceId": "AAAA"}]}]},
}
NAMES = {"metrics": "resourceMetrics", "logs": "resourceLogs", "traces": "resourceSpans"}
KINDS = {
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
    "traces": ExportTraceServiceRequest,
}


def batch(signal):
    """One with impostors, one without attributes and one without a resource."""
    resource = {"attributes": [EVIL[0], OWN[0], *EVIL[1:], OWN[1]], "droppedAttributesCount": 3}
    groups = [{"resource": resource}, {"resource": {}}, {}]
    return {NAMES[signal]: [{**each, **SCOPES[signal], "schemaUrl": "u"} for each in groups]}


def stamped(signal, encoding, source, identity=ANN):
    """The batch that is sent for this one, as what its JSON says."""
    if encoding is Encoding.JSON:
        return json.loads(run(stamp(json.dumps(source).encode(), encoding, identity)))
    kind = KINDS[signal]
    body = _to_protobuf(kind, source)
    return MessageToDict(kind.FromString(run(stamp(body, encoding, identity))))


def _to_protobuf(kind, source):
    from google.protobuf.json_format import ParseDict

    return ParseDict(source, kind()).SerializeToString()


@pytest.mark.parametrize(("signal", "encoding"), [*product(NAMES, Encoding)])
def test_each_resource_has_the_identity_and_all_else_is_kept(signal, encoding):
    source = batch(signal)
    found = stamped(signal, encoding, source)
    groups = found[NAMES[signal]]
    told = [
        {each["key"]: each["value"] for each in group["resource"]["attributes"]} for group in groups
    ]
    own = {each["key"]: each["value"] for each in OWN}
    assert told == [{**TOLD, **own}, TOLD, TOLD]
    assert [len(group["resource"]["attributes"]) for group in groups] == [7, 5, 5]
    assert groups[0]["resource"]["droppedAttributesCount"] == 3
    for group, before in zip(groups, source[NAMES[signal]], strict=True):
        rest = {name: value for name, value in group.items() if name != "resource"}
        assert rest == {name: value for name, value in before.items() if name != "resource"}


@pytest.mark.parametrize("encoding", [*Encoding])
def test_what_is_not_known_of_a_person_is_not_taken_from_the_client(encoding):
    found = stamped("logs", encoding, batch("logs"), NOBODY)
    keys = {each["key"] for each in found["resourceLogs"][0]["resource"]["attributes"]}
    assert keys == {"enduser.id", "user.id", "user.name", "service.name", "user.idea"}


def field(number, value, kind=2):
    assert len(value) < 128
    return bytes([number << 3 | kind]) + (bytes([len(value)]) if kind == 2 else b"") + value


def evil_value(key=b"user.id"):
    return field(1, key) + field(2, field(1, b"root"))


@pytest.mark.parametrize(
    "group",
    [
        # A message may come in parts, and of a text the last one counts.
        field(1, field(1, evil_value())) + field(3, b"u") + field(1, field(1, evil_value())),
        field(1, field(1, field(1, b"x") + evil_value())),
        field(1, field(1, field(2, field(1, b"root")) + field(1, b"user.id"))),
        # A tag and a size in more bytes than they need.
        field(1, b"\x8a\x00" + b"\x91\x00" + evil_value()),
    ],
)
def test_no_spelling_of_protobuf_lets_another_identity_through(group):
    body = field(1, group)
    before = ExportLogsServiceRequest.FromString(body)
    assert "root" in str(before), "it is a batch with another identity"
    after = ExportLogsServiceRequest.FromString(run(stamp(body, Encoding.PROTOBUF, ANN)))
    assert "root" not in str(after)
    assert "ann-id" in str(after)


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceLogs":[{"resource":{"attributes":[{"key":"\\u0075ser.id","value":"root"}]}}]}',
        b'{"resourceLogs":[{"resource":{"attributes":[{"key":"x","value":"root","key":"user.id"}]}}]}',
        b'{"resourceLogs":[{"resource":{},"resource":{"attributes":[{"key":"user.id","value":"root"}]'
        b"}}]}",
        b'{"resource_logs":[{"resource":{"attributes":[{"key":"user.id","value":"root"}]}}]}',
        b'{"resourceLogs":[],"resourceLogs":[{"Resource":{"attributes":["root"]}}]}',
    ],
)
def test_no_spelling_of_json_lets_another_identity_through(body):
    assert b"root" not in run(stamp(body, Encoding.JSON, ANN))


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x00\x00",
        b"\x0b\x0c",  # a group
        b"\x8a\x80\x80\x80\x10\x00",  # the number 2**29 + 1
        b"\x0d\x00",
        field(1, b"\x0a\x7f"),
        field(1, field(1, b"\x0a\x7f")),
        field(1, field(1, field(1, b"\x0a\x7f"))),
        b"no protobuf",
    ],
)
def test_what_is_no_protobuf(body):
    with pytest.raises(MalformedTelemetryError):
        run(stamp(body, Encoding.PROTOBUF, ANN))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"resourceLogs":{}}',
        b'{"resourceLogs":[1]}',
        b'{"resourceLogs":[{"resource":1}]}',
        b'{"resourceLogs":[{"resource":{"attributes":[{"key":1}]}}]}',
        b'{"resourceLogs":[{"scopeLogs":' + b"[" * 100_000,
        b'{"resourceLogs":[{"resource":{"attributes":[{"key":"\xff"}]}}]}',
    ],
)
def test_what_is_no_json(body):
    with pytest.raises(MalformedTelemetryError):
        run(stamp(body, Encoding.JSON, ANN))


@pytest.mark.parametrize("encoding", [*Encoding])
def test_a_batch_of_nothing_stays_one(encoding):
    body = {Encoding.PROTOBUF: b"", Encoding.JSON: b"{}"}[encoding]
    assert run(stamp(body, encoding, ANN)) == body
    for signal in NAMES:
        assert stamped(signal, encoding, {NAMES[signal]: []}).get(NAMES[signal], []) == []


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (Encoding.PROTOBUF, b"\x0a\x00" * (MAX_RESOURCES + 1)),
        (Encoding.PROTOBUF, b"\x18\x01" * (MAX_FIELDS + 1)),
        (Encoding.JSON, b'{"resourceLogs":[' + b"{}," * MAX_RESOURCES + b"{}]}"),
        (Encoding.JSON, b'{"resourceLogs":[' + b"0," * MAX_COMMAS + b"0,0]}"),
    ],
)
def test_elements_have_a_bound(encoding, body):
    with pytest.raises(TelemetryTooComplexError):
        run(stamp(body, encoding, ANN))


def test_a_persons_groups_have_a_bound():
    many = Identity("i", "n", None, [f"group-{number}" for number in range(500)])
    assert len(many.protobuf()) < 1_500
    assert f"group-{MAX_GROUPS - 1}".encode() in many.protobuf()
    assert f"group-{MAX_GROUPS}".encode() not in b"".join(map(bytes, many.json()))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (Encoding.PROTOBUF, b"\x0a\x04\x0a\x02\x0a\x00" * 900 + b"\x18\x01" * 90_000),
        (Encoding.JSON, b'{"resourceLogs":[{"scopeLogs":"' + b"x" * 4_000_000 + b'"}]}'),
        (
            Encoding.JSON,
            b'{"resourceLogs":[{"resource":{"attributes":['
            + b'{"key":"aaaaaaaaaaaaaaaa","value":1},' * 49_000
            + b"{}]}}]}",
        ),
    ],
)
def test_no_step_takes_long(encoding, body):
    steps, took = stamp(body, encoding, ANN), []
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration:
            break
        took.append(time.thread_time() - began)
    assert sorted(took)[-2] < 0.02
