"""What is wrong with the AI Proxy's settings, and what deserves a warning."""

import importlib.util
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aibridged.config import extras
from aibridged.config.resolution import Resolution

Resolve = Callable[..., Resolution]

# A CA that was made for these tests and protects nothing.
CA = Path(__file__).parent / "tls"
CERT, KEY = CA / "ca-cert.pem", CA / "ca-key.pem"


@pytest.fixture
def ca(tmp_path: Path) -> dict[str, str]:
    """The flags of a CA whose key is the owner's alone."""
    key = tmp_path / "ca.key"
    key.write_bytes(KEY.read_bytes())
    key.chmod(0o600)
    return {"--aibridge-proxy-cert-file": str(CERT), "--aibridge-proxy-key-file": str(key)}


ON = {"--aibridge-proxy-enabled": "true"}


def test_with_a_ca_all_is_well(resolve: Resolve, ca: dict[str, str]) -> None:
    resolution = resolve({**ON, **ca})
    assert (resolution.mistakes, resolution.warnings) == ([], [])


def test_it_needs_a_ca_only_where_it_is_on(resolve: Resolve) -> None:
    [mistake] = resolve(ON).mistakes
    assert mistake.where == "--aibridge-proxy-enabled"
    assert mistake.remedy == "Create them with `aibridged proxy init-ca`."
    assert resolve({}).mistakes == []


@pytest.mark.parametrize("missing", ["cert", "key"])
def test_half_a_ca_is_none(missing: str, resolve: Resolve, ca: dict[str, str]) -> None:
    del ca[f"--aibridge-proxy-{missing}-file"]
    [mistake] = resolve({**ON, **ca}).mistakes
    assert mistake.what == f"--aibridge-proxy-{missing}-file is missing"


def test_a_key_of_another_certificate(
    resolve: Resolve, ca: dict[str, str], tls_pair: tuple[Path, Path]
) -> None:
    [mistake] = resolve({**ca, "--aibridge-proxy-key-file": str(tls_pair[1])}).mistakes
    assert mistake.what == "not a certificate and its private key"
    assert mistake.where == "--aibridge-proxy-cert-file and --aibridge-proxy-key-file"


def test_a_certificate_that_may_sign_nothing(
    resolve: Resolve, leaf_pair: tuple[Path, Path]
) -> None:
    cert, key = leaf_pair
    [mistake] = resolve(
        {"--aibridge-proxy-cert-file": str(cert), "--aibridge-proxy-key-file": str(key)}
    ).mistakes
    assert mistake.what == "the certificate is not a CA certificate"


@pytest.fixture
def leaf_pair(tmp_path: Path, program: Callable[[str], str]) -> tuple[Path, Path]:
    cert, key = tmp_path / "leaf.pem", tmp_path / "leaf.key"
    command = (
        f"{program('openssl')} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        f" -keyout {key} -out {cert} -days 1 -subj /CN=leaf -addext basicConstraints=CA:FALSE"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    key.chmod(0o600)
    return cert, key


def test_the_listeners_own_certificate_is_checked(
    resolve: Resolve, ca: dict[str, str], tls_pair: tuple[Path, Path]
) -> None:
    cert, key = (str(path) for path in tls_pair)
    listener = {"--aibridge-proxy-tls-cert-file": cert, "--aibridge-proxy-tls-key-file": key}
    assert resolve({**ON, **ca, **listener}).mistakes == []
    [mistake] = resolve({**ON, **ca, "--aibridge-proxy-tls-cert-file": cert}).mistakes
    assert mistake.what == "--aibridge-proxy-tls-key-file is missing"


@pytest.mark.parametrize("address", [":8888", "0.0.0.0:8888", "proxy.lan:8888"])
def test_without_tls_other_machines_send_tokens_in_the_clear(
    address: str, resolve: Resolve, ca: dict[str, str], tls_pair: tuple[Path, Path]
) -> None:
    flags = {**ON, **ca, "--aibridge-proxy-listen-addr": address}
    [warning] = resolve(flags).warnings
    assert "send their tokens unencrypted" in warning
    cert, key = (str(path) for path in tls_pair)
    flags |= {"--aibridge-proxy-tls-cert-file": cert, "--aibridge-proxy-tls-key-file": key}
    assert resolve(flags).warnings == []
    assert resolve({"--aibridge-proxy-listen-addr": address}).warnings == []


@pytest.mark.parametrize(
    ("target", "warned"),
    [
        ("http://gateway.example", 1),
        ("http://10.0.0.1:4001", 1),
        ("https://gateway.example", 0),
        ("http://127.0.0.1:4001", 0),
        ("http://[::1]:4001", 0),
        ("http://localhost:4001", 0),
    ],
)
def test_a_gateway_elsewhere_needs_tls(target: str, warned: int, resolve: Resolve) -> None:
    warnings = resolve({"--aibridge-proxy-target": target}).warnings
    assert len(warnings) == warned
    assert all(f"{target} unencrypted" in warning for warning in warnings)


def test_other_machines_need_a_token(resolve: Resolve, ca: dict[str, str]) -> None:
    flags = {**ON, **ca, "--aibridge-proxy-listen-addr": ":8888", "--aibridge-auth": "none"}
    [mistake] = resolve(flags).mistakes
    assert mistake.where == "--aibridge-proxy-listen-addr"
    assert "authentication is disabled" in mistake.what


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 0), (0o604, 1), (0o644, 1)])
def test_a_key_that_others_can_read(
    mode: int, warned: int, resolve: Resolve, ca: dict[str, str]
) -> None:
    os.chmod(ca["--aibridge-proxy-key-file"], mode)
    warnings = resolve(ca).warnings
    assert len(warnings) == warned
    assert all("chmod 600" in warning for warning in warnings)


def test_the_upstreams_ca(resolve: Resolve, ca: dict[str, str], tmp_path: Path) -> None:
    flag, upstream = "--aibridge-proxy-upstream-ca", {"--aibridge-proxy-upstream": "https://p:1"}
    assert resolve({**upstream, flag: str(CERT)}).mistakes == []
    for given, path, what in (
        (upstream, tmp_path / "absent", "the file can't be read"),
        (upstream, KEY, "the file contains no CA certificate"),
        ({}, CERT, "requires an https:// --aibridge-proxy-upstream"),
        ({"--aibridge-proxy-upstream": "http://p:1"}, CERT, "requires an https://"),
    ):
        [mistake] = resolve({**given, flag: str(path)}).mistakes
        assert mistake.where == flag
        assert what in mistake.what


def test_the_upstreams_password_is_not_shown(resolve: Resolve) -> None:
    resolution = resolve({"--aibridge-proxy-upstream": "http://user:canary@p:1"})
    assert "http://****@p:1" in str(resolution.values)
    assert "canary" not in repr(resolution)
    assert "canary" not in repr(resolve({"--aibridge-proxy-upstream": "http://user:canary@p:x"}))


def test_without_its_library_it_says_which_extra_to_install(
    resolve: Resolve, ca: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cryptography" else found(name)
    )
    [mistake] = resolve({**ON, **ca}).mistakes
    assert mistake.what == "a required library is not installed (cryptography)"
    assert mistake.remedy == f"Install it:\n{extras.command('proxy')}"
