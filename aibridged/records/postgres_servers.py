"""Several PostgreSQL servers in one URL, of which one at a time is the primary.

They are asked in their order, until one takes writes. Each that is gone without a word is waited
for, so the one that answered last comes first from then on.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import cycle
from typing import Any

import sqlalchemy as sa

_PORT = 5432
# As in libpq's URLs: host:port,host:port, where SQLAlchemy expects one.
_SEVERAL = re.compile(
    r"(\w[\w+]*://(?:[^:/@]*(?::[^@]*)?@)?)([^/?@]*,[^/?@]*)((?:[/?].*)?)", re.DOTALL
)
_SERVER = re.compile(r"(?:\[([^]]*)\]|([^:]*))(?::([0-9]*))?")


def read_url(text: str) -> sa.URL:
    """The URL, with several servers as its parameters `host` and `port`.

    Raises:
        ValueError, sqlalchemy.exc.ArgumentError: it isn't valid.
    """
    several = _SEVERAL.fullmatch(text)
    if several is None:
        return sa.make_url(text)
    start, servers, rest = several.groups()
    matches = [_SERVER.fullmatch(each) for each in servers.split(",")]
    found = [(match[1] or match[2], match[3] or "") for match in matches if match is not None]
    if len(found) < len(matches):
        raise ValueError("not the names of servers")
    hosts, ports = (",".join(each) for each in zip(*found, strict=True))
    query = {"host": hosts, "port": ports} if ports.strip(",") else {"host": hosts}
    return sa.make_url(start + rest).update_query_dict(query)


def servers_of(url: sa.URL) -> list[str]:
    """The host and port of each."""
    hosts = (url.host or str(url.query.get("host") or "localhost")).split(",")
    ports = str(url.port or url.query.get("port") or _PORT).split(",")
    return [f"{host}:{port or _PORT}" for host, port in zip(hosts, cycle(ports))]


class Primary:
    """Connects to the one of several servers that takes writes. For any thread."""

    def __init__(self) -> None:
        self._last = ("", "")

    def connect(self, connect: Callable[..., Any], options: dict[str, Any]) -> Any:
        """What the driver's `connect` returns for these options."""
        hosts = str(options.get("host", "")).split(",")
        if len(hosts) == 1:
            return connect(**options)
        ports = str(options.get("port", _PORT)).split(",")
        servers = [(host, port or str(_PORT)) for host, port in zip(hosts, cycle(ports))]
        servers.sort(key=lambda server: server != self._last)
        host, port = map(",".join, zip(*servers, strict=True))
        connection = connect(**options | {"host": host, "port": port})
        self._last = (connection.info.host, str(connection.info.port))
        return connection


@lru_cache(maxsize=8)
def primary_of(servers: tuple[str, ...]) -> Primary:
    """The same for all that this process connects to these servers."""
    return Primary()
