"""Updates of the table, from a server of the test's own: what is taken, and what never is."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from genai_prices.update_prices import DEFAULT_UPDATE_URL

from aibridged.clock import Clock
from aibridged.config.outbound_proxy import OutboundProxies
from aibridged.config.proxy_url import read_proxy_url
from aibridged.prices import update as update_module
from aibridged.prices.table import FILE, TableError, current_table, installed_table
from aibridged.prices.update import URL, check_url, update

Published = Callable[..., bytes]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler | bytes], Awaitable[str]]
DIRECT = OutboundProxies()
ENOUGH = {"models": 1200, "variants": 1}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves a table, or what else a handler says; its URL."""
    servers = []

    async def serve(what: Handler | bytes) -> str:
        async def send(request: web.Request) -> web.StreamResponse:
            assert isinstance(what, bytes)
            return web.Response(body=what)

        app = web.Application()
        app.router.add_get("/data.json", send if isinstance(what, bytes) else what)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("/data.json"))

    yield serve
    for server in servers:
        await server.close()


def test_the_address_is_where_the_library_looks() -> None:
    assert URL == DEFAULT_UPDATE_URL


async def test_a_newer_table_is_taken_and_used(
    serve: Serve, published: Published, tmp_path: Path, clock: Clock
) -> None:
    url = await serve(published(**ENOUGH))
    table, is_new = await update(tmp_path, url, DIRECT, clock)
    assert is_new
    assert (table.models, table.fetched_at) == (1200, clock.wall())
    used, problem = current_table(tmp_path)
    assert (used.version, problem) == (table.version, None)
    again, is_new = await update(tmp_path, url, DIRECT, clock)
    assert not is_new
    assert again.version == table.version


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        ({"models": 100, "variants": 3}, r"has 100 models, and the table in use \d+"),
        ({"models": 1200, "variants": 0}, r"has 0 prices of tiers, and the table in use \d+"),
        ({**ENOUGH, "start": "2026-01-01"}, "ends with prices of 2026-01-01, and the table in use"),
    ],
)
async def test_a_table_that_lacks_what_the_one_in_use_knows_is_not_taken(
    serve: Serve, published: Published, tmp_path: Path, clock: Clock, kept: dict, why: str
) -> None:
    with pytest.raises(TableError, match=why):
        await update(tmp_path, await serve(published(**kept)), DIRECT, clock)
    assert current_table(tmp_path) == (installed_table(), None)


async def test_a_table_that_cannot_be_right_leaves_the_one_before(
    serve: Serve, published: Published, tmp_path: Path, clock: Clock
) -> None:
    await update(tmp_path, await serve(published(**ENOUGH)), DIRECT, clock)
    before = (tmp_path / FILE).read_bytes()
    for content in (published({"input_mtok": -1}, **ENOUGH), b"<html>", published(**ENOUGH)[:-9]):
        with pytest.raises(TableError):
            await update(tmp_path, await serve(content), DIRECT, clock)
    assert (tmp_path / FILE).read_bytes() == before


async def test_a_table_has_to_fit(
    serve: Serve, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much is sent, whether or not its length is told, or hidden by a compression."""
    monkeypatch.setattr(update_module, "MAX_BYTES", 1 << 20)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 64 << 20:
            await response.write(b" " * 65536)
            sent += 65536
        return response

    async def compressed(request: web.Request) -> web.Response:
        body = gzip.compress(b" " * (8 << 20))
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    with pytest.raises(TableError, match="is larger than 1 MiB"):
        await update(tmp_path, await serve(endless), DIRECT, clock)
    assert sent < 32 << 20
    with pytest.raises(TableError, match="is no table of prices"):
        await update(tmp_path, await serve(compressed), DIRECT, clock)


async def test_a_server_that_stalls_is_left(serve: Serve, tmp_path: Path, clock: Clock) -> None:
    is_over = asyncio.Event()

    async def stalling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[")
        await is_over.wait()
        return response

    with pytest.raises(TableError, match=r"did not arrive within 0.2 s"):
        await update(tmp_path, await serve(stalling), DIRECT, clock, timeout=0.2)
    is_over.set()


async def test_refusals_redirects_and_absence_are_told(
    serve: Serve, tmp_path: Path, clock: Clock
) -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://192.0.2.1/")

    url = await serve(elsewhere)
    with pytest.raises(TableError, match="the server responded with 302"):
        await update(tmp_path, url, DIRECT, clock)
    with pytest.raises(TableError, match="the server responded with 404"):
        await update(tmp_path, url.replace("data", "none"), DIRECT, clock)
    with pytest.raises(TableError, match=r"could not be fetched: .*refused"):
        await update(tmp_path, "http://127.0.0.1:9/", DIRECT, clock)
    assert current_table(tmp_path) == (installed_table(), None)


async def test_it_goes_through_the_upstream_proxy(
    serve: Serve, published: Published, tmp_path: Path, clock: Clock
) -> None:
    asked = []

    async def proxy(request: web.Request) -> web.Response:
        asked.append((request.headers["Host"], request.headers.get("Proxy-Authorization", "")[:5]))
        return web.Response(body=published(**ENOUGH))

    address = (await serve(proxy)).removesuffix("/data.json").replace("://", "://u:p@")
    outbound = OutboundProxies(http=read_proxy_url(address))
    _, is_new = await update(tmp_path, "http://prices.example.com/data.json", outbound, clock)
    assert is_new
    assert asked == [("prices.example.com", "Basic")]


@pytest.mark.parametrize("url", [URL, "https://mirror.example.com/x.json", "http://[::1]:80/x"])
def test_a_table_may_come_from(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://mirror.example.com/x.json", "is not an https:// URL"),
        ("file:///etc/passwd", "is not a URL"),
        ("https://u:secret@example.com/", "contains a user or a password"),
        ("https://example.com/?key=secret", r"contains a \? or a #"),
        ("", "is empty"),
        ("example.com", "has no https://"),
    ],
)
def test_a_table_may_not_come_from(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
