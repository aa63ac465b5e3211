"""`aibridged proxy`, and the CA that `init-ca` makes."""

import hashlib
import stat
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from aibridged.clock import SystemClock
from aibridged.proxy.authority import make_authority

# A CA that was made for these tests and protects nothing.
TLS = Path(__file__).parents[1] / "config" / "tls"
CA = (
    *("--aibridge-proxy-cert-file", str(TLS / "ca-cert.pem")),
    *("--aibridge-proxy-key-file", str(TLS / "ca-key.pem")),
)

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_ca_is_made_for_the_owner_alone(run: Run, tmp_path: Path) -> None:
    made = run("proxy", "init-ca", str(tmp_path), "--name", "Our CA")
    assert (made.returncode, made.stderr) == (0, "")
    cert, key = tmp_path / "ai-proxy-ca.pem", tmp_path / "ai-proxy-ca.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(cert.read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=Our CA"
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 3650
    assert "PRIVATE" not in made.stdout
    for told in (
        str(cert),
        str(key),
        "NODE_EXTRA_CA_CERTS",
        "NODE_USE_ENV_PROXY",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "update-ca-certificates",
        "HTTPS_PROXY",
        "/api/v2/aibridge/proxy/ca-cert.pem",
        hashlib.sha256(cert.read_bytes()).hexdigest(),
    ):
        assert told in made.stdout
    check = run(
        "check-config",
        environ={
            "CODER_AIBRIDGE_PROXY_ENABLED": "true",
            "CODER_AIBRIDGE_PROXY_CERT_FILE": str(cert),
            "CODER_AIBRIDGE_PROXY_KEY_FILE": str(key),
        },
    )
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize(
    ("days", "days_ago", "exit_code", "told"),
    [
        (365, 0, 0, ""),
        (20, 0, 0, "The AI Proxy's CA certificate expires on "),
        (20, 21, 1, "the AI Proxy's CA: The CA certificate in "),
    ],
)
def test_check_config_knows_how_long_the_ca_is_good(
    run: Run, tmp_path: Path, days: int, days_ago: int, exit_code: int, told: str
) -> None:
    files = (tmp_path / "ca.pem", tmp_path / "ca.key")
    made_at = SystemClock().wall() - timedelta(days=days_ago)
    for file, content in zip(
        files, make_authority("CA", made_at, timedelta(days=days), []), strict=True
    ):
        file.write_bytes(content)
    check = run(
        "check-config",
        environ={
            "CODER_AIBRIDGE_PROXY_ENABLED": "true",
            "CODER_AIBRIDGE_PROXY_CERT_FILE": str(files[0]),
            "CODER_AIBRIDGE_PROXY_KEY_FILE": str(files[1]),
        },
    )
    assert check.returncode == exit_code, check.stdout
    assert told in " ".join(check.stdout.split())
    assert ("expire" in check.stdout) is bool(told)


@pytest.mark.parametrize("there", ["ai-proxy-ca.pem", "ai-proxy-ca.key"])
def test_nothing_is_overwritten(run: Run, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    made = run("proxy", "init-ca", str(tmp_path))
    assert made.returncode == 1
    assert made.stderr.startswith(f"{tmp_path / there} already exists")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "precious")]


def test_a_ca_may_be_good_for_some_hosts_alone(run: Run, tmp_path: Path) -> None:
    hosts = ("--only-for", "api.anthropic.com", "--only-for", "api.openai.com")
    made = run("proxy", "init-ca", str(tmp_path), *hosts, "--lifetime", "365d")
    assert "restricted to api.anthropic.com, api.openai.com:" in made.stdout
    certificate = x509.load_pem_x509_certificate((tmp_path / "ai-proxy-ca.pem").read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    permitted = [x509.DNSName("api.anthropic.com"), x509.DNSName("api.openai.com")]
    assert constraints.value.permitted_subtrees == permitted
    assert len(constraints.value.excluded_subtrees or ()) == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--only-for", "a b"), "The host is not a valid DNS name"),
        (("--lifetime", "soon"), "'soon'"),
        (("--lifetime", "0s"), "must be greater than 0"),
        (("--name", "x" * 65), "Attribute's length"),
    ],
)
def test_what_is_no_ca(run: Run, tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    made = run("proxy", "init-ca", str(tmp_path), *options)
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr.startswith(f"Failed to create the CA: {why}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_made(run: Run, tmp_path: Path) -> None:
    made = run("proxy", "init-ca", str(tmp_path / "absent" / "ca"))
    assert made.returncode == 0
    assert {each.name for each in (tmp_path / "absent" / "ca").iterdir()} == {
        "ai-proxy-ca.pem",
        "ai-proxy-ca.key",
    }
    assert (tmp_path / "absent").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made(run: Run) -> None:
    made = run("proxy", "init-ca", "/proc/ca")
    assert made.returncode == 1
    assert made.stderr.startswith("/proc/ca can't be written: ")


def test_alone_it_needs_a_target_and_a_ca(run: Run) -> None:
    shown = run("proxy", "--aibridge-proxy-target", "http://127.0.0.1:1")
    assert shown.returncode == 1
    assert "Create them with `aibridged proxy init-ca`" in shown.stderr
    shown = run("proxy", *CA)
    assert shown.returncode == 1
    assert "--aibridge-proxy-target" in shown.stderr


def test_a_log_that_cannot_be_opened_is_one_clear_line(run: Run) -> None:
    shown = run("proxy", *CA, "--log-json", "/proc/log")
    assert shown.returncode == 1
    assert shown.stderr == (
        "/proc/log can't be opened for logging: No such file or directory. "
        "Choose a file that this user may write to, or /dev/stderr.\n"
    )


def test_alone_it_is_as_careful_as_in_the_daemon(run: Run) -> None:
    elsewhere = ("--aibridge-proxy-listen-addr", "0.0.0.0:0")
    shown = run("proxy", *CA, *elsewhere, "--aibridge-auth", "none")
    assert shown.returncode == 1
    assert "authentication is disabled" in shown.stderr
    shown = run("proxy", *CA, *elsewhere)
    assert "send their tokens unencrypted" in shown.stderr


def test_mistakes_in_the_settings_are_told(run: Run) -> None:
    shown = run("proxy", "--aibridge-proxy-upstream", "socks5://secret@proxy")
    assert shown.returncode == 1
    assert "--aibridge-proxy-upstream" in shown.stderr
    assert "secret" not in shown.stderr
