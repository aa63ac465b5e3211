"""Where telemetry is relayed to, and what is wrong with destinations that can't be read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config.options import TelemetrySettings
from aibridged.config.resolution import Resolution
from aibridged.config.secret import Secret

Resolve = Callable[..., Resolution]
URL = "https://otlp.example.com"


def entry(number: int, **fields: str) -> dict[str, str]:
    return {f"CODER_AIBRIDGE_TELEMETRY_{number}_{name.upper()}": fields[name] for name in fields}


def read(resolution: Resolution) -> tuple[TelemetrySettings, ...]:
    assert resolution.mistakes == []
    assert resolution.settings is not None
    return resolution.settings.telemetry


def test_there_are_none_by_default(resolve: Resolve) -> None:
    assert read(resolve()) == ()


def test_all_that_can_be_said_in_variables(resolve: Resolve, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("Authorization: Bearer k3y\nX-Team: core\n")
    environ = {
        **entry(0, url=URL + "/", headers='X-Key: abc, "X-Two: a, b"', signals="logs, metrics"),
        **entry(1, url="http://127.0.0.1:4318/otlp", headers_file=str(tmp_path / "headers")),
    }
    assert read(resolve(environ=environ)) == (
        TelemetrySettings(
            URL, (("X-Key", Secret("abc")), ("X-Two", Secret("a, b"))), ("metrics", "logs")
        ),
        TelemetrySettings(
            "http://127.0.0.1:4318/otlp",
            (("Authorization", Secret("Bearer k3y")), ("X-Team", Secret("core"))),
        ),
    )


def test_the_same_in_the_file_with_a_mapping_of_headers(resolve: Resolve) -> None:
    text = f"aibridge: {{telemetry: [{{url: '{URL}', headers: {{X-A: b}}, signals: [traces]}}]}}"
    resolution = resolve(yaml=text)
    assert read(resolution) == (TelemetrySettings(URL, (("X-A", Secret("b")),), ("traces",)),)
    shown = {value.name: value.text for value in resolution.values}
    assert shown["telemetry[0].headers"] == "X-A: ****"


MISTAKES = [
    ({"headers": "X-A: b"}, "*", "the telemetry destination has no url"),
    ({"url": "otlp.example.com"}, "URL", "has no https:// or http:// in front"),
    ({"url": URL + "/v1/traces"}, "URL", "ends in the path of a signal, which the gateway"),
    ({"url": URL, "signals": "logs,spans"}, "SIGNALS", "'spans' is none of metrics, logs, traces"),
    ({"url": URL, "signals": ","}, "SIGNALS", "names no signal"),
    ({"url": URL, "headers": "content-type: a"}, "HEADERS", "content-type is reserved"),
    ({"url": URL, "headers_file": "/no/such"}, "HEADERS_FILE (/no/such)", "can't be read"),
]


@pytest.mark.parametrize(("fields", "where", "what"), MISTAKES)
def test_mistakes(fields: dict[str, str], where: str, what: str, resolve: Resolve) -> None:
    [mistake] = resolve(environ=entry(0, **fields)).mistakes
    assert mistake.where == f"CODER_AIBRIDGE_TELEMETRY_0_{where}"
    assert what in mistake.what


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://otlp.example.com", 1), ("http://127.0.0.1:4318", 0), (URL, 0)],
)
def test_a_destination_in_the_clear_is_warned_of(url: str, warned: int, resolve: Resolve) -> None:
    warnings = resolve(environ=entry(0, url=url)).warnings
    assert len([each for each in warnings if "plain HTTP" in each]) == warned
