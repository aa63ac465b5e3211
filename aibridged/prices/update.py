"""Fetches a newer table of public prices into the state directory."""

from pathlib import Path

import aiohttp

from aibridged.clock import Clock
from aibridged.config import kinds
from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.observe.client_failure import in_words
from aibridged.prices.table import (
    MAX_BYTES,
    Table,
    TableError,
    current_table,
    is_older,
    read_table,
    store,
)

URL = (
    "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/"
    "data.json"
)
"""Where the library's maintainers publish their table; it is the library's own default."""
TIMEOUT_S = 30.0
"""Of the whole request."""
_LEAST = 0.5
"""The share of the models and tiers in use that a table has to have."""


def check_url(url: str) -> None:
    """Check where a table may come from: prices decide who is refused, so nobody may forge them.

    Raises:
        ValueError: it is no HTTPS URL, nor one of this machine; the message doesn't quote it.
    """
    if "?" in url or "#" in url:
        raise ValueError("contains a ? or a #")
    if not url:
        raise ValueError("is empty")
    kinds.ISSUER_URL.parse(url)


async def update(
    state_dir: Path,
    url: str,
    outbound: OutboundProxies,
    clock: Clock,
    timeout: float = TIMEOUT_S,  # noqa: ASYNC109 - aiohttp's
) -> tuple[Table, bool]:
    """Fetch the table, check it, and store it; the table in use, and whether it is a new one.

    Raises:
        TableError: there is none, or it can't be right, or it lacks what the one in use knows.
        OSError: it can't be stored.
    """
    content = await _fetched(url, outbound, timeout)
    before, _ = current_table(state_dir)
    table = read_table(content, clock.wall())
    for what, ours, theirs in (
        ("models", before.models, table.models),
        ("prices of tiers", before.tiers, table.tiers),
    ):
        if theirs < _LEAST * ours:
            raise TableError(f"has {theirs} {what}, and the table in use {ours}")
    if is_older(table, before):
        raise TableError(
            f"ends with prices of {table.newest_change}, and the table in use with those of "
            f"{before.newest_change}"
        )
    if table.version == before.version:
        return before, False
    store(state_dir, content, clock.wall())
    return table, True


async def _fetched(url: str, outbound: OutboundProxies, timeout: float) -> bytes:  # noqa: ASYNC109
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    proxy = outbound.for_url(url)
    arguments = {"headers": headers} if proxy is None else proxy.arguments(url, headers)
    try:
        async with (
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=timeout),
                # What is compressed could be larger than any bound.
                auto_decompress=False,
            ) as session,
            # A redirect could lead to where the URL was not allowed to.
            session.get(url, allow_redirects=False, **arguments) as response,
        ):
            if response.status != 200:
                raise TableError(f"was not sent: the server responded with {response.status}")
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise TableError(f"is larger than {MAX_BYTES >> 20} MiB")
            return bytes(content)
    except TimeoutError:
        raise TableError(f"did not arrive within {timeout:g} s") from None
    except aiohttp.ClientError as error:
        raise TableError(f"could not be fetched: {in_words(error)}") from None
