"""What is wrong between settings that are each right."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config import extras
from aibridged.config.resolution import Mistake, Resolution

Resolve = Callable[..., Resolution]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1"])
def test_loopback_needs_no_authentication(address: str, resolve: Resolve) -> None:
    assert resolve({"--http-address": address}).mistakes == []


@pytest.mark.parametrize("address", [":1", "0.0.0.0:1", "[::]:1", "192.0.2.1:1", "host.lan:1"])
def test_other_addresses_do(address: str, resolve: Resolve) -> None:
    assert resolve(
        environ={"CODER_HTTP_ADDRESS": address, "CODER_AIBRIDGE_AUTH": "none"}
    ).mistakes == [
        Mistake(
            "CODER_HTTP_ADDRESS",
            f"{address} is reachable from other machines, and authentication is disabled",
            "Listen on 127.0.0.1:1 or [::1]:1, or set --aibridge-auth to token.",
        )
    ]
    assert resolve(environ={"CODER_HTTP_ADDRESS": address}).mistakes == []


def test_a_coder_deployment_needs_its_address(resolve: Resolve) -> None:
    assert resolve(environ={"CODER_AIBRIDGE_AUTH": "coder"}).mistakes == [
        Mistake(
            "CODER_AIBRIDGE_AUTH",
            "--coder-url is missing",
            "Set it to the URL of the Coder deployment.",
        )
    ]


def test_systemds_directory_counts_where_nothing_else_is_given(resolve: Resolve) -> None:
    system = {"STATE_DIRECTORY": "/var/lib/aibridged"}
    assert resolve(environ=system).settings.state_dir == Path("/var/lib/aibridged")
    given = {**system, "CODER_STATE_DIR": "/elsewhere"}
    assert resolve(environ=given).settings.state_dir == Path("/elsewhere")


def test_a_certificate_and_its_key_are_fine(resolve: Resolve, tls_pair: tuple[Path, Path]) -> None:
    cert, key = tls_pair
    assert resolve({"--tls-cert-file": str(cert), "--tls-key-file": str(key)}).mistakes == []


@pytest.mark.parametrize(("has", "lacks"), [("cert", "key"), ("key", "cert")])
def test_one_tls_file_without_the_other(has: str, lacks: str, resolve: Resolve) -> None:
    assert resolve({f"--tls-{has}-file": "/x"}).mistakes == [
        Mistake(
            f"--tls-{has}-file",
            f"--tls-{lacks}-file is missing",
            "Set both, or neither.",
        )
    ]


def test_tls_files_that_cannot_be_read(resolve: Resolve, tmp_path: Path) -> None:
    flags = {"--tls-cert-file": "/nowhere/cert", "--tls-key-file": str(tmp_path)}
    assert [(mistake.where, mistake.what) for mistake in resolve(flags).mistakes] == [
        ("--tls-cert-file", "the file can't be read: /nowhere/cert: No such file or directory"),
        ("--tls-key-file", f"the file can't be read: {tmp_path}: Is a directory"),
    ]


def test_tls_files_that_are_no_pair(resolve: Resolve, tls_pair: tuple[Path, Path]) -> None:
    cert, key = tls_pair
    for one, other in ((key, cert), (cert, cert), (cert, Path(__file__))):
        [mistake] = resolve({"--tls-cert-file": str(one), "--tls-key-file": str(other)}).mistakes
        assert mistake.where == "--tls-cert-file and --tls-key-file"
        assert mistake.what == "not a certificate and its private key"


def test_settings_of_what_is_off(resolve: Resolve) -> None:
    breaker = {"--aibridge-circuit-breaker-timeout": "5s"}
    assert resolve(breaker).warnings == [
        "--aibridge-circuit-breaker-timeout has no effect without "
        "--aibridge-circuit-breaker-enabled."
    ]
    both = {"--prometheus-address": ":1", "--aibridge-prometheus-initiator-labels": "false"}
    assert resolve(both).warnings == [
        "--prometheus-address, --aibridge-prometheus-initiator-labels have no effect without "
        "--prometheus-enable."
    ]
    assert resolve({**both, "--prometheus-enable": "true"}).warnings == []
    # Off on purpose.
    assert resolve({**breaker, "--aibridge-circuit-breaker-enabled": "false"}).warnings == []


@pytest.mark.parametrize("address", [":4001", "0.0.0.0:4001", "[::]:4001"])
def test_clear_text_on_all_interfaces_is_warned_of_but_in_a_container(
    address: str, resolve: Resolve
) -> None:
    flags = {"--http-address": address}
    [warning] = resolve(flags).warnings
    assert f"Clients on {address} send their tokens and prompts unencrypted" in warning
    assert resolve(flags, {"container": "docker"}).warnings == []
    one = {"--http-address": "192.0.2.1:4001"}
    assert len(resolve(one).warnings) == len(resolve(one, {"container": "podman"}).warnings) == 1
    assert resolve({"--http-address": "127.0.0.1:4001"}).warnings == []


def test_two_listeners_on_one_port(resolve: Resolve) -> None:
    metrics = {"--prometheus-address": "127.0.0.1:4001"}
    assert resolve(metrics).mistakes == []
    metrics["--prometheus-enable"] = "true"
    for address in ("127.0.0.1:4001", ":4001", "0.0.0.0:4001"):
        [mistake] = resolve({**metrics, "--http-address": address}).mistakes
        assert mistake.where == "--http-address and --prometheus-address"
        assert mistake.what == "both listen on port 4001"
    for address in ("127.0.0.2:4001", "127.0.0.1:4002"):
        assert resolve({**metrics, "--http-address": address}).mistakes == []


@pytest.mark.parametrize(
    ("flag", "advice"),
    [
        ("--aibridge-openai-key", "CODER_AIBRIDGE_OPENAI_KEY_FILE"),
        ("--ai-gateway-anthropic-key", "CODER_AIBRIDGE_ANTHROPIC_KEY_FILE"),
    ],
)
def test_a_key_on_the_command_line_works_and_warns(
    flag: str, advice: str, resolve: Resolve
) -> None:
    resolution = resolve({flag: "sk-1"})
    assert resolution.mistakes == []
    [warning] = resolution.warnings
    assert warning.startswith(f"{flag} exposes the key")
    assert advice in warning
    assert resolve(environ={advice.removesuffix("_FILE"): "sk-1"}).warnings == []


def test_trusted_headers_and_origins_need_each_other(resolve: Resolve) -> None:
    headers = {"--proxy-trusted-headers": "X-Forwarded-For"}
    origins = {"--proxy-trusted-origins": "10.0.0.0/8"}
    assert resolve(headers | origins).warnings == []
    for given, lacking in ((headers, "--proxy-trusted-origins"), (origins, "-trusted-headers")):
        [warning] = resolve(given).warnings
        assert f"no effect without {lacking}" in warning or lacking in warning


def test_traces_need_their_library(resolve: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve({"--trace": "true"}).mistakes == []

    def find_spec(name: str) -> None:
        if name.startswith("opentelemetry."):
            raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    assert resolve({"--trace": "true"}).mistakes == [
        Mistake(
            "--trace",
            "required libraries are not installed (opentelemetry-exporter-otlp-proto-grpc, "
            "opentelemetry-exporter-otlp-proto-http, opentelemetry-sdk)",
            f"Install them:\n{extras.command('tracing')}",
        )
    ]
    assert resolve({}).mistakes == []


def test_log_lines_in_traces_need_traces(resolve: Resolve) -> None:
    warning = "--trace-logs has no effect without --trace."
    assert resolve({"--trace-logs": "true"}).warnings == [warning]
    assert resolve({"--trace-logs": "true", "--trace": "true"}).warnings == []


def test_own_keys_that_are_forbidden_and_needed_by_a_provider_of_the_list(resolve: Resolve) -> None:
    environ = {"CODER_AIBRIDGE_PROVIDER_0_TYPE": "copilot"}
    assert resolve(environ=environ).warnings == []
    assert resolve({"--aibridge-allow-byok": "false"}).warnings == []
    [warning] = resolve({"--aibridge-allow-byok": "false"}, environ).warnings
    assert warning == (
        "The provider copilot is unusable: it requires users' own keys, which "
        "--aibridge-allow-byok=false forbids."
    )
