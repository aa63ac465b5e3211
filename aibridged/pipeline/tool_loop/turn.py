"""One turn of the tool loop: a request to the provider, and its response."""

from collections.abc import AsyncIterator, Sequence
from typing import Self

from aibridged.core.breaker import Admission
from aibridged.pipeline import forward
from aibridged.pipeline.breaker import admit
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import RequestContext
from aibridged.pipeline.dump import Dump
from aibridged.pipeline.response_observer import ResponseObserver
from aibridged.transport.read_backlog import Reader, sliced
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.coding import StreamDecoder, UnsupportedCodingError
from aibridged.wire.reader import MAX_BODY_BYTES, ResponseReader
from aibridged.wire.response import MAX_DECODED_BYTES, is_stream

_EVENT_STREAM = "text/event-stream"
_JSON = "application/json"


async def ask(context: RequestContext, components: Components, *, first: bool) -> "Turn":
    """Send the request's body and wait for the response's head, or GatewayError: there was none.

    The `first` turn has passed all stages; the others are admitted by the breaker here.
    """
    monotonic = components.clock.monotonic
    admission = None
    if components.breakers is not None and not first:
        admission = context.verdict = admit(components.breakers, context)
    headers = forward.upstream_headers(context, send_actor=components.settings.send_actor_headers)
    upstream = components.upstreams[context.route.provider.name]
    dump = (
        components.dumper.begin(context, upstream, headers)
        if components.dumper is not None
        else None
    )
    turn = Turn(context, components, dump, admission)
    if first:
        context.sent_at = monotonic()
    if context.trace is not None:
        context.trace.turn_asked()
    try:
        turn.response = await forward.ask(context, upstream, headers, components, dump)
    except BaseException as error:
        turn.close(error)
        raise
    if first:
        context.answered_at, context.upstream_status = monotonic(), turn.response.status
    if dump is not None:
        dump.response(turn.response)
    return turn


class Turn:
    """A turn from its response's head on, when `response` is set."""

    def __init__(
        self,
        context: RequestContext,
        components: Components,
        dump: Dump | None,
        admission: Admission | None,
    ) -> None:
        self.dump = dump
        self._response: UpstreamResponse | None = None
        self._context = context
        self._clock = components.clock
        self._turns = components.turns
        self._admission = admission
        self._reading: ResponseObserver | None = None
        self._feeds_reader = True
        self._is_stream: bool | None = None
        self._decoder: StreamDecoder | None = None

    @property
    def response(self) -> UpstreamResponse:
        assert self._response is not None, "the head has come"
        return self._response

    @response.setter
    def response(self, response: UpstreamResponse) -> None:
        self._response = response

    @property
    def may_be_mislabelled(self) -> bool:
        """Whether only its beginning can tell whether it is a stream (see `wire.response`)."""
        response = self.response
        return (
            response.status == 200
            and response.content_type != _EVENT_STREAM
            and response.content_coding is None
        )

    def look_at(self, beginning: bytes) -> None:
        """Tell by its beginning what it is."""
        self._is_stream = is_stream(beginning)

    def opens_stream(self) -> bool:
        """Whether it is a stream of events that can be decoded. To be called once."""
        response = self.response
        is_labelled = response.content_type == _EVENT_STREAM
        if response.status != 200 or not (is_labelled or self._is_stream):
            return False
        if response.content_coding is not None:
            try:
                self._decoder = StreamDecoder(response.content_coding, MAX_DECODED_BYTES)
            except UnsupportedCodingError:
                return False
        return True

    @property
    def is_body(self) -> bool:
        """Whether it is a complete response, as opposed to an error."""
        is_labelled = self.response.content_type == _JSON
        return self.response.status == 200 and (is_labelled or self._is_stream is False)

    async def decode(self, chunk: bytes) -> AsyncIterator[bytes]:
        """The decoded chunk of a coded stream, in slices."""
        assert self._decoder is not None, "it is coded"
        for part in sliced(chunk):
            for piece in self._decoder.feed(part):
                for each in sliced(piece):
                    yield each
                    await self._turns.turn()

    @property
    def is_coded(self) -> bool:
        """Whether the stream has a content coding."""
        return self._decoder is not None

    @property
    def fault(self) -> str | None:
        """Why a stream can't be decoded any further."""
        return None if self._decoder is None else self._decoder.fault

    async def decode_whole(self, body: bytes) -> bytes | None:
        """The decoded body, or None where it can't be decoded, or is too long."""
        if self.response.content_coding is None:
            return body
        try:
            decoder = StreamDecoder(self.response.content_coding, MAX_BODY_BYTES)
        except UnsupportedCodingError:
            return None
        decoded = bytearray()
        for part in sliced(body):
            for piece in decoder.feed(part):
                decoded += piece
                await self._turns.turn()
        return bytes(decoded) if decoder.fault is None else None

    def begin_reading(self, reader: ResponseReader | None = None) -> ResponseObserver:
        """Start reading it for the record; a `reader` that is given is fed by the dialogue."""
        reading = self._context.observe(self.response, self._clock, reader)
        assert reading is not None, "other routes get no tools"
        self._reading = reading
        self._feeds_reader = reader is None
        return reading

    @property
    def readers(self) -> Sequence[Reader]:
        """The consumers of each part of a stream that the dialogue reads: the dump."""
        return () if self.dump is None else (self.dump.feed,)

    async def note(self, chunk: bytes) -> None:
        """Pass a chunk to the record and the dump, in slices (see `slices`)."""
        for part in sliced(chunk):
            if self.dump is not None:
                self.dump.feed(part)
            reading = self._reading if self._feeds_reader else None
            for _ in (reading and reading.feed(part)) or ():
                await self._turns.turn()
            if part is not chunk:
                await self._turns.turn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.close(error)

    def close(self, error: BaseException | None) -> None:
        """Close the connection, unless the response has been read to its end.

        `error` is what ended the turn.
        """
        if self._response is not None:
            self._response.close()
        if self._admission is not None:
            self._admission.cancelled()  # neutral, unless an outcome was reported
        if self.dump is not None:
            self.dump.__exit__(None, error, None)
