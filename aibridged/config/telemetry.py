"""Settings of the destinations of telemetry that agents send."""

import re
from collections.abc import Sequence
from typing import get_args
from urllib.parse import urlsplit

from aibridged.config import kinds, sources
from aibridged.config.declare import Group
from aibridged.config.entries import Entry, EntryList
from aibridged.config.headers import header_kind
from aibridged.config.kinds import Kind
from aibridged.config.options import TelemetrySettings, TelemetrySignal
from aibridged.config.resolution import Mistake

SIGNALS: tuple[TelemetrySignal, ...] = get_args(TelemetrySignal)
_PROTOCOL_HEADERS = re.compile(
    r"accept|accept-encoding|connection|content-encoding|content-length|content-type|host"
    r"|transfer-encoding",
    re.IGNORECASE,
)


def _url(text: str) -> str:
    """Parse a base URL; a signal's path at its end would be there twice."""
    url = kinds.BASE_URL.parse(text)
    if re.search(rf"/v1/(?:{'|'.join(SIGNALS)})\Z", url):
        raise ValueError("ends in the path of a signal, which the gateway appends")
    return url


def _signals(text: str) -> tuple[TelemetrySignal, ...]:
    words = kinds.items(text)
    for word in words:
        if word not in SIGNALS:
            raise ValueError(f"{word!r} is none of {', '.join(SIGNALS)}")
    if not words:
        raise ValueError("names no signal")
    return tuple(each for each in SIGNALS if each in words)


TELEMETRY = EntryList(
    name="telemetry",
    noun="telemetry destination",
    word="TELEMETRY",
    first="url: …",
    group=Group.LOGGING,
    fields={
        "url": Kind("URL", _url),
        "headers": header_kind(_PROTOCOL_HEADERS),
        "headers_file": kinds.PATH,
        "signals": Kind("LIST", _signals, kinds.joined, many=True),
    },
)


def read_list(entries: Sequence[Entry], mistakes: list[Mistake]) -> tuple[TelemetrySettings, ...]:
    """The destinations in their order; each invalid one is reported as a mistake."""
    read = (_read_entry(entry, mistakes) for entry in entries)
    return tuple(each for each in read if each is not None)


def _read_entry(entry: Entry, mistakes: list[Mistake]) -> TelemetrySettings | None:
    before = len(mistakes)
    if "url" not in entry.fields:
        remedy = "Add the base URL of an OTLP receiver, such as https://otlp.example.com."
        mistakes.append(Mistake(entry.where, "the telemetry destination has no url", remedy))
    fields = sources.with_inline_secret(entry.fields, "headers", mistakes)
    read = sources.read_fields(fields, TELEMETRY.fields, mistakes)
    return None if len(mistakes) > before else TelemetrySettings(**read)


def sends_in_the_clear(destination: TelemetrySettings) -> bool:
    """Whether what is sent there is unencrypted."""
    url = urlsplit(destination.url)
    return url.scheme == "http" and not kinds.is_loopback(url.hostname or "")
