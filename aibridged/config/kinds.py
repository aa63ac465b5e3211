"""Types of setting values: how each is parsed and formatted.

Whatever a value's source, it arrives here as the text that one would put into an environment
variable. Parsers raise ValueError with what is wrong, and never quote what may contain a secret.
"""

import csv
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from aibridged.config import durations
from aibridged.config.key_mistakes import key_text
from aibridged.config.proxy_url import ProxyUrl, read_proxy_url
from aibridged.config.redis_url import read_redis_url
from aibridged.config.secret import Secret

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIZE = re.compile(r"([0-9]{1,18})\s*(B|KiB|MiB|GiB)?", re.ASCII)
_SIZE_UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
_MAX_PERCENTAGES = 10
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_POSTGRES = re.compile(r"postgres(ql)?(\+psycopg)?://")
NEVER = "never"
MAX_WORKERS = 128
"""As many as the memory for shared limits has room for."""
MAX_REPLICAS = 1000
MAX_SENTENCE = 500
"""Characters."""

_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


class Address(NamedTuple):
    """A listening address. An empty host means all interfaces; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A type of value. `metavar` is its name in help; `many`: a comma-separated list.

    `pairs`: a list of `name: value`, which a file may write as a mapping. `mapping`: a JSON object
    of strings, or lists of them, which a file writes as a mapping; `tree`: one of any values.
    """

    metavar: str
    parse: Callable[[str], T]
    show: Callable[[T], str] = str
    many: bool = False
    pairs: bool = False
    mapping: bool = False
    tree: bool = False


def is_loopback(host: str) -> bool:
    """Whether the host is a loopback address, or a name of one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin_of(url: str) -> str:
    """The part of a valid URL that is no secret: `https://hooks.example.com`."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"


def items(text: str) -> tuple[str, ...]:
    """The items of a comma-separated list; an item that contains a comma is quoted, as in CSV."""
    try:
        rows = list(csv.reader([text], skipinitialspace=True))
    except csv.Error:
        raise ValueError("is not a comma-separated list on one line") from None
    return tuple(item for row in rows for item in map(str.strip, row) if item)


def joined(values: tuple[Any, ...] | list[str]) -> str:
    """The inverse of `items`."""
    texts = [str(value) for value in values]
    return ",".join(
        '"' + text.replace('"', '""') + '"' if re.search(r'[",\n]', text) else text
        for text in texts
    )


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false (true, t, 1, false, f or 0)")


def _show_bool(value: bool) -> str:
    return "true" if value else "false"


def _whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
            raise ValueError(f"{text!r} is not an integer")
        value = int(text)
        if value < least:
            raise ValueError(f"{value} is less than {least}")
        if most is not None and value > most:
            raise ValueError(f"{value} is more than {most}")
        return value

    return parse


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a number of bytes like 1048576 or 32MiB")
    value = int(match[1]) * _SIZE_UNITS[match[2] or "B"]
    if value == 0:
        raise ValueError("0 bytes would reject every request")
    return value


def _show_size(value: int) -> str:
    unit = next(unit for unit, scale in _SIZE_UNITS.items() if value % scale == 0)
    return str(value) if unit == "B" else f"{value // _SIZE_UNITS[unit]}{unit}"


def _size_or_auto(text: str) -> int | None:
    return None if text.strip() == "auto" else _size(text)


def _workers(text: str) -> int | None:
    if text.strip() == "auto":
        return None
    return _whole_number(1, MAX_WORKERS)(text)


def _show_size_or_auto(value: int | None) -> str:
    return "auto" if value is None else _show_size(value)


def _positive_duration(text: str) -> float:
    seconds = durations.parse(text)
    if seconds == 0:
        raise ValueError("must be greater than 0")
    return seconds


def _grace(text: str) -> float:
    return math.inf if text.strip() == NEVER else durations.parse(text)


def _show_grace(seconds: float) -> str:
    return NEVER if seconds == math.inf else durations.show(seconds)


def _path(text: str) -> Path | None:
    return _expanded(text) if text else None


def _directory(text: str) -> Path:
    if not text:
        raise ValueError("is empty")
    return _expanded(text)


def _expanded(text: str) -> Path:
    try:
        return Path(_file_name(text)).expanduser()
    except RuntimeError:
        raise ValueError(f"{text!r} begins with ~ and the name of no user") from None


def choice(*words: str) -> Kind[str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return Kind("|".join(words), parse)


def _file_name(text: str) -> str:
    if "\0" in text:
        raise ValueError("contains a NUL character")
    return text


def _show_optional(value: object) -> str:
    return "" if value is None else str(value)


def _secret(text: str) -> Secret | None:
    return Secret(key_text(text)) if text else None


def _secret_url(text: str) -> Secret | None:
    return Secret(key_text(text, _POSTGRES)) if text else None


def _base_url(text: str) -> str:
    if text and "://" not in text:
        raise ValueError("has no https:// or http:// in front")
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("contains a space or another character that is invalid in a URL")
    if url.scheme not in ("http", "https") or not host:
        raise ValueError("is not a URL like https://api.example.com/v1")
    if url.username is not None or url.password is not None:
        raise ValueError("contains a user or a password: the key has its own setting")
    if "?" in text or "#" in text:
        raise ValueError("contains a ? or a #, but the gateway appends a path to it")
    return text.rstrip("/")


def _webhook_url(text: str) -> Secret | None:
    """A whole URL, which often is a secret itself: nothing that is wrong with it is quoted."""
    if not text:
        return None
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("contains a space or another character that is invalid in a URL")
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    if url.scheme not in ("http", "https") or not host:
        raise ValueError("is not a URL like https://hooks.example.com/budgets")
    if url.username is not None or url.password is not None:
        raise ValueError("contains a user or a password: the secret has its own setting")
    return Secret(text)


def _percentages(text: str) -> tuple[int, ...]:
    words = items(text)
    if len(words) > _MAX_PERCENTAGES:
        raise ValueError(f"has more than {_MAX_PERCENTAGES} percentages")
    for word in words:
        number = word.removesuffix("%").strip()
        if re.fullmatch(r"[0-9]{1,3}", number, re.ASCII) is None or not 1 <= int(number) <= 100:
            raise ValueError(f"{word!r} is not a percentage from 1 to 100")
    return tuple(sorted({int(word.removesuffix("%").strip()) for word in words}))


def _optional_url(text: str) -> str | None:
    return _base_url(text) if text else None


def _issuer_url(text: str) -> str:
    """An issuer's identifier, compared character by character: a slash at its end is kept."""
    if text:
        _base_url(text)
        url = urlsplit(text)
        if url.scheme != "https" and not is_loopback(url.hostname or ""):
            raise ValueError("is not an https:// URL, and only loopback addresses may do without")
    return text


def _address(text: str) -> Address:
    if "://" in text:
        raise ValueError(f"{text!r} is a URL: leave out all but the host and the port")
    host, colon, port = text.strip().rpartition(":")
    if colon and re.fullmatch(r"[0-9]{5,18}", port) and int(port) > 65535:
        raise ValueError(f"the port {port} is more than 65535")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address like 127.0.0.1:4001, [::1]:4001 or :4001")
    if host.startswith("[") and host.endswith("]"):
        try:
            return Address(str(ipaddress.IPv6Address(host[1:-1])), int(port))
        except ValueError:
            raise ValueError(f"{host} is not an IPv6 address") from None
    if host and not _HOST.fullmatch(host):
        raise ValueError(f"{host!r} is not a host (IPv6 addresses go in brackets)")
    return Address(host, int(port))


def _optional_address(text: str) -> Address | None:
    return _address(text) if text else None


def _headers(text: str) -> tuple[str, ...]:
    names = items(text)
    for name in names:
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid header name")
    return names


def _networks(text: str) -> tuple[Network, ...]:
    networks = []
    for item in items(text):
        try:
            networks.append(ipaddress.ip_network(item))
        except ValueError:
            raise ValueError(f"{item!r} is not {_network_meant(item)}") from None
    return tuple(networks)


def _network_meant(item: str) -> str:
    """What an item that isn't a network should have been."""
    try:
        meant = ipaddress.ip_network(item, strict=False)
    except ValueError:
        return "an IP address or a network like 10.0.0.0/8"
    return f"a network, but an address in {meant}: write that"


def _patterns(text: str) -> tuple[str, ...]:
    patterns = items(text)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error.msg}") from None
    return patterns


def _sentence(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_SENTENCE or not text.isprintable():
        raise ValueError(f"is longer than {MAX_SENTENCE} characters, or not printable")
    return text


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        at = "" if error.pos is None else f" at character {error.pos + 1}"
        raise ValueError(f"{text!r} is not a regular expression: {error.msg}{at}") from None


WORKERS: Kind[int | None] = Kind(
    "INT|auto", _workers, lambda value: "auto" if value is None else str(value)
)
BOOL = Kind("BOOL", _bool, _show_bool)
COUNT = Kind("INT", _whole_number(0))
POSITIVE = Kind("INT", _whole_number(1))
REPLICAS = Kind("INT", _whole_number(1, MAX_REPLICAS))
SIZE = Kind("BYTES", _size, _show_size)
SIZE_OR_AUTO: Kind[int | None] = Kind("BYTES", _size_or_auto, _show_size_or_auto)
DURATION = Kind("DURATION", durations.parse, durations.show)
POSITIVE_DURATION = Kind("DURATION", _positive_duration, durations.show)
GRACE = Kind("DURATION", _grace, _show_grace)
"""A duration, or infinitely many seconds."""
PATH: Kind[Path | None] = Kind("PATH", _path, _show_optional)
DIRECTORY = Kind("DIR", _directory)
OPTIONAL_DIRECTORY: Kind[Path | None] = Kind("DIR", _path, _show_optional)
TEXT = Kind("TEXT", str)
SENTENCE = Kind("TEXT", _sentence)
LOG_TARGET = Kind("PATH", lambda text: str(_expanded(text)) if text else "")
AUTH = choice("token", "coder", "none")
PROMPT_ACCESS = choice("admins", "own")
BUDGET_FAIL = choice("open", "closed")
UI_ENABLED = choice("auto", "true", "false")
METRIC_NAMES = choice("both", "new", "old")
OPTIONAL_URL: Kind[str | None] = Kind("URL", _optional_url, _show_optional)
SECRET: Kind[Secret | None] = Kind("KEY", _secret, _show_optional)
SECRET_URL: Kind[Secret | None] = Kind("URL", _secret_url, _show_optional)
REDIS_URL: Kind[Secret | None] = Kind("URL", read_redis_url, _show_optional)
WEBHOOK_URL: Kind[Secret | None] = Kind("URL", _webhook_url, _show_optional)
WEBHOOK_FORMAT = choice("json", "slack")
PERCENTAGES = Kind("LIST", _percentages, joined, many=True)
ISSUER_URL = Kind("URL", _issuer_url)
BASE_URL = Kind("URL", _base_url)
PROXY_URL: Kind[ProxyUrl | None] = Kind("URL", read_proxy_url, _show_optional)
ADDRESS = Kind("HOST:PORT", _address)
OPTIONAL_ADDRESS: Kind[Address | None] = Kind("HOST:PORT", _optional_address, _show_optional)
HEADERS = Kind("LIST", _headers, joined, many=True)
NETWORKS = Kind("LIST", _networks, joined, many=True)
WORDS = Kind("LIST", items, joined, many=True)
REGEX: Kind[re.Pattern[str]] = Kind("REGEX", _regex, lambda pattern: pattern.pattern)
PATTERNS = Kind("LIST", _patterns, joined, many=True)
