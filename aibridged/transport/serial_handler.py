"""Serves the requests of a client connection in one task.

aiohttp starts a task for each, which takes two more turns of the event loop. Its own parts do the
rest: they parse, call the handler, and finish responses.
"""

import asyncio
from functools import partial

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.web_protocol import RequestHandler

from aibridged.transport.request import GatewayRequest
from aibridged.transport.response import DownstreamResponse


class SerialHandler(RequestHandler):
    """aiohttp's connection, whose handlers share its task and its context.

    So a handler leaves no context variable behind that must not be seen by the next one.
    """

    __slots__ = ()

    async def start(self) -> None:
        """Serve the requests, one after another."""
        while not self._force_close:
            if not self._messages:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            message, body = self._messages[0]
            if not isinstance(message, RawRequestMessage):
                await super().start()  # the connection's last: it isn't HTTP
                return
            self._messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
            if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
                self._resume_reading_if_drained()
            if not await self._serve(message, body):
                break
            if self._messages:
                # Sent without waiting for responses, perhaps by the thousand: others come between.
                await asyncio.sleep(0)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _serve(self, message: RawRequestMessage, body: StreamReader) -> bool:
        """Serve one request; returns whether the connection stays open for another."""
        task = self._task_handler or asyncio.current_task()
        assert task is not None
        writer = StreamWriter(self, self._loop)
        request = GatewayRequest(message, body, self, writer, task, self._loop)
        try:
            response = await self._respond(request)
            if response is None:
                return False
            self._keepalive = bool(response.keep_alive)
            if not body.is_eof() and not await self._read_rest(body):
                self.close()
        except ConnectionError:
            return False
        except Exception as error:  # noqa: BLE001 - the connection's failure, not the daemon's
            self.log_exception(exc_info=error)
            self.force_close()
        except BaseException:
            self.force_close()
            raise
        finally:
            request.forget_task()
        if not self._keepalive or self._close or self._force_close:
            return False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        return True

    async def _respond(self, request: GatewayRequest) -> web.StreamResponse | None:
        """Respond to a request; None: the client is gone.

        That is aiohttp's `_handle_request`, which does the rest where a response hasn't written
        itself, and where there is none.
        """
        assert self._request_handler is not None
        self._request_in_progress = True
        self._current_request = request
        try:
            response = await self._request_handler(request)
        except Exception as error:  # noqa: BLE001 - aiohttp tells the client
            answer = partial(_fail, error)
        except BaseException:
            self._has_ended()
            raise
        else:
            if isinstance(response, DownstreamResponse) and response.is_sent and not self._upgraded:
                self.log_access(request, response, None)
                self._has_ended()
                return response
            answer = partial(_answer, response)
        response, is_gone = await self._handle_request(request, None, answer)
        return None if is_gone else response

    def _has_ended(self) -> None:
        """The current request has ended; a shutdown may wait for that."""
        self._current_request = None
        self._request_in_progress = False
        if self._handler_waiter is not None:
            self._handler_waiter.set_result(None)

    async def _read_rest(self, body: StreamReader) -> bool:
        """Read a body that was not asked for, for a while; returns whether that was all of it.

        A connection that is closed with unread bytes is reset, before the response is read.
        """
        if self._force_close:
            return True
        try:
            async with asyncio.timeout(self._lingering_time):
                while not body.is_eof():
                    await body.readany()
                    await asyncio.sleep(0)  # as in `body.arriving`
        except TimeoutError:
            return False
        return True


async def _answer(response: web.StreamResponse, _: web.BaseRequest) -> web.StreamResponse:
    return response


async def _fail(error: Exception, _: web.BaseRequest) -> web.StreamResponse:
    raise error
