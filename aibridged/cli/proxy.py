"""`aibridged proxy`: the AI Proxy alone, and the CA that its clients trust."""

import hashlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from aibridged.cli.options import takes
from aibridged.cli.say import say
from aibridged.cli.status import proxy_status
from aibridged.config.private_file import make_private_directory

if TYPE_CHECKING:
    from aibridged.config.options import Settings

_SETTINGS = (
    "auth",
    "coder_url",
    "revocation_grace",
    "shutdown_timeout",
    "proxy_listen_addr",
    "proxy_tls_cert_file",
    "proxy_tls_key_file",
    "proxy_cert_file",
    "proxy_key_file",
    "upstream_proxy",
    "proxy_upstream",
    "proxy_upstream_ca",
    "proxy_allowed_private_cidrs",
    "proxy_target",
    "log_human",
    "log_json",
    "state_dir",
)
_CERT, _KEY = "ai-proxy-ca.pem", "ai-proxy-ca.key"

_MADE = """\
Created a CA, valid until {until:%Y-%m-%d}{only}:
  {cert}  its certificate, which clients must trust; SHA-256:
    {digest}
  {key}  its private key, only for the daemon{danger}

Serve the AI Proxy with it:
  aibridged serve --aibridge-proxy-enabled \\
    --aibridge-proxy-cert-file {cert} \\
    --aibridge-proxy-key-file {key}

On each client, download the certificate, verify its SHA-256, and set the
proxy:
  curl -fO http://GATEWAY/api/v2/aibridge/proxy/ca-cert.pem
  openssl sha256 ca-cert.pem
  export HTTPS_PROXY=http://token:YOUR_GATEWAY_TOKEN@PROXY:8888

Node.js takes an additional CA, and needs a switch for HTTPS_PROXY in fetch:
  export NODE_EXTRA_CA_CERTS=$PWD/ca-cert.pem
  export NODE_USE_ENV_PROXY=1

Python, Go and curl take a complete bundle, so combine both:
  cat ca-cert.pem /etc/ssl/certs/ca-certificates.crt > bundle.pem
  export SSL_CERT_FILE=$PWD/bundle.pem REQUESTS_CA_BUNDLE=$PWD/bundle.pem
  export CURL_CA_BUNDLE=$PWD/bundle.pem

Or add it to the system's trust store. Debian:
  cp ca-cert.pem /usr/local/share/ca-certificates/ai-proxy.crt
  update-ca-certificates
Fedora:
  cp ca-cert.pem /etc/pki/ca-trust/source/anchors/
  update-ca-trust
macOS:
  security add-trusted-cert -d -k /Library/Keychains/System.keychain ca-cert.pem"""


def proxy() -> typer.Typer:
    """The command, and the group of its subcommands."""
    group = typer.Typer(name="proxy")
    group.callback(invoke_without_command=True)(
        takes(_SETTINGS, _proxy, always={"--aibridge-proxy-enabled": "true"})
    )
    group.command("init-ca")(_init_ca)
    group.command("status")(proxy_status)
    return group


def _proxy(settings: "Settings", context: typer.Context) -> None:
    """Run the AI Proxy standalone, in front of a remote gateway.

    It runs until SIGTERM or SIGINT. To run it in the gateway's own process instead, set
    --aibridge-proxy-enabled.
    """
    from aibridged.config import check_ai_proxy
    from aibridged.daemon.standalone_proxy import run

    raise typer.Exit(run(settings, list(check_ai_proxy.warnings(settings))))


def _init_ca(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIRECTORY", help="Directory for the two files; created if missing."
        ),
    ] = Path(),
    name: Annotated[str, typer.Option(metavar="TEXT", help="Common name of the CA.")] = "",
    lifetime: Annotated[str, typer.Option(metavar="DURATION", help="Validity period.")] = "3650d",
    only_for: Annotated[
        list[str] | None,
        typer.Option(
            "--only-for",
            metavar="HOST",
            help="Restrict the CA to this host and its subdomains; repeatable.",
        ),
    ] = None,
) -> None:
    """Create the CA of the AI Proxy, and show how to make clients trust it.

    Existing files are never overwritten. --only-for limits the damage of a stolen key; list every
    host of the providers.
    """
    from datetime import timedelta

    from aibridged.clock import SystemClock
    from aibridged.config import extras, kinds

    if (missing := extras.sentences("proxy", "A CA can't be created")) is not None:
        _fail(missing)
    from aibridged.proxy.authority import AuthorityError, make_authority

    now = SystemClock().wall()
    try:
        valid = timedelta(seconds=kinds.POSITIVE_DURATION.parse(lifetime))
        until = now + valid
        certificate, key = make_authority(
            name or f"aibridged AI Proxy CA ({socket.gethostname()})", now, valid, only_for or []
        )
    except (ValueError, OverflowError, AuthorityError) as error:
        _fail(f"Failed to create the CA: {str(error).rstrip('.')}.")
    cert_file, key_file = directory / _CERT, directory / _KEY
    _write({key_file: (key, 0o600), cert_file: (certificate, 0o644)})
    only = f" and restricted to {', '.join(only_for)}" if only_for else ""
    danger = (
        "" if only_for else ":\n    anyone who has it can impersonate any site to those clients"
    )
    digest = hashlib.sha256(certificate).hexdigest()
    typer.echo(
        _MADE.format(
            until=until, cert=cert_file, digest=digest, key=key_file, only=only, danger=danger
        )
    )


def _write(files: dict[Path, tuple[bytes, int]]) -> None:
    """Write all of the files or none, with these modes; existing files are never overwritten."""
    written: list[Path] = []
    path = next(iter(files)).parent
    try:
        make_private_directory(path)
        for path, (content, mode) in files.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with open(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        for each in written:
            each.unlink()
        if isinstance(error, FileExistsError):
            _fail(f"{path} already exists: move it away, or choose another DIRECTORY.")
        _fail(f"{path} can't be written: {error.strerror}. Choose another DIRECTORY.")


def _fail(sentence: str) -> NoReturn:
    say(sentence, err=True)
    raise typer.Exit(1)
