"""`aibridged fake-provider`: the scripted provider as a process, for trying things out."""

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aibridged.config.kinds import ADDRESS, DURATION, Address, Kind

if TYPE_CHECKING:
    from aibridged.fake_provider import FakeProvider

T = TypeVar("T")


def fake_provider(
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = "127.0.0.1:4010",
    events: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Text deltas in each stream (default: one a word)."),
    ] = None,
    delay: Annotated[
        str, typer.Option(metavar="DURATION", help="Time between events, such as 10ms.")
    ] = "0",
    keep: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Requests that GET /__fake/requests can show."),
    ] = 1000,
) -> None:
    """Run a stand-in for Anthropic and OpenAI.

    For tests, the demo and the bench. It answers Messages, Chat Completions and Responses, whole
    and streamed, and says what it was told. Any key will do. To steer its answers:

    In the prompt: "use the tool", "use the tools" (in parallel), "think hard", "from cache".

    By model: fake-status-529 (or any other status), and for an error event in a stream
    fake-error-overloaded, fake-error-rate-limit.

    For the next requests: POST /__fake/script {"status": 529, "times": 5}, or a list of such.
    GET /__fake/requests shows what was received, and POST /__fake/reset forgets both.
    """
    from aibridged.daemon.runtime import loop_factory
    from aibridged.fake_provider import FakeProvider, Script

    where = _parsed("--address", ADDRESS, address)
    pace = _parsed("--delay", DURATION, delay)
    fake = FakeProvider(default=Script(deltas=events, delay=pace), keep=keep)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(fake, where))


async def _serve(fake: "FakeProvider", address: Address) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await fake.start(address.host, address.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        typer.echo(f"Cannot listen on {address}: {reason}.", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"fake provider listening on {fake.base_url}")
    await stopped.wait()
    await fake.stop()


def _parsed(flag: str, kind: Kind[T], text: str) -> T:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None
