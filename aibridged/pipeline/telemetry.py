"""`POST /v1/metrics`, `/v1/logs`, `/v1/traces`: takes agents' telemetry, to relay it.

The answer is 200 whether a batch is relayed or dropped, since agents log everything else at every
flush: only what isn't OTLP is refused.
"""

from collections.abc import Mapping
from functools import partial
from io import BytesIO

from aiohttp import web

from aibridged.config.options import Settings
from aibridged.core.byte_budget import ByteBudget, Hold
from aibridged.errors import (
    INVALID_REQUEST,
    REQUEST_TOO_LARGE,
    UNSUPPORTED_CODING,
    GatewayError,
)
from aibridged.identity.base import Actor
from aibridged.pipeline.components import LocalRoute
from aibridged.telemetry.destination import Batch
from aibridged.telemetry.relay import TelemetryRelay
from aibridged.transport.body import arriving
from aibridged.transport.time_slices import TimeSlices
from aibridged.wire.coding import (
    BodyTooLargeError,
    CodingError,
    UnsupportedCodingError,
    decode_body,
)
from aibridged.wire.telemetry import (
    Encoding,
    Identity,
    MalformedTelemetryError,
    Signal,
    TelemetryTooComplexError,
    stamp,
)

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Bytes of a batch, before and after its coding is decoded."""
MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
"""Bytes of all batches that are being taken."""

_EMPTY = {Encoding.PROTOBUF: b"", Encoding.JSON: b"{}"}


def routes(
    settings: Settings, relay: TelemetryRelay, budget: ByteBudget, slices: TimeSlices
) -> Mapping[str, LocalRoute]:
    """The routes by path; `budget` is for batches alone."""
    receiver = _Receiver(settings.http_read_timeout, relay, budget, slices)
    return {
        f"/v1/{signal}": LocalRoute(frozenset({"POST"}), partial(receiver.receive, signal))
        for signal in Signal
    }


class _Receiver:
    def __init__(
        self, read_timeout: float, relay: TelemetryRelay, budget: ByteBudget, slices: TimeSlices
    ) -> None:
        self._read_timeout = read_timeout
        self._relay = relay
        self._budget = budget
        self._slices = slices

    async def receive(
        self,
        signal: Signal,
        request: web.BaseRequest,
        actor: Actor | None,
        _query: str,
        _address: bytes,
    ) -> web.StreamResponse:
        """Take a batch; the answer is OTLP's, in the encoding of the request."""
        assert actor is not None
        encoding = _encoding(request)
        hold = Hold(self._budget, actor.id)
        try:
            body = await self._read(request, hold)
            if self._relay.wants(signal):
                stamped = await self._stamped(body, request, encoding, actor, hold)
                if stamped:
                    self._relay.put(Batch(signal, encoding, stamped))
        finally:
            hold.release()
        return web.Response(body=_EMPTY[encoding], headers={"Content-Type": encoding.value})

    async def _read(self, request: web.BaseRequest, hold: Hold) -> bytes:
        if (request.content_length or 0) > MAX_BATCH_BYTES:
            raise _too_large()
        body = BytesIO()
        async for chunk in arriving(request, self._read_timeout):
            if body.tell() + len(chunk) > MAX_BATCH_BYTES:
                raise _too_large()
            hold.take(len(chunk))
            body.write(chunk)
        return body.getvalue()

    async def _stamped(
        self, body: bytes, request: web.BaseRequest, encoding: Encoding, actor: Actor, hold: Hold
    ) -> bytes:
        identity = Identity(actor.id, actor.username, actor.email, actor.groups)
        try:
            if (coding := request.headers.get("Content-Encoding")) is not None:
                decoding = decode_body(body, coding, MAX_BATCH_BYTES)
                body = await self._slices.run(decoding, actor.id)
                hold.take(len(body))
            return await self._slices.run(stamp(body, encoding, identity), actor.id)
        except BodyTooLargeError:
            raise _too_large() from None
        except TelemetryTooComplexError as error:
            raise GatewayError(REQUEST_TOO_LARGE, str(error)) from None
        except UnsupportedCodingError as error:
            raise GatewayError(UNSUPPORTED_CODING, str(error)) from None
        except CodingError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        except MalformedTelemetryError:
            raise GatewayError(
                INVALID_REQUEST, f"The body is no OTLP in the encoding {encoding}."
            ) from None


def _encoding(request: web.BaseRequest) -> Encoding:
    try:
        return Encoding(request.content_type)
    except ValueError:
        raise GatewayError(
            INVALID_REQUEST,
            f"Send OTLP with the Content-Type {Encoding.PROTOBUF} or {Encoding.JSON}.",
        ) from None


def _too_large() -> GatewayError:
    return GatewayError(
        REQUEST_TOO_LARGE, f"A batch of telemetry has at most {MAX_BATCH_BYTES} bytes."
    )
