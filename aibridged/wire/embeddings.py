"""Reads responses of OpenAI's Embeddings API and of the servers that are compatible with it.

The vectors, as lists of numbers or in base64, make up nearly all of a response, which may have a
hundred megabytes. Model and usage stand before or behind them, so only the response's beginning and
its end are kept, and searched for these two fields; nothing is decoded whole.
"""

import re
from contextlib import suppress

import msgspec

from aibridged.wire import bounds
from aibridged.wire.collector import MAX_ID, provider_error
from aibridged.wire.facts import ProviderError, ResponseFacts, TokenUsage
from aibridged.wire.usage import chat_usage

KEPT = 16 * 1024
"""Bytes kept of the beginning of a response, and of its end."""

# In JSON, an unescaped quote always begins or ends a string: what is found is no part of one.
_USAGE = re.compile(rb'"usage"\s{0,64}:\s{0,64}(\{(?:[^{}]|\{[^{}]*+\})*+\})')
_MODEL = re.compile(rb'"model"\s{0,64}:\s{0,64}("[^"\\]{0,%d}")' % MAX_ID)
_ERROR = re.compile(rb'\s*\{\s*"error"\s*:')

_decode_error = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


class EmbeddingsReader:
    """Reads one response."""

    verdict = None
    response_id = None
    stream = None

    def __init__(self) -> None:
        self._beginning = bytearray()
        self._end = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Keep the next bytes, if they are of the beginning; of the others the last ones."""
        room = KEPT - len(self._beginning)
        if room > 0:
            self._beginning += chunk[:room]
            chunk = chunk[room:]
        self._end += chunk[-KEPT:]
        if len(self._end) > 2 * KEPT:
            del self._end[:-KEPT]

    def finish(self, complete: bool) -> ResponseFacts:
        """Model, usage or error, as far as they were told."""
        beginning, end = bytes(self._beginning), bytes(self._end)
        whole = beginning + end if len(end) <= KEPT else beginning
        error = _error(whole)
        usage = _usage(end) or _usage(whole)
        return ResponseFacts(
            model=_model(whole) or _model(end),
            usage=usage,
            error=error,
            complete=complete and error is None,
        )


def _usage(text: bytes) -> TokenUsage | None:
    """The last usage in it: servers may count for each vector as well, before they add up."""
    told = _USAGE.findall(text)
    if not told:
        return None
    with suppress(*bounds.UNREADABLE):
        counts = bounds.counts(msgspec.Raw(told[-1]))
        if counts is not None:
            # Some servers tell the total alone, which is the same here: nothing is generated.
            counts.setdefault("prompt_tokens", counts.get("total_tokens"))
            return chat_usage(counts, partial=False)
    return None


def _model(text: bytes) -> str | None:
    model = _MODEL.search(text)
    if model is not None:
        with suppress(*bounds.UNREADABLE):
            return _decode_text(model[1])
    return None


def _error(text: bytes) -> ProviderError | None:
    """The error that the response is: its only field, as it is in OpenAI's."""
    if _ERROR.match(text) is None:
        return None
    with suppress(*bounds.UNREADABLE):
        error = _decode_error(text).get("error", bounds.ABSENT)
        return provider_error(bounds.value(error)) if bounds.is_given(error) else None
    return ProviderError(None, None, None)
