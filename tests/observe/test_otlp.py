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


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_TRACES_SAMPLER", "sometimes", "'sometimes'. Choose always_on, always_off,"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "'zip'. Choose gzip, deflate or none."),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "'10s'. Write a number of seconds, without a unit."),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", "'0'. Write a number of seconds"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", "'5s'. Write a whole number, at least 1,"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "'0'. Write a whole number, at least 1,"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", "'-1'. Write a whole number, at least 0,"),
        ("OTEL_TRACES_SAMPLER", "x" * 1000, f"'{'x' * 40}…'. Choose"),
    ],
)
def test_a_value_that_cannot_be_used(variable, value, said):
    with pytest.raises(TracingError) as caught:
        protocol({variable: value})
    assert str(caught.value).startswith(f"{variable} is {said}")


@pytest.mark.parametrize("ratio", ["some", "1.5", "-1", "nan"])
def test_a_ratio_that_is_none(ratio):
    variables = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    with pytest.raises(TracingError, match=r"OTEL_TRACES_SAMPLER_ARG is .* from 0 to 1"):
        protocol(variables)
    # Another sampler's argument isn't a ratio.
    assert protocol({**variables, "OTEL_TRACES_SAMPLER": "always_on"}) == "grpc"


def test_values_that_can_be_used():
    variables = {
        "OTEL_TRACES_SAMPLER": "ParentBased_TraceIdRatio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "GZIP",
        "OTEL_BSP_SCHEDULE_DELAY": "5000",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0",
    }
    assert protocol(variables) == "grpc"
