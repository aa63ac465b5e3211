"""`aibridged healthcheck`: liveness and readiness of the daemon as an exit status, for probes."""

from typing import TYPE_CHECKING, Annotated

import typer

from aibridged.cli.database import found_settings

if TYPE_CHECKING:
    from aibridged.config.kinds import Address

_TIMEOUT_S = 3.0
# Addresses that mean every interface are replaced by these.
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def healthcheck(
    ready: Annotated[
        bool, typer.Option("--ready", help="Check readiness instead of liveness.")
    ] = False,
    http_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of the daemon (default: from the settings).",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            metavar="PATH",
            help="YAML configuration file (CODER_CONFIG_PATH).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check the health of the daemon on this machine.

    Exits with status 0 if it is healthy, else 1. Uses HTTPS if the settings have a certificate,
    which is not verified.
    """
    flags = {"--http-address": http_address, "--config": config}
    address, tls, source = _where({flag: text for flag, text in flags.items() if text})
    path = "/readyz" if ready else "/healthz"
    url = f"{'https' if tls else 'http'}://{address}{path}"
    try:
        status, said = _ask(address, path, tls=tls)
    except OSError as error:
        from aibridged.config.report import mistake_text
        from aibridged.config.resolution import Mistake

        what, remedy = _told(error, source, tls=tls)
        typer.echo(mistake_text(Mistake(url, what, remedy)), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{url}: {status} {said}".rstrip(), err=status != 200)
    if status not in (200, 503):
        typer.echo("  → That is not the daemon's answer: check the address.", err=True)
    raise typer.Exit(0 if status == 200 else 1)


class _NotHttpError(OSError):
    """A response that isn't HTTP."""


def _told(error: OSError, source: str, *, tls: bool) -> tuple[str, str]:
    """What is wrong, and the mend; `source` is what has named the address, "" for the default."""
    import ssl

    from aibridged.observe.connection_failure import cause_of

    elsewhere = f"correct {source}" if source else "name its address by --http-address"
    if isinstance(error, TimeoutError):
        mend = "It is busy or stuck, or a firewall is between: see `aibridged status`, and its log."
        return f"no answer within {_TIMEOUT_S:g} s", mend
    if isinstance(error, (_NotHttpError, ssl.SSLError, ConnectionResetError)):
        spoken = "HTTPS" if tls else "HTTP"
        other = "without" if tls else "with"
        mend = (
            f"Give the settings that the daemon runs with (--config): it may be one {other} TLS. "
            f"If it isn't the daemon that listens there, {elsewhere}."
        )
        return f"what listens there doesn't answer in {spoken}", mend
    cause = cause_of(error).words
    if isinstance(error, ConnectionRefusedError):
        mend = (
            "No daemon listens there: start it (`aibridged serve`, or `systemctl start "
            f"aibridged`), or {elsewhere}."
        )
        return f"no answer, {cause}", mend
    return f"no answer, {cause}", f"{elsewhere[0].upper()}{elsewhere[1:]}."


def _where(flags: dict[str, str]) -> "tuple[Address, bool, str]":
    """The address, whether it uses TLS, and what has named it.

    Mistakes in other settings are ignored: the daemon may be running with earlier ones.
    """
    from aibridged.config import report
    from aibridged.config.kinds import ADDRESS, Address

    resolution = found_settings(flags, ("http_address",)).resolution
    values = {value.name: value for value in resolution.values}
    try:
        address = ADDRESS.parse(values["http_address"].text)
    except ValueError:
        typer.echo(report.problems(resolution), err=True)
        raise typer.Exit(1) from None
    host = _LOOPBACK.get(address.host, address.host)
    source = values["http_address"].source
    name = "" if source.kind == "default" else str(source)
    return Address(host, address.port), bool(values["tls_cert_file"].text), name


def _ask(address: "Address", path: str, *, tls: bool) -> tuple[int, str]:
    """The status and the first line of the probe's response.

    Raises:
        OSError: there is no response in time, or none in HTTP.
    """
    import http.client
    import ssl

    connection: http.client.HTTPConnection
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # The certificate is for the gateway's host name, not for the loopback address.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(*address, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(*address, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(1000).decode("utf-8", "replace").strip()
    except http.client.HTTPException as error:
        raise _NotHttpError(str(error)) from None
    finally:
        connection.close()
