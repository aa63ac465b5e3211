"""Where the page is served: at the gateway's address, or at one of its own."""

import socket
from dataclasses import replace

import msgspec
import pytest
from loguru import logger

from aibridged.config.kinds import Address
from aibridged.config.options import Settings
from aibridged.daemon.gateway import Gateway

ANY_PORT = Address("127.0.0.1", 0)
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


async def seen(client, url, headers=None, method="GET"):
    async with client.request(method, url, headers=headers, allow_redirects=False) as response:
        return response.status, response.headers.get("Location", ""), await response.text()


async def test_the_root_leads_browsers_to_it_and_no_program(start_gateway, client):
    gateway = await start_gateway()
    assert (await seen(client, f"{gateway.url}/", BROWSER))[:2] == (303, "/ui/")
    assert "Base URLs" in (await seen(client, f"{gateway.url}/"))[2]
    assert (await seen(client, f"{gateway.url}/", BROWSER, "POST"))[0] == 404
    assert (await seen(client, f"{gateway.url}/ui/"))[0] == 200


async def test_off_it_is_nowhere(start_gateway, client):
    gateway = await start_gateway(ui_enabled="false")
    assert (await seen(client, f"{gateway.url}/ui/"))[0] == 404
    assert "Base URLs" in (await seen(client, f"{gateway.url}/", BROWSER))[2]


async def test_its_own_listener_serves_nothing_else_and_the_gateway_no_page(start_gateway, client):
    gateway = await start_gateway(ui_address=ANY_PORT)
    (page,) = gateway.page_urls
    own = page.removesuffix("/ui/")
    assert own != gateway.url
    assert (await seen(client, page))[0] == 200
    assert (await seen(client, f"{own}/"))[:2] == (303, "/ui/")
    for path in ("/anthropic/v1/models", "/api/v2/aibridge/usage", "/whoami", "/x"):
        status, _, text = await seen(client, f"{own}{path}")
        assert (status, "web page alone" in text) == (404, True), path
    assert (await seen(client, f"{gateway.url}/ui/"))[0] == 404
    assert "Base URLs" in (await seen(client, f"{gateway.url}/", BROWSER))[2]


async def test_without_authentication_its_own_listener_is_for_this_machine_too(
    start_gateway, client
):
    gateway = await start_gateway(ui_address=ANY_PORT)
    (page,) = gateway.page_urls
    assert (await seen(client, page, {"Host": "evil.example"}))[0] == 403


async def test_its_places_are_no_clients(start_gateway, client):
    gateway = await start_gateway(ui_address=ANY_PORT)
    before = gateway.components.connection_limiter.taken
    await seen(client, gateway.page_urls[0])
    assert gateway.components.connection_limiter.taken == before


async def test_the_status_and_a_reload_know_it(start_gateway, client):
    gateway = await start_gateway(ui_address=ANY_PORT, access_url="https://ai.example/base")
    told = msgspec.json.decode(await gateway.status_service.document())["listeners"]
    pages = [each["url"] for each in told if each["what"] == "web page"]
    assert pages[0] == "https://ai.example/base/ui/"
    gateway.reconfigure(gateway.settings)
    status, _, text = await seen(client, pages[1])
    assert (status, 'href="/base/ui/' in text) == (200, True)


@pytest.mark.parametrize(("host", "is_there"), [("127.0.0.1", True), ("0.0.0.0", False)])
async def test_auto_looks_at_the_sockets_that_were_passed(clock, tmp_path, client, host, is_there):
    passed = socket.create_server((host, 0))
    settings = replace(
        Settings(), http_address=Address("127.0.0.1", 1), state_dir=tmp_path, shutdown_timeout=0.0
    )
    gateway = Gateway(settings, clock, {"http": [passed]})
    lines: list[str] = []
    sink = logger.add(lines.append, level=0)
    await gateway.start()
    try:
        url = f"http://127.0.0.1:{passed.getsockname()[1]}/ui/sign-in"
        assert (await seen(client, url))[0] == (200 if is_there else 404)
        assert bool(gateway.page_urls) is is_there
        assert any("The web page is off" in line for line in lines) is not is_there
    finally:
        logger.remove(sink)
        await gateway.stop()
