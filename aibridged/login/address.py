"""Addresses of gateways: what a person types, in the one form that is stored and compared."""

import ipaddress
from urllib.parse import urlsplit

from .failure import LoginError

_LONGEST = 2000
_PORTS = {"https": 443, "http": 80}
_EXAMPLE = "https://gateway.example.com"


def normalised(text: str) -> str:
    """The gateway's address without a slash at the end; `https://` where no scheme is given.

    Raises:
        LoginError: it isn't one, carries credentials, or is plain HTTP beyond loopback.
    """
    text = text.strip()
    if "://" not in text:
        text = f"https://{text}"
    scheme, host, port, path = _parts(text)
    if scheme == "http" and not is_loopback(host):
        raise LoginError(
            f"http://{host} would send tokens unencrypted",
            f"Use https://{host}; plain HTTP is for loopback addresses only.",
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}{'' if port == _PORTS[scheme] else f':{port}'}{path.rstrip('/')}"


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL, in lower case and with the default filled in.

    Raises:
        LoginError: it has none.
    """
    return _parts(url)[:3]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(url: str) -> tuple[str, str, int, str]:
    wrong = LoginError("this is not a gateway's address", f"Write it like {_EXAMPLE}.")
    if len(url) > _LONGEST or not url.isascii() or any(each <= " " for each in url):
        raise wrong
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in _PORTS or not host or any(each in url for each in "\\\"'<>`^{|}"):
        raise wrong
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise LoginError(
            "the gateway's address has no user, query or fragment", f"Write it like {_EXAMPLE}."
        )
    return parts.scheme, host.lower(), _PORTS[parts.scheme] if port is None else port, parts.path
