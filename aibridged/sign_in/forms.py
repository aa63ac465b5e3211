"""Forms and queries as they come: bounded in bytes, fields and time."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from aibridged.transport.body import small_body

MAX_BYTES = 8 * 1024
MAX_FIELDS = 64
READ_TIMEOUT_S = 10.0


async def read_form(request: web.BaseRequest) -> Mapping[str, str]:
    """The fields of a form in the body, whatever its content type says.

    Raises:
        GatewayError: it is too large or too slow, or isn't HTTP.
    """
    body = await small_body(request, MAX_BYTES, READ_TIMEOUT_S, name="form")
    return fields(body.decode("utf-8", "replace"))


def fields(encoded: str) -> Mapping[str, str]:
    """The fields by name; of one that is given twice the first, and none if they are too many."""
    if len(encoded) > MAX_BYTES:
        return {}
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
