"""URL of an HTTP proxy, with secret credentials."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from aibridged.config.secret import Secret

PORTS = {"http": 80, "https": 443}
"""The port of a URL that names none, by its scheme."""


@dataclass(frozen=True)
class ProxyUrl:
    """`scheme` is http or https; `authorization` is the value of Proxy-Authorization.

    `source` is the name of the flag or variable that it comes from, for messages.
    """

    scheme: str
    host: str
    port: int
    authorization: Secret | None
    source: str = field(default="", compare=False)

    def __str__(self) -> str:
        user = "****@" if self.authorization is not None else ""
        return f"{self.scheme}://{user}{self._authority}"

    @property
    def address(self) -> str:
        """The URL without credentials."""
        return f"{self.scheme}://{self._authority}"

    @property
    def headers(self) -> dict[str, str]:
        """What is sent to the proxy beside a request or a CONNECT."""
        if self.authorization is None:
            return {}
        return {"Proxy-Authorization": self.authorization.reveal()}

    def arguments(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """The keyword arguments of an aiohttp request that goes to `url` through this proxy."""
        # Of a plain http request, the proxy gets the request itself.
        own = self.headers if url.startswith("http:") else {}
        return {
            "headers": {**headers, **own},
            "proxy": self.address,
            "proxy_headers": self.headers,
        }

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_proxy_url(text: str) -> ProxyUrl | None:
    """Parse `http://[user:password@]host:port`; "" is None.

    Raises:
        ValueError: it isn't such a URL; the message doesn't quote it.
    """
    if not text:
        return None
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("contains a space or another character that is invalid in a URL")
    if "://" not in text:
        raise ValueError("has no http:// or https:// in front")
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    if url.scheme not in PORTS or not host or url.path not in ("", "/") or url.query:
        raise ValueError("is not a URL like http://user:password@proxy.example.com:8080")
    authorization = None
    if url.username is not None:
        credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
        encoded = base64.b64encode(credentials.encode()).decode()
        authorization = Secret(f"Basic {encoded}")
    return ProxyUrl(url.scheme, host, port or PORTS[url.scheme], authorization)
