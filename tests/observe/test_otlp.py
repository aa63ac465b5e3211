"""Mistakes in the variables of OTLP."""

import pytest

from aibridged.observe.otlp import TracingError, protocol


@pytest.mark.parametrize(
    ("variables", "chosen"),
    [
        ({}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, "grpc"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http/protobuf"),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
            "grpc",
        ),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b, c=d=,"}, "grpc"),
    ],
)
def test_which_protocol_is_spoken(variables, chosen):
    assert protocol(variables) == chosen


def test_a_protocol_that_isnt_spoken():
    with pytest.raises(TracingError, match=r"^OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is 'http/json'"):
        protocol({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"})


@pytest.mark.parametrize("what", ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"])
@pytest.mark.parametrize("of", ["", "TRACES_"])
def test_a_file_that_cannot_be_read(what, of, tmp_path):
    variable = f"OTEL_EXPORTER_OTLP_{of}{what}"
    path = tmp_path / "file.pem"
    with pytest.raises(TracingError, match=f"^{variable} names a file .*{path}: No such file"):
        protocol({variable: str(path)})
    path.touch()
    assert protocol({variable: str(path)}) == "grpc"


@pytest.mark.parametrize("of", ["", "TRACES_"])
def test_headers_that_are_none_are_not_quoted(of):
    variable = f"OTEL_EXPORTER_OTLP_{of}HEADERS"
    with pytest.raises(TracingError, match=variable) as caught:
        protocol({variable: "a=b,canary-key"})
    assert "canary" not in str(caught.value)
