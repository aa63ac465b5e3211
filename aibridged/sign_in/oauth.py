"""Answers of the OAuth endpoints, in OAuth's own shape (RFC 6749, 5.2)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from aibridged.errors import SHOULD_RETRY

HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json"}


class OAuthError(Exception):
    """A request that an OAuth endpoint refuses; `sentence` quotes nothing of it."""

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        status: int = 400,
        retry_after: int | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.status = status
        self.retry_after = retry_after
        self.allow = allow

    def response(self) -> web.Response:
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.allow is not None:
            headers["Allow"] = self.allow
        if self.status == 401:
            headers[SHOULD_RETRY] = "false"
        body = {"error": self.code, "error_description": self.sentence}
        return answer(body, status=self.status, headers=headers)


def answer(
    body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer that nothing stores."""
    return web.Response(
        status=status, body=msgspec.json.encode(body), headers={**HEADERS, **(headers or {})}
    )


def invalid_grant(sentence: str, *, status: int = 401) -> OAuthError:
    """The error that makes a client sign in again."""
    return OAuthError("invalid_grant", sentence, status=status)


def unavailable(sentence: str, retry_after: int = 5) -> OAuthError:
    """The error for what can't be done at present."""
    return OAuthError("temporarily_unavailable", sentence, status=503, retry_after=retry_after)
