"""Validation of the `OTEL_*` variables for exporting spans over OTLP.

OpenTelemetry's SDK reads them all; but where one is malformed it ignores it, or quotes it.
"""

from collections.abc import Mapping

from aibridged.config.resolution import StartError

_GRPC = "grpc"
PROTOCOLS = (_GRPC, "http/protobuf")

# The variable for traces has precedence over the one for all signals.
_PREFIXES = ("OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_")
_FILES = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")


class TracingError(StartError):
    """Spans can't be exported with these variables; the message names what to change."""


def protocol(environ: Mapping[str, str]) -> str:
    """The export protocol: one of `PROTOCOLS`. The default is Coder's, gRPC.

    Raises:
        TracingError: the protocol is unknown, a file can't be read, or headers are malformed.
    """
    for prefix in _PREFIXES:
        for suffix in _FILES:
            _check_file(environ, prefix + suffix)
        _check_headers(environ, f"{prefix}HEADERS")
    for prefix in _PREFIXES:
        if name := environ.get(f"{prefix}PROTOCOL"):
            if name not in PROTOCOLS:
                raise TracingError(
                    f"{prefix}PROTOCOL is {name!r}.", f"Choose {' or '.join(PROTOCOLS)}."
                )
            return name
    return _GRPC


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
