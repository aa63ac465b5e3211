"""Cross-origin protection (CSRF, DNS rebinding): tells programs from web pages.

A page can have requests sent to a loopback address, or through a proxy that its visitor uses: it
can't read responses of another origin, but the requests take effect. And by DNS rebinding its own
name may come to resolve to the loopback address, so that the browser considers the responses
same-origin. The first shows in `Origin` and `Sec-Fetch-Site`, which no page can forge, the second
in `Host`.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address

from multidict import MultiMapping

_HOST = re.compile(r"(\[::1\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
# `none` is for an address that was typed or bookmarked.
_HARMLESS_SITES = frozenset({"same-origin", "none"})

# Clients use the same few names. Callers choose them, so the cache is bounded.
_REMEMBERED_HOSTS = 64


@lru_cache(maxsize=_REMEMBERED_HOSTS)
def is_loopback_name(host: str) -> bool:
    """Whether a Host header, with or without a port, is a loopback name or address."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower().removesuffix(".")
    if name in ("localhost", "[::1]") or name.endswith(".localhost"):
        return True
    try:
        return IPv4Address(name).is_loopback
    except ValueError:
        return False


def is_of_another_origin(headers: MultiMapping[str]) -> bool:
    """Whether a page of another origin makes this request, by Host, Origin and Sec-Fetch-Site.

    Another port is another origin, too. Programs other than browsers send neither of the latter
    two.
    """
    if "Origin" not in headers and "Sec-Fetch-Site" not in headers:
        return False
    origins, sites = headers.getall("Origin", ()), headers.getall("Sec-Fetch-Site", ())
    if any(site not in _HARMLESS_SITES for site in sites):
        return True
    hosts = headers.getall("Host", ())
    own = {f"{scheme}://{host}".lower() for scheme in ("http", "https") for host in hosts}
    return any(origin.lower() not in own for origin in origins)


def is_own_form(headers: MultiMapping[str], origin: str) -> bool:
    """Whether a form that is posted comes from a page of `origin`, the gateway's own.

    A page that sends no referrer sends `null` as the origin of its forms, too, so `Sec-Fetch-Site`
    counts first; browsers that don't send it say the origin.
    """
    origins, sites = headers.getall("Origin", ()), headers.getall("Sec-Fetch-Site", ())
    if any(each.lower() not in (origin.lower(), "null") for each in origins):
        return False
    if sites:
        return list(sites) == ["same-origin"]
    return [each.lower() for each in origins] == [origin.lower()]


def is_opened_by_a_person(headers: MultiMapping[str]) -> bool:
    """Whether a page is loaded into a tab, and not by another page as a frame or an image."""
    return headers.get("Sec-Fetch-Mode", "navigate") == "navigate" and (
        headers.get("Sec-Fetch-Dest", "document") == "document"
    )
