"""Requests to a gateway: bounded in bytes and time, without redirects, failures in words.

A request runs in a thread of its own: the resolver and a server that sends byte after byte can't be
stopped otherwise, and Ctrl-C is heard at once.
"""

import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from .address import is_loopback
from .failure import LoginError, UnreachableError

MAX_BYTES = 64 * 1024
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Answer:
    """A gateway's answer: its status, and its JSON object (empty where it sent none)."""

    status: int
    data: Mapping[str, Any] = field(repr=False)

    @property
    def error(self) -> str:
        """The error's code by OAuth's form, or ""."""
        found = self.data.get("error")
        return found if isinstance(found, str) else ""


def ask(
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    bearer: str | None = None,
    ca_file: str | None = None,
    timeout: float = TIMEOUT_S,
) -> Answer:
    """GET a URL, or POST a form to it; statuses of all kinds are answers.

    Raises:
        UnreachableError: no connection, or no complete answer in time.
        LoginError: its certificate isn't trusted, or `ca_file` can't be read.
    """
    headers = {"Accept": "application/json", "User-Agent": "aibridged-login"}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    body = None if form is None else urlencode(form).encode("ascii")
    request = urllib.request.Request(url, body, headers)
    opener = _opener(url, ca_file)
    got: list[Answer | Exception] = []

    def run() -> None:
        try:
            got.append(_answer(opener, request, timeout))
        except Exception as error:  # noqa: BLE001 # it is raised in the thread that waits
            got.append(error)

    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    asking.join(timeout)
    found = got[0] if got else TimeoutError(f"no complete answer in {timeout:.0f} s")
    if isinstance(found, Answer):
        return found
    raise _in_words(url, found, ca_file) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token must not go where an answer points to."""

    def redirect_request(self, *args: object, **more: object) -> None:
        return None


def _opener(url: str, ca_file: str | None) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    parts = urlsplit(url)
    if parts.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise LoginError(
                f"{ca_file}: {error.strerror or error}", "--ca-file is a PEM file of certificates."
            ) from None
        handlers.append(urllib.request.HTTPSHandler(context=context))
    if is_loopback(parts.hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _answer(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float
) -> Answer:
    try:
        response = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        body = response.read(MAX_BYTES + 1)
        status = response.status
    if len(body) > MAX_BYTES:
        raise ValueError(f"an answer of more than {MAX_BYTES // 1024} KiB")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    return Answer(status, data if isinstance(data, dict) else {})


def _in_words(url: str, error: Exception, ca_file: str | None) -> LoginError:
    where = urlsplit(url).netloc
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        why = reason.verify_message or "it could not be verified"
        mend = (
            f"The certificate isn't of {ca_file}'s authority, or not for this name."
            if ca_file
            else "If it is of your organisation's own authority, name that one's certificate: "
            "--ca-file PEM."
        )
        return LoginError(f"{where}: its certificate isn't trusted: {why.rstrip('.')}", mend)
    if isinstance(reason, ssl.SSLError):
        is_plain = reason.reason == "WRONG_VERSION_NUMBER"
        if is_plain and is_loopback(urlsplit(url).hostname or ""):
            return UnreachableError(f"{where} doesn't speak TLS", f"Try http://{where}.")
        what = f"no TLS ({reason.reason or reason})"
    elif isinstance(reason, ConnectionRefusedError):
        what = "it refuses connections"
    elif isinstance(reason, TimeoutError):
        what = str(reason) if reason.args and "answer" in str(reason) else "it doesn't answer"
    elif isinstance(reason, http.client.HTTPException):
        what = f"the answer isn't HTTP ({type(reason).__name__})"
    elif isinstance(reason, OSError):
        what = reason.strerror or str(reason)
    else:
        what = str(reason)
    return UnreachableError(
        f"{where} can't be reached: {what}", "Check the address, the network and HTTPS_PROXY."
    )
