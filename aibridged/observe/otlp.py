"""Validation of the `OTEL_*` variables for exporting spans over OTLP.

OpenTelemetry's SDK reads them all; but where one is malformed it ignores it, or quotes it.
"""

from collections.abc import Mapping, Sequence

from aibridged.config.resolution import StartError

_GRPC = "grpc"
_SAMPLER, _RATIO = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_DIGITS = 18
_MAX_SHOWN = 40
PROTOCOLS = (_GRPC, "http/protobuf")

# The variable for traces has precedence over the one for all signals.
_PREFIXES = ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_")
_FILES = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
_COMPRESSIONS = ("gzip", "deflate", "none")
_SAMPLERS = (
    "always_on",
    "always_off",
    "parentbased_always_on",
    "parentbased_always_off",
    "traceidratio",
    "parentbased_traceidratio",
)
_POSITIVE = (
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
)
_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)


class TracingError(StartError):
    """Spans can't be exported with these variables; the message names what to change."""


def protocol(environ: Mapping[str, str]) -> str:
    """The export protocol: one of `PROTOCOLS`. The default is Coder's, gRPC.

    Raises:
        TracingError: the protocol or another value is unknown, a file can't be read, or headers
            are malformed.
    """
    _check_sampler(environ)
    for variable in _POSITIVE:
        _check_number(environ, variable, 1)
    for variable in _LIMITS:
        _check_number(environ, variable, 0)
    for prefix in _PREFIXES:
        for suffix in _FILES:
            _check_file(environ, prefix + suffix)
        _check_timeout(environ, f"{prefix}TIMEOUT")
        _check_choice(environ, f"{prefix}COMPRESSION", _COMPRESSIONS)
        _check_headers(environ, f"{prefix}HEADERS")
    for prefix in _PREFIXES:
        if name := _check_choice(environ, f"{prefix}PROTOCOL", PROTOCOLS):
            return name
    return _GRPC


def _check_choice(environ: Mapping[str, str], variable: str, choices: Sequence[str]) -> str:
    """The value, "" for none."""
    value = environ.get(variable, "").strip()
    if value and value.lower() not in choices:
        *others, last = choices
        raise TracingError(
            f"{variable} is {_shown(value)}.", f"Choose {', '.join(others)} or {last}."
        )
    return value.lower()


def _check_sampler(environ: Mapping[str, str]) -> None:
    sampler, ratio = _check_choice(environ, _SAMPLER, _SAMPLERS), environ.get(_RATIO, "")
    if not sampler.endswith("traceidratio") or not ratio:
        return
    try:
        is_ratio = 0 <= float(ratio) <= 1
    except ValueError:
        is_ratio = False
    if not is_ratio:
        raise TracingError(
            f"{_RATIO} is {_shown(ratio)}.", "Write a number from 0 to 1, such as 0.1."
        )


def _check_number(environ: Mapping[str, str], variable: str, least: int) -> None:
    text = environ.get(variable, "").strip()
    if text and not (text.isascii() and text.isdecimal() and int(text[:_DIGITS]) >= least):
        raise TracingError(
            f"{variable} is {_shown(text)}.",
            f"Write a whole number, at least {least}, without a unit.",
        )


def _check_timeout(environ: Mapping[str, str], variable: str) -> None:
    text = environ.get(variable, "")
    try:
        is_right = not text or float(text) > 0
    except ValueError:
        is_right = False
    if not is_right:
        raise TracingError(
            f"{variable} is {_shown(text)}.", "Write a number of seconds, without a unit."
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def _check_file(environ: Mapping[str, str], variable: str) -> None:
    if path := environ.get(variable):
        try:
            open(path, "rb").close()
        except OSError as error:
            raise TracingError(
                f"{variable} names a file that can't be read: {path}: {error.strerror}.",
                "Correct or unset it.",
            ) from None


def _check_headers(environ: Mapping[str, str], variable: str) -> None:
    for header in environ.get(variable, "").split(","):
        if header.strip() and not header.partition("=")[1]:
            # Not its value: it may be a key.
            raise TracingError(f"{variable} is no list.", "Write name=value,other=value.")
