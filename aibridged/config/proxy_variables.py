"""Reads the proxies for outgoing requests: the setting's, or HTTPS_PROXY and the like.

The variables mean what they mean to Go's programs (`golang.org/x/net/http/httpproxy`), Coder's
among them: a loopback address is always asked directly.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

from aibridged.config import kinds, sources
from aibridged.config.kinds import Kind, Network
from aibridged.config.outbound_proxy import Exceptions, OutboundProxies
from aibridged.config.proxy_url import ProxyUrl, read_proxy_url
from aibridged.config.resolution import Mistake

FLAG = "--aibridge-upstream-proxy"
NO_PROXY = ("NO_PROXY", "no_proxy")
_ALL_PROXY = ("ALL_PROXY", "all_proxy")
_HTTPS_PROXY = ("HTTPS_PROXY", "https_proxy")
_HTTP_PROXY = ("HTTP_PROXY", "http_proxy")
_ENTRY = re.compile(r"\[?(?P<host>[^\[\]]*?)\]?(?::(?P<port>[0-9]{1,5}))?")


def read(
    proxy: ProxyUrl | None, environ: Mapping[str, str], mistakes: list[Mistake]
) -> OutboundProxies:
    """The proxies of the setting's value `proxy`, or else of the environment."""
    listed = sources.the_one(sources.variables(NO_PROXY, environ), kinds.TEXT, mistakes)
    exceptions = read_exceptions(listed.text if listed is not None else "")
    if exceptions.all:
        return OutboundProxies(exceptions=exceptions)
    if proxy is not None:
        proxy = replace(proxy, source=FLAG)
        return OutboundProxies(proxy, proxy, exceptions)
    https, http = (_variable(names, environ, mistakes) for names in (_HTTPS_PROXY, _HTTP_PROXY))
    others = None if https and http else _variable(_ALL_PROXY, environ, mistakes)
    return OutboundProxies(https or others, http or others, exceptions)


def read_exceptions(text: str) -> Exceptions:
    """The exceptions that NO_PROXY lists; what can't be understood there excepts nothing."""
    networks: list[Network] = []
    names: list[tuple[str, int | None]] = []
    for entry in re.split(r"[,\s]+", text):
        if entry == "*":
            return Exceptions(all=True)
        try:
            networks.append(ip_network(entry.strip("[]"), strict=False))
            continue
        except ValueError:
            match = _ENTRY.fullmatch(entry)
        if match is not None and match["host"]:
            name = match["host"].lower().removeprefix("*").rstrip(".")
            names.append((name, int(match["port"]) if match["port"] else None))
    return Exceptions(networks=tuple(networks), names=tuple(names))


def _variable(
    names: tuple[str, str], environ: Mapping[str, str], mistakes: list[Mistake]
) -> ProxyUrl | None:
    given = sources.the_one(sources.variables(names, environ), _PROXY, mistakes)
    if given is None:
        return None
    remedy = f"Correct or unset it, set {FLAG}, or NO_PROXY=*."
    proxy = sources.read(given, _PROXY, remedy, mistakes)
    return None if proxy is None else replace(proxy, source=given.where)


def _read_variable(text: str) -> ProxyUrl | None:
    """A URL as the flag takes it, of which these variables may leave out `http://`."""
    scheme, found, _ = text.partition("://")
    if found and scheme.lower().startswith("socks"):
        raise ValueError("is a SOCKS proxy: only http:// and https:// proxies are supported")
    return read_proxy_url(text if found else f"http://{text}")


_PROXY: Kind[ProxyUrl | None] = Kind("URL", _read_variable)
