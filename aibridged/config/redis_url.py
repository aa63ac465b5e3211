"""URL of a Redis server: redis://, rediss:// for TLS, unix:// for a socket."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from aibridged.config.key_mistakes import WrongTextError
from aibridged.config.secret import Secret

_FORM = "Write redis://:password@host:6379/0, rediss:// for TLS, or unix:///path/to/socket."
_OPTIONS: Mapping[str, Mapping[str, None]] = {
    "redis": dict.fromkeys(("db",)),
    "rediss": dict.fromkeys(("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")),
    "unix": dict.fromkeys(("db", "password")),
}


def read_redis_url(text: str) -> Secret | None:
    """A URL that may have a password in it: nothing that is wrong with it is quoted."""
    text = text.strip()
    if not text:
        return None
    if not all("!" <= character <= "~" for character in text):
        raise WrongTextError("contains a character that is invalid in a URL", _FORM)
    try:
        url = urlsplit(text)
        host, port, database = url.hostname, url.port, url.path.strip("/")
        options = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
    except ValueError:
        raise WrongTextError("is not a valid URL", _FORM) from None
    is_socket = url.scheme == "unix"
    if url.scheme not in ("redis", "rediss", "unix") or (not url.path if is_socket else not host):
        raise WrongTextError("is not the URL of a Redis server", _FORM)
    if url.fragment or port == 0:
        raise WrongTextError("has a port or a fragment that is no server's", _FORM)
    for number in ("0" if is_socket else database or "0", options.get("db", "0")):
        if re.fullmatch(r"[0-9]{1,5}", number) is None:
            raise WrongTextError("names a database that is no number", _FORM)
    known = _OPTIONS[url.scheme]
    if not options.keys() <= known.keys():
        raise WrongTextError("has a parameter that is not known", f"Known: {', '.join(known)}.")
    return Secret(text)
