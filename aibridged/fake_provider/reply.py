"""From a request and a script to the bytes of a response; no sockets here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec
from multidict import CIMultiDict

from aibridged.fake_provider import (
    chat_completions,
    completions,
    delivery,
    messages,
    responses,
    rest_resources,
    script,
)
from aibridged.fake_provider.answer import (
    NONCE,
    Answer,
    InvalidRequestError,
    Prompt,
    Usage,
    answer,
    stretch,
    usage,
)
from aibridged.fake_provider.checking import chat_completions as checking_chat
from aibridged.fake_provider.checking import messages as checking_messages
from aibridged.fake_provider.checking import responses as checking_responses
from aibridged.fake_provider.received import Received
from aibridged.fake_provider.script import Script
from aibridged.fake_provider.vendors import ANTHROPIC, OPENAI, Vendor

_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"
_NONCE = NONCE.encode()


class Api(Protocol):
    """Interface of a module for one API. See `checking` for whole conversations."""

    def read(self, body: bytes, /) -> Prompt: ...

    def whole(self, model: str, said: Answer, usage: Usage, /) -> bytes: ...

    def stream(
        self, model: str, said: Answer, usage: Usage, deltas: int | None, include_usage: bool, /
    ) -> tuple[bytes, ...]: ...

    def error_event(self, kind: str, message: str, number: int, model: str, /) -> bytes: ...


_APIS: dict[str, Api] = {
    "/v1/messages": messages,
    "/v1/chat/completions": chat_completions,
    "/v1/responses": responses,
    "/v1/completions": completions,
}
_ENGINE = re.compile(r"/v1/engines/[^/]+/completions")
_STORED_RESPONSE = re.compile(r"/v1/responses/([^/]+)")


# The part of OpenAI's API that GitHub Copilot has, at paths without a version.
_VERSIONLESS = ("/chat/completions", "/responses", "/models", "/embeddings")

# Claude Code's telemetry: if refused with a key, it is sent again without one.
_KEYLESS = "/api/event_logging"

_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "/v1/messages": checking_messages.check,
    "/v1/chat/completions": checking_chat.check,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response except for its timing, which is in `script`."""

    script: Script
    status: int
    headers: CIMultiDict[str]
    pieces: tuple[bytes, ...]
    """The body, one item per write."""
    length: int | None
    """The Content-Length; None: chunked. More than the body has where it is cut."""
    usage: Usage | None = None

    @property
    def at_once(self) -> bool:
        """Whether head and body are sent in one write, as a real API's blocking response is."""
        script = self.script
        whole = len(self.pieces) == 1 and self.length == len(self.pieces[0])
        return whole and script.stall_after is None and not script.before_write


class Replier:
    """Makes the replies; `default` is the script where neither the queue nor the model has one.

    With `strict` it checks whole conversations, as the real APIs do (see `checking`).
    """

    def __init__(self, default: Script, *, strict: bool = False) -> None:
        self._default = default
        self._strict = strict
        self._stored = checking_responses.Stored()

    def reply(self, received: Received, scripted: Script | None, nonce: str) -> Reply:
        """The reply to `received`; `nonce` makes its ids unique."""
        headers = {name.lower(): value for name, value in received.raw_headers}
        path = _with_version(received.path)
        draft = _Draft(_vendor(path, headers), scripted or self._default, nonce)
        if scripted and (scripted.body is not None or scripted.stream is not None):
            return draft.verbatim()
        if scripted and scripted.status != 200:
            return draft.error(scripted.status)
        is_known = draft.vendor.knows(headers) or path.startswith(_KEYLESS)
        if scripted is None and not is_known:
            return draft.error(401)
        try:
            return self._answer(received, path, scripted, draft)
        except InvalidRequestError as error:
            return draft.error(400, str(error))

    def _answer(
        self, received: Received, path: str, scripted: Script | None, draft: "_Draft"
    ) -> Reply:
        body = received.decoded()
        api = completions if _ENGINE.fullmatch(path) else _APIS.get(path)
        if api is None:
            query = dict(parse_qsl(received.raw_path.partition("?")[2]))
            stored = _STORED_RESPONSE.fullmatch(path)
            if stored and received.method == "GET" and query.get("stream") == "true":
                after = query.get("starting_after", "")
                number = int(after) if after.isdecimal() else -1
                return draft.events(rest_resources.stream_of(stored[1], number))
            found = rest_resources.find(draft.vendor, received.method, path, body)
            return draft.error(404) if found is None else draft.fresh(found)
        if received.method != "POST":
            return draft.error(405, "Method Not Allowed")
        prompt = api.read(body)
        if self._strict and api is not completions:
            self._check(path, msgspec.json.decode(body))
        draft.script = scripted or script.for_model(prompt.model) or self._default
        if draft.script.status != 200:
            return draft.error(draft.script.status)
        if draft.script.error and not prompt.stream:
            return draft.error(draft.vendor.status_of(draft.script.error))
        reply = draft.answer(api, prompt)
        if self._strict and api is responses:
            calls = responses.call_ids(draft.said, draft.nonce)
            name = responses.response_id(draft.nonce)
            self._stored.remember(msgspec.json.decode(body), name, calls)
        return reply

    def _check(self, path: str, request: Mapping[str, Any]) -> None:
        try:
            if path in _CHECKS:
                _CHECKS[path](request)
            else:
                checking_responses.check(request, self._stored)
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidRequestError(f"the request is malformed: {error!r}") from None


class _Draft:
    """A reply in the making: its vendor and its script."""

    def __init__(self, vendor: Vendor, chosen: Script, nonce: str) -> None:
        self.vendor = vendor
        self.script = chosen
        self.nonce = nonce
        self.said = Answer()
        self._request_id = f"req_fake{nonce}"

    def answer(self, api: Api, prompt: Prompt) -> Reply:
        """The model's response, in the shape of `api`, or the error that is in its stream."""
        chosen = self.script
        said = chosen.answer or answer(prompt)
        if prompt.stream and chosen.deltas:
            said = stretch(said, chosen.deltas)
        self.said = said
        spent = said.usage or usage(prompt, said)
        if prompt.background and not prompt.stream:
            return self.fresh(responses.queued(prompt.model))
        if not prompt.stream:
            return self.fresh(api.whole(prompt.model, said, spent), spent)
        events = api.stream(prompt.model, said, spent, chosen.deltas, prompt.include_usage)
        if chosen.error:
            events = events[: chosen.error_after]
            sentence = chosen.error.replace("_", " ").capitalize()
            last = api.error_event(chosen.error, sentence, len(events), prompt.model)
            events = (*events, last)
        if prompt.background:
            events = tuple(map(responses.in_background, events))
        return self.events(events, spent)

    def events(self, events: tuple[bytes, ...], spent: Usage | None = None) -> Reply:
        """A stream of events, with fresh ids."""
        nonce = self.nonce.encode()
        return self._finish(
            200, _SSE, tuple([event.replace(_NONCE, nonce) for event in events]), True, spent
        )

    def fresh(self, body: bytes, spent: Usage | None = None) -> Reply:
        """A JSON body with fresh ids."""
        body = body.replace(_NONCE, self.nonce.encode())
        return self._finish(200, _JSON, (body,), False, spent)

    def error(self, status: int, message: str | None = None) -> Reply:
        """An error in the shape of the vendor."""
        body = self.vendor.error(status, message, self._request_id)
        return self._finish(status, _JSON, (body,), False)

    def verbatim(self) -> Reply:
        """The body in the script, unchanged."""
        if self.script.body is not None:
            return self._finish(self.script.status, _JSON, (self.script.body,), False)
        return self._finish(self.script.status, _SSE, self.script.stream or (), True)

    def _finish(
        self,
        status: int,
        content_type: str,
        pieces: tuple[bytes, ...],
        chunked: bool,
        spent: Usage | None = None,
    ) -> Reply:
        pieces = delivery.shape(self.script, pieces)
        length = None if chunked else sum(map(len, pieces))
        if self.script.cut_after is not None:
            pieces = delivery.cut(pieces, self.script.cut_after)
        return Reply(
            self.script, status, self._headers(status, content_type), pieces, length, spent
        )

    def _headers(self, status: int, content_type: str) -> CIMultiDict[str]:
        headers = CIMultiDict(self.vendor.headers(status, self._request_id))
        headers["content-type"] = content_type
        if self.script.gzip:
            headers["content-encoding"] = "gzip"
        for name, _ in self.script.headers:
            headers.popall(name, None)
        headers.extend(self.script.headers)
        return headers


def _with_version(path: str) -> str:
    return f"/v1{path}" if path.startswith(_VERSIONLESS) else path


def _vendor(path: str, headers: dict[bytes, bytes]) -> Vendor:
    """The vendor of a request; both have the same path for models, and differ by their headers."""
    if path.startswith(("/v1/messages", _KEYLESS)):
        return ANTHROPIC
    models = path == "/v1/models" or path.startswith("/v1/models/")
    if models and (b"anthropic-version" in headers or b"x-api-key" in headers):
        return ANTHROPIC
    return OPENAI
