"""`aibridged fake-provider`: the scripted fake provider as a process."""

import os
import signal
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aibridged.cli.say import say
from aibridged.config.kinds import ADDRESS, DURATION, Address, Kind

if TYPE_CHECKING:
    from aibridged.fake_provider import FakeProvider

T = TypeVar("T")


def fake_provider(
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Listen address; port 0 picks a free one.")
    ] = "127.0.0.1:4010",
    events: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Text deltas per stream (default: one per word)."),
    ] = None,
    delay: Annotated[
        str, typer.Option(metavar="DURATION", help="Time between events, such as 10ms.")
    ] = "0",
    keep: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Maximum number of requests kept for GET /__fake/requests."
        ),
    ] = 1000,
) -> None:
    """Run a fake provider that mimics Anthropic and OpenAI.

    For tests, the demo and the bench. It serves Messages, Chat Completions and Responses, with and
    without streaming, and echoes the prompt. It accepts any key.

    For a daemon that uses it: --aibridge-anthropic-base-url http://127.0.0.1:4010,
    --aibridge-openai-base-url http://127.0.0.1:4010/v1, and keys of any text.

    To control its responses:

    In the prompt: "use the tool", "use the tools" (in parallel), "think hard", "from cache".

    By model: fake-status-529 (or any other status), and for an error event in a stream
    fake-error-overloaded, fake-error-rate-limit.

    For the next requests: POST /__fake/script {"status": 529, "times": 5}, or a list of such.
    GET /__fake/requests shows what was received, and POST /__fake/reset forgets both.
    """
    import asyncio

    from aibridged.daemon.runtime import loop_factory
    from aibridged.fake_provider import FakeProvider, Script

    where = _parsed("--address", ADDRESS, address)
    pace = _parsed("--delay", DURATION, delay)
    fake = FakeProvider(default=Script(deltas=events, delay=pace), keep=keep)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(fake, where))


async def _serve(fake: "FakeProvider", address: Address) -> None:
    import asyncio

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await fake.start(address.host, address.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        mend = "Choose another --address; port 0 picks a free port."
        say(f"Cannot listen on {address}: {reason}. {mend}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"fake provider listening on {fake.base_url}")
    await stopped.wait()
    await fake.stop()


def _parsed(flag: str, kind: Kind[T], text: str) -> T:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None
