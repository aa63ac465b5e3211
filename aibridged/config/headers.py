"""Headers with secret values, which are sent to a server."""

import re

from aibridged.config import kinds
from aibridged.config.kinds import Kind
from aibridged.config.secret import Secret

Headers = tuple[tuple[str, Secret], ...]

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def header_kind(reserved: re.Pattern[str]) -> Kind[Headers]:
    """A list of headers like `X-Team: core, X-Stage: live`, on one line or several.

    `reserved` are the names that the protocol uses itself.
    """

    def parse(text: str) -> Headers:
        headers: dict[str, tuple[str, Secret]] = {}
        for item in kinds.items(",".join(text.splitlines())):
            name, colon, value = item.partition(":")
            name, value = name.strip(), value.strip()
            if not colon or not _NAME.fullmatch(name):
                raise ValueError("is not a list of headers like X-Team: core, X-Stage: live")
            if reserved.fullmatch(name):
                raise ValueError(f"the header {name} is reserved by the protocol")
            if not value or not all(" " <= character <= "~" for character in value):
                raise ValueError(f"the header {name} has no valid value")
            if name.lower() in headers:
                raise ValueError(f"the header {name} is given twice")
            headers[name.lower()] = (name, Secret(value))
        return tuple(headers.values())

    return Kind("HEADERS", parse, _show, pairs=True)


def _show(headers: Headers) -> str:
    return kinds.joined([f"{name}: ****" for name, _ in headers])
