"""Reads the single HTTP head at the start of a connection, with aiohttp's parsers."""

import asyncio
import re
from abc import abstractmethod
from typing import Any, Generic, TypeVar

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import (
    HttpProcessingError,
    HttpRequestParser,
    HttpResponseParser,
    RawRequestMessage,
    RawResponseMessage,
)
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

MAX_HEAD_BYTES = 64 * 1024
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_MAX_FIELD_BYTES = 32 * 1024


def is_too_large(error: BaseException | None) -> bool:
    """Whether aiohttp's parser found a head too large, as opposed to malformed."""
    if isinstance(error, LineTooLong):
        return True
    return isinstance(error, BadHttpMessage) and error.message.startswith("Too many ")


M = TypeVar("M", RawRequestMessage, RawResponseMessage)


class _HeadReader(BaseProtocol, Generic[M]):
    """Reads a head of `MAX_HEAD_BYTES` at most, and nothing after it.

    `loop` is the event loop that it runs on.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(self.loop)
        self._parser = self._make_parser()
        self._received = 0
        self._has_ended = False

    @abstractmethod
    def head_came(self, message: M, *, alone: bool) -> None:
        """Called with the head; nothing followed it if it came `alone`."""

    @abstractmethod
    def no_head_came(self, *, too_large: bool) -> None:
        """Called if the head is too large, or not HTTP."""

    @abstractmethod
    def _make_parser(self) -> Any: ...

    def data_received(self, data: bytes) -> None:
        if self._has_ended:
            return
        self._received += len(data)
        assert self._parser is not None
        try:
            messages, _, early = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._has_ended = True
            self.no_head_came(too_large=is_too_large(error))
            return
        if messages:
            self._has_ended = True
            self.head_came(messages[0][0], alone=len(messages) == 1 and not early)
        elif self._received > MAX_HEAD_BYTES:
            self._has_ended = True
            self.no_head_came(too_large=True)


class RequestHeadReader(_HeadReader[RawRequestMessage]):
    """Reads the head of a request."""

    def _make_parser(self) -> Any:
        return HttpRequestParser(
            self,
            self.loop,
            MAX_HEAD_BYTES,
            max_line_size=_MAX_FIELD_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
        )


class ResponseHeadReader(_HeadReader[RawResponseMessage]):
    """Reads the head of a response; what comes behind it is `early`."""

    def __init__(self) -> None:
        super().__init__()
        self.early = b""
        self._head = bytearray()

    def data_received(self, data: bytes) -> None:
        if self._has_ended:
            self.early += data
            return
        self._head += data
        end = _BLANK_LINE.search(self._head)
        if end is not None:
            self.early = bytes(self._head[end.end() :])
            super().data_received(bytes(self._head[: end.end()]))
        elif not self._head.startswith(b"HTTP/"[: len(self._head)]) or (
            len(self._head) > MAX_HEAD_BYTES
        ):
            self._has_ended = True
            self.no_head_came(too_large=len(self._head) > MAX_HEAD_BYTES)

    def _make_parser(self) -> Any:
        return HttpResponseParser(self, self.loop, MAX_HEAD_BYTES, response_with_body=False)
