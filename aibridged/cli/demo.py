"""`aibridged demo`: an end-to-end demonstration without network or keys."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from aibridged.cli.demo_tools import SERVER, can_serve, tool_server
from aibridged.config import extras

_THRESHOLD = 3
_SESSION = "5a8a2a0e-52f3-4f0f-9c80-demo00000001"


def demo(
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep it running until Ctrl-C, with its web page to look at."),
    ] = False,
) -> None:
    """Demonstrate the gateway with a built-in fake provider.

    Starts both as processes, creates a token, sends a streaming request with each official SDK, has
    the model use a tool that the gateway runs, overloads the provider until the circuit breaker
    opens, shows the records, and cleans up. With --keep it ends with the address of the web page.
    Requires the extra `demo`, and `mcp` for the tool.
    """
    if (missing := extras.sentences("demo", "The demo drives both SDKs")) is not None:
        typer.echo(missing, err=True)
        raise typer.Exit(1)
    with (
        tempfile.TemporaryDirectory(prefix="aibridged-demo-") as state,
        _fake_provider() as provider,
        tool_server() if can_serve() else nullcontext() as tools,
    ):
        token = _make_token(state)
        with _gateway(provider, state, tools) as gateway:
            _talk(gateway, token, with_tools=tools is not None)
            if keep:
                _show_the_record(state)
                _show_the_page(gateway, state, token)
        if not keep:
            _show_the_record(state)
    _say("Done. Both processes are stopped, and nothing is left behind.")
    if not keep:
        typer.echo("    To look at it in a browser: aibridged demo --keep (make demo ARGS=--keep)")


def _talk(gateway: str, token: str, *, with_tools: bool) -> None:
    import anthropic
    import openai

    claude = anthropic.Anthropic(
        base_url=f"{gateway}/anthropic",
        api_key=token,
        max_retries=0,
        default_headers={"X-Claude-Code-Session-Id": _SESSION, "User-Agent": "claude-cli/2.1.0"},
    )
    gpt = openai.OpenAI(base_url=f"{gateway}/openai/v1", api_key=token, max_retries=0)
    _stream_anthropic(claude)
    _stream_openai(gpt)
    if with_tools:
        _use_a_tool(claude)
    else:
        _say(f"To see a tool that the gateway runs: {extras.command('mcp')}")
    _trip_the_breaker(claude, anthropic.APIStatusError)


def _show_the_record(state: str) -> None:
    _say("The record shows who asked what:")
    for command in (f"sessions show {_SESSION}", "usage --by model"):
        typer.echo(f"    $ aibridged {command}")
        said = _run(state, command)
        typer.echo("".join(f"    {line}\n" for line in said.splitlines()))


def _show_the_page(gateway: str, state: str, token: str) -> None:
    """Say where the web page is, and keep everything running until Ctrl-C."""
    if (missing := extras.sentences("ui", "The web page is off")) is not None:
        _say(missing)
        return
    # They need the extra.
    from aibridged.clock import SystemClock
    from aibridged.config.secret import Secret
    from aibridged.ui.single_use_code import offer

    # As Ctrl-C, so that nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        while True:
            code = offer(Path(state), Secret(token), SystemClock())
            _say("The web page, at an address that is good for a minute and once:")
            typer.echo(f"    {gateway}/ui/sign-in?code={code}")
            typer.echo("    Enter makes another one, Ctrl-C ends the demo.")
            sys.stdout.flush()
            if not sys.stdin.readline():
                threading.Event().wait()  # there is no terminal to press Enter in
    typer.echo()


def _stream_anthropic(client: Any) -> None:
    _say("The anthropic SDK streams a message:")
    with client.messages.stream(
        model="claude-demo",
        max_tokens=100,
        messages=[{"role": "user", "content": "Hello from the anthropic SDK! From cache, please."}],
    ) as stream:
        _print_as_it_comes(stream.text_stream)


def _stream_openai(client: Any) -> None:
    _say("The openai SDK streams a response:")
    events = client.responses.create(
        model="gpt-demo", input="Hello from the openai SDK!", stream=True
    )
    _print_as_it_comes(
        event.delta for event in events if event.type == "response.output_text.delta"
    )


def _use_a_tool(client: Any) -> None:
    _say("The model uses a tool that only the gateway knows; the client sees one answer:")
    with client.messages.stream(
        model="claude-demo",
        max_tokens=100,
        messages=[{"role": "user", "content": f"Please use the tool bmcp_{SERVER}_weather."}],
    ) as stream:
        _print_as_it_comes(_texts(stream))


def _texts(stream: Any) -> Iterator[str]:
    """All text parts of a message, joined by spaces."""
    for event in stream:
        if event.type == "text":
            yield event.text
        elif event.type == "content_block_stop":
            yield " "


def _trip_the_breaker(client: Any, refused: type[Exception]) -> None:
    _say(f"The provider is overloaded. The circuit breaker opens after {_THRESHOLD} failures:")
    for number in range(1, _THRESHOLD + 2):
        try:
            client.messages.create(
                model="fake-status-529",
                max_tokens=100,
                messages=[{"role": "user", "content": "Are you there?"}],
            )
        except refused as error:
            _print_refusal(number, error)


def _print_refusal(number: int, error: Any) -> None:
    reason = error.response.headers.get("X-Aibridge-Reason")
    if reason is None:
        typer.echo(f"    request {number}: {error.status_code}, from the provider")
        return
    wait = error.response.headers.get("Retry-After")
    typer.echo(
        f"    request {number}: {error.status_code} {reason}, from the gateway; retry in {wait} s"
    )
    typer.echo(f"    {error.body['error']['message']}")


def _print_as_it_comes(pieces: Iterator[str]) -> None:
    typer.echo("    ", nl=False)
    for piece in pieces:
        typer.echo(piece, nl=False)
        sys.stdout.flush()
    typer.echo()


def _run(state: str, command: str) -> str:
    """The output of one of our commands."""
    return subprocess.run(
        [sys.executable, "-m", "aibridged", *command.split()],
        env={**_environment(), "CODER_STATE_DIR": state},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout


@contextmanager
def _fake_provider() -> Iterator[str]:
    command = ("fake-provider", "--address", "127.0.0.1:0", "--delay", "40ms")
    with _process(command, {}, r"listening on (\S+)") as url:
        _say(f"A fake provider answers for Anthropic and OpenAI on {url}")
        yield url


def _make_token(state: str) -> str:
    _say("Creating a user and a token:")
    for command in ("users create alice --admin", "tokens create --user alice --name laptop"):
        typer.echo(f"    $ aibridged {command}")
        said = _run(state, command)
    typer.echo(f"    {said[:14]}…")
    return said.strip()


@contextmanager
def _gateway(provider: str, state: str, tools: str | None) -> Iterator[str]:
    variables = {
        "CODER_STATE_DIR": state,
        "CODER_HTTP_ADDRESS": "127.0.0.1:0",
        "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": provider,
        "CODER_AIBRIDGE_ANTHROPIC_KEY": "the-organisations-anthropic-key",
        "CODER_AIBRIDGE_OPENAI_BASE_URL": f"{provider}/v1",
        "CODER_AIBRIDGE_OPENAI_KEY": "the-organisations-openai-key",
        "CODER_AIBRIDGE_PRICE_0_MODEL": "*-demo",
        "CODER_AIBRIDGE_PRICE_0_INPUT": "3",
        "CODER_AIBRIDGE_PRICE_0_CACHE_READ": "0.3",
        "CODER_AIBRIDGE_PRICE_0_CACHE_WRITE_5M": "3.75",
        "CODER_AIBRIDGE_PRICE_0_OUTPUT": "15",
        "CODER_AIBRIDGE_CIRCUIT_BREAKER_ENABLED": "true",
        "CODER_AIBRIDGE_CIRCUIT_BREAKER_FAILURE_THRESHOLD": str(_THRESHOLD),
    }
    if tools is not None:
        variables["CODER_AIBRIDGE_MCP_SERVER_0_ID"] = SERVER
        variables["CODER_AIBRIDGE_MCP_SERVER_0_URL"] = tools
    with _process(("serve",), variables, r"listens on (https?://[^;\s]+)") as url:
        _say(f"aibridged listens on {url}")
        yield url


@contextmanager
def _process(command: tuple[str, ...], variables: dict[str, str], pattern: str) -> Iterator[str]:
    """Run one of our commands until it has printed its address; then show its output."""
    with subprocess.Popen(
        [sys.executable, "-m", "aibridged", *command],
        env={**_environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        echo = threading.Thread(target=_echo, args=(process.stdout,))
        try:
            url = _await(pattern, process.stdout)
            echo.start()
            yield url
        finally:
            process.terminate()
            if echo.is_alive():
                echo.join()


def _environment() -> dict[str, str]:
    """The environment without settings of a real gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CODER_")}


def _await(pattern: str, lines: IO[str]) -> str:
    """The group of `pattern` in the first matching line; all lines before, if there is none."""
    said = []
    for line in lines:
        if match := re.search(pattern, line):
            return match[1]
        said.append(line)
    typer.echo("".join(said), err=True)
    raise typer.Exit(1)


def _echo(lines: IO[str]) -> None:
    """Show a log's warnings as they come."""
    for line in lines:
        if "[INFO]" not in line:
            typer.secho(f"    log: {line.rstrip()}", dim=True)


def _say(text: str) -> None:
    typer.secho(f"\n==> {text}", bold=True)
