"""Signing in to the page: who is let in, how far, and for how long."""

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from aibridged.config.secret import Secret
from aibridged.identity.tokens import TokenStore
from aibridged.ui.admission import PLACES_EACH, RATE
from aibridged.ui.entry import GUESSES
from aibridged.ui.session import IDLE_S
from aibridged.ui.single_use_code import FILE, offer
from tests.e2e.ui.browser import Browser, csrf


@pytest.fixture
def store(sqlite_database, clock):
    return TokenStore(sqlite_database.engine, clock)


@pytest.fixture
def token(store):
    store.create_user("ann", is_admin=True)
    return store.create_token("ann", name="laptop", lifetime=None)[1].reveal()


@pytest.fixture
async def gateway(start_gateway, sqlite_database):
    return await start_gateway(auth="token", state_dir=sqlite_database.state_dir)


@pytest.fixture
async def browser(gateway) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, f"{gateway.url}/ui")


async def test_a_token_on_the_form_signs_in_and_leads_back(browser, token):
    page = await browser.get("/?by=day")
    assert page.path.startswith("/sign-in")
    page = await browser.sign_in("aib_wrong")
    assert (page.status, "not whole" in page.text) == (401, True)
    page = await browser.sign_in(token)
    assert (page.status, page.path) == (200, "/")
    assert "ann" in page.text
    assert token not in page.text


async def test_signing_out_ends_it_for_copies_of_the_cookie_too(browser, token):
    page = await browser.sign_in(token)
    copied = {name: morsel.value for name, morsel in _cookies(browser).items()}
    await browser.post("/sign-out", csrf=csrf(page))
    assert (await browser.get("/")).path.startswith("/sign-in")
    browser.session.cookie_jar.update_cookies(copied)
    assert (await browser.get("/")).path.startswith("/sign-in")


async def test_it_ends_with_its_token_and_when_it_is_idle(browser, store, token, clock):
    await browser.sign_in(token)
    clock.advance(IDLE_S + 1)
    assert (await browser.get("/")).path.startswith("/sign-in")
    await browser.sign_in(token)
    store.suspend_user("ann")
    clock.advance(61)  # the cache of tokens forgets it
    assert (await browser.get("/")).path.startswith("/sign-in")


async def test_forms_of_other_sites_and_without_their_token_are_refused(browser, token):
    page = await browser.sign_in(token)
    other = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    page = await browser.post("/sign-out", headers=other, csrf=csrf(page))
    assert page.status == 403
    await browser.post("/sign-out", csrf="x")
    assert (await browser.get("/")).path == "/"


@pytest.mark.parametrize("to", ["//evil.example/", "/../other", "/%2e./other", "/me/.."])
async def test_paths_that_lead_elsewhere_are_forgotten(browser, token, to):
    page = await browser.post("/sign-in", token=token, to=to)
    assert page.path == "/"


async def test_dots_in_a_query_lead_nowhere(browser, token):
    page = await browser.post("/sign-in", token=token, to="/sessions?text=/../x")
    assert page.path == "/sessions?text=/../x"


def _cookies(browser: Browser):
    return browser.session.cookie_jar.filter_cookies(URL(browser.root))


async def test_a_code_signs_in_by_its_button_once(browser, gateway, token, clock):
    state_dir = gateway.settings.state_dir
    code = offer(state_dir, Secret(token), clock)
    page = await browser.get(f"/sign-in?code={code}")
    assert 'action="/ui/sign-in/code"' in page.text
    assert (state_dir / FILE).exists()  # looking spends nothing
    page = await browser.post("/sign-in/code", code=code)
    assert (page.status, page.path) == (200, "/")
    browser.session.cookie_jar.clear()
    page = await browser.post("/sign-in/code", code=code)
    assert (page.status, "used before" in page.text) == (401, True)


async def test_a_code_is_for_this_machine_alone(browser, gateway, token, clock):
    code = offer(gateway.settings.state_dir, Secret(token), clock)
    other = {"Host": "other.example", "Origin": "http://other.example"}
    page = await browser.post("/sign-in/code", headers=other, code=code)
    assert (page.status, "this machine" in page.text) == (403, True)
    assert (gateway.settings.state_dir / FILE).exists()


async def test_guesses_are_bounded_and_right_tokens_are_none(browser, token, clock):
    for _ in range(GUESSES):
        await browser.sign_in(token)
        browser.session.cookie_jar.clear()
        clock.advance(1)
    for _ in range(GUESSES):
        assert (await browser.sign_in("aib_wrong")).status == 401
    clock.advance(5)
    page = await browser.sign_in(token)
    assert (page.status, page.headers["Retry-After"]) == (429, "60")


async def test_a_person_who_loads_too_quickly_is_told_when_to_come_back(browser, token, clock):
    await browser.sign_in(token)
    clock.advance(5)
    pages = [await browser.get("/nothing") for _ in range(RATE + 1)]
    assert {page.status for page in pages[:-1]} == {404}
    assert (pages[-1].status, pages[-1].headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/sign-in", "/assets/x/style.css"])
async def test_other_methods_are_none(browser, method, path):
    async with browser.session.request(method, f"{browser.root}{path}") as response:
        assert (response.status, "GET" in response.headers["Allow"]) == (405, True)
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


async def test_head_has_no_body(browser, token):
    await browser.sign_in(token)
    async with browser.session.head(f"{browser.root}/") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert int(response.headers["Content-Length"]) > 1000


async def test_a_form_is_bounded(browser, token):
    page = await browser.post("/sign-in", token="x" * 20_000)
    assert page.status == 413


async def test_forms_that_do_not_come_take_no_place(gateway, browser):
    host, port = URL(gateway.url).host, URL(gateway.url).port
    writers = []
    for _ in range(PLACES_EACH):
        reader, writer = await asyncio.open_connection(host, port)
        head = f"POST /ui/sign-in HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9\r\n"
        writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert b"100" in await reader.readline()  # its body is waited for
        writers.append(writer)
    async with asyncio.timeout(2):
        assert (await browser.get("/sign-in")).status == 200
    for writer in writers:
        writer.close()


async def test_no_token_is_logged(browser, token, log):
    await browser.sign_in(token)
    await browser.sign_in("aib_wrong" * 3)
    await browser.get(f"/?q={token}")
    assert "GET /ui/" in "".join(log)
    for secret in (token, "aib_wrong"):
        assert secret not in "".join(log)


async def test_without_authentication_everybody_is_the_local_actor(start_gateway):
    gateway = await start_gateway()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        browser = Browser(session, f"{gateway.url}/ui")
        page = await browser.get("/")
        assert (page.status, page.path) == (200, "/")
        assert "sign-out" not in page.text
        assert [cookie.key for cookie in session.cookie_jar] == ["aibridged-page"]


async def test_behind_a_proxy_with_another_host_forms_are_ours_by_the_access_url(
    start_gateway, sqlite_database, token
):
    gateway = await start_gateway(
        auth="token",
        state_dir=sqlite_database.state_dir,
        access_url="https://ai.example.com/gateway",
    )
    async with aiohttp.ClientSession() as session:

        async def post(origin, site="same-origin"):
            headers = {"Origin": origin, "Sec-Fetch-Site": site}
            async with session.post(
                f"{gateway.url}/ui/sign-in",
                data={"token": token},
                headers=headers,
                allow_redirects=False,
            ) as response:
                return response.status, response.headers

        status, headers = await post("https://ai.example.com")
        assert (status, headers["Location"]) == (303, "/gateway/ui/")
        assert headers["Set-Cookie"].startswith("__Host-aibridged-page=")
        for part in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/"):
            assert part in headers["Set-Cookie"]
        assert (await post("https://evil.example"))[0] == 403
        assert (await post("https://ai.example.com", "same-site"))[0] == 403


@pytest.fixture
async def proxied(start_gateway, sqlite_database, token) -> AsyncIterator[str]:
    """The URL of the page behind a reverse proxy that removes a path and changes the host."""
    target = ""

    async def forward(request: web.BaseRequest) -> web.StreamResponse:
        assert request.rel_url.raw_path.startswith("/gateway/")
        path = str(request.rel_url).removeprefix("/gateway")
        sent = {name: text for name, text in request.headers.items() if name != "Host"}
        url = URL(f"{target}{path}", encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                url,
                headers=sent,
                data=await request.read(),
                allow_redirects=False,
            ) as response,
        ):
            passed = response.headers.copy()
            for name in ("Transfer-Encoding", "Content-Length", "Content-Encoding"):
                passed.popall(name, None)
            return web.Response(status=response.status, body=await response.read(), headers=passed)

    loop = asyncio.get_running_loop()
    async with await loop.create_server(web.Server(forward), "127.0.0.1", 0) as server:
        outside = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/gateway"
        gateway = await start_gateway(
            auth="token", state_dir=sqlite_database.state_dir, access_url=outside
        )
        target = gateway.url.replace("127.0.0.1", "localhost")
        yield f"{outside}/ui"


async def test_behind_a_reverse_proxy_under_a_path_everything_is_found(proxied, token):
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        browser = Browser(session, proxied)
        origin = {"Origin": str(URL(proxied).origin())}
        page = await browser.get("/me?x=1")
        assert page.path == "/sign-in?to=/me?x%3D1"
        page = await browser.post("/sign-in", headers=origin, token=token, to="/me")
        assert (page.status, page.path) == (200, "/me")
        links = set(re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text))
        assert all(link.startswith("/gateway/ui/") for link in links), links
        for link in links:
            if "/assets/" in link:
                seen = await browser.get(link.removeprefix("/gateway/ui"))
                assert seen.status == 200, link
        page = await browser.post("/sign-out", headers=origin, csrf=csrf(page))
        assert page.path == "/sign-in"


async def test_events_end_with_the_session_and_keep_it_from_idling(browser, store, token, clock):
    await browser.sign_in(token)
    clock.advance(IDLE_S - 10)
    async with browser.session.get(f"{browser.root}/live/events") as events:
        assert "aibridged-page" in events.cookies
        await events.content.readany()
        store.suspend_user("ann")
        clock.advance(61)  # the cache of tokens forgets it
        async with asyncio.timeout(10):
            while await events.content.readany():
                pass


async def test_a_notice_is_shown_once(browser, token):
    page = await browser.sign_in(token)
    page = await browser.get("/people")
    page = await browser.post("/people", csrf=csrf(page), username="bob")
    assert "bob" in page.text
    assert 'class="notice"' in page.text
    assert 'class="notice"' not in (await browser.get("/people")).text
