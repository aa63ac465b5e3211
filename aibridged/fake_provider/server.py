"""The fake's server: receives requests, and sends replies at the script's pace."""

import asyncio
import itertools
import os
import socket
import ssl
import struct
from collections.abc import Callable

import msgspec
from aiohttp import web

from aibridged.fake_provider import script
from aibridged.fake_provider.received import Log, Received
from aibridged.fake_provider.reply import Replier, Reply
from aibridged.fake_provider.script import Script, ScriptQueue

_encode = msgspec.json.Encoder().encode
_HEADER_LIMIT = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 seconds: closing sends RST


class FakeProvider:
    """A provider that listens on a socket, records what it receives, and responds by script.

    The script of a request is the first of these: the next one queued by `play`, what `choose`
    returns for it, that of its model's name, `default`. With `strict`, a request that makes no
    sense as a whole is refused, whatever its script (see `checking`).
    """

    def __init__(
        self,
        *,
        default: Script | None = None,
        choose: Callable[[Received], Script | None] | None = None,
        keep: int = 1000,
        strict: bool = False,
    ) -> None:
        self.base_url = ""
        """`http://host:port`, once started: the base URL for Anthropic's clients."""
        self._choose = choose
        self._queue = ScriptQueue()
        self._log = Log(keep)
        self._replier = Replier(default or Script(), strict=strict)
        self._series = os.urandom(4).hex()
        self._numbers = itertools.count(1)
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"{self.base_url}/v1"

    @property
    def requests(self) -> list[Received]:
        """The last requests (at most `keep`), oldest first, without those to the control routes."""
        return list(self._log.requests)

    @property
    def seen(self) -> int:
        """The number of all requests."""
        return self._log.seen

    def play(self, *scripts: Script) -> None:
        """Queue scripts for the next requests."""
        self._queue.add(*scripts)

    async def received(self, count: int = 1) -> Received:
        """The last request, once there have been `count` (its body may still be on its way)."""
        return await self._log.wait(count)

    def reset(self) -> None:
        """Forget scripts and requests."""
        self._queue.clear()
        self._log.clear()

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> str:
        """Listen, and return `base_url`; raises OSError if that fails.

        Port 0 takes a free one, an empty host means all interfaces. With `tls` it has https.
        """
        self._server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
        )
        self._runner = web.ServerRunner(self._server)
        await self._runner.setup()
        await web.TCPSite(self._runner, host or None, port, ssl_context=tls).start()
        host, port, *_ = self._runner.addresses[0]
        scheme = "http" if tls is None else "https"
        self.base_url = (
            f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        )
        return self.base_url

    async def stop(self) -> None:
        """Abort all requests, and free the port."""
        if self._runner is None or self._server is None:
            return
        for connection in self._server.connections:
            connection.force_close()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = _received(request)
        if received.path.startswith("/__fake/"):
            received.body = await request.content.read()
            return self._control(received)
        self._log.add(received)
        try:
            received.body = await request.content.read()
            scripted = self._queue.next() or (self._choose and self._choose(received))
            reply = self._replier.reply(received, scripted or None, self._nonce())
            received.usage = reply.usage
            return await _deliver(request, received, reply)
        except asyncio.CancelledError:
            received.disconnected.set()
            raise
        except ConnectionError:
            received.disconnected.set()
            return web.Response()  # aiohttp needs one, but the client is gone

    def _nonce(self) -> str:
        return f"{self._series}{next(self._numbers):08x}"

    def _control(self, received: Received) -> web.Response:
        match received.method, received.path:
            case "POST", "/__fake/script":
                try:
                    scripts = script.from_json(received.body)
                except msgspec.DecodeError as error:
                    return _json({"error": str(error)}, status=400)
                self.play(*scripts)
                return _json({"queued": len(scripts)})
            case "GET", "/__fake/requests":
                requests = [each.public() for each in self._log.requests]
                return _json({"seen": self.seen, "requests": requests})
            case "POST", "/__fake/reset":
                self.reset()
                return _json({})
            case _:
                return _json({"error": "POST script, GET requests, POST reset"}, status=404)


def _received(request: web.BaseRequest) -> Received:
    peer = request.transport and request.transport.get_extra_info("peername")
    return Received(
        method=request.method,
        raw_path=request.raw_path,
        raw_headers=request.raw_headers,
        connection=f"{peer[0]}:{peer[1]}" if peer else "",
    )


async def _deliver(
    request: web.BaseRequest, received: Received, reply: Reply
) -> web.StreamResponse:
    """Send `reply`, at the pace and to the end that its script says."""
    script = reply.script
    if script.before_headers:
        await script.before_headers.wait()
    if script.delay_headers:
        await asyncio.sleep(script.delay_headers)
    if script.silent:
        await _forever()
    if script.close:
        _close(request, reset=script.reset)
        return web.Response()
    if reply.at_once:
        received.sent = len(reply.pieces[0])
        return web.Response(status=reply.status, headers=reply.headers, body=reply.pieces[0])
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = reply.length
    await response.prepare(request)
    if request.method != "HEAD":
        await _write(received, reply, response)
    if script.cut_after is not None:
        _close(request, reset=script.reset)
    return response


async def _write(received: Received, reply: Reply, response: web.StreamResponse) -> None:
    script = reply.script
    for number, piece in enumerate(reply.pieces[: script.stall_after]):
        if script.before_write and (event := script.before_write.get(number)):
            await event.wait()
        await response.write(piece)
        received.sent += len(piece)
        # Even without a delay it yields to the loop, so that each chunk is sent separately.
        await asyncio.sleep(script.delay)
    if script.stall_after is not None:
        await _forever()


async def _forever() -> None:
    """Wait until cancelled, at the end of the connection."""
    await asyncio.Event().wait()


def _close(request: web.BaseRequest, *, reset: bool) -> None:
    """Close the connection within a response, after everything written has been sent."""
    if (transport := request.transport) is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.close()


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type="application/json")
