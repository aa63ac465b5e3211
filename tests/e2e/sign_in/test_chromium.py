"""The pages in a real browser: Chromium, with and without scripts, light and dark, on a phone."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.identity_provider import PASSWORD
from tests.tls_files import CERT, KEY

pytestmark = pytest.mark.drill

PHONE = {"width": 360, "height": 640}


@dataclass
class Tab:
    """A tab of its own, and what it has done besides showing pages."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def focused(self) -> str:
        return await self.page.evaluate("document.activeElement.textContent.trim()")


@pytest.fixture
async def open_tab(program) -> AsyncIterator[Any]:
    """Opens tabs, each of them another person's browser."""
    executable = program("chromium")
    try:
        from playwright.async_api import async_playwright
    except ModuleNotFoundError:
        reason = "NOT TESTED: playwright is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )

        async def open_tab(**options: Any) -> Tab:
            context = await chromium.new_context(**options)
            context.set_default_timeout(15_000)
            tab = Tab(await context.new_page())
            tab.page.on("console", lambda message: tab.console.append(said(message)))
            tab.page.on("pageerror", lambda error: tab.console.append(str(error)))
            tab.page.on("request", lambda request: tab.requests.append(request.url))
            return tab

        yield open_tab
        await chromium.close()


def said(message: Any) -> str:
    return f"{message.location.get('url')}: {message.text}"


async def sign_in_at_provider(page: Any) -> None:
    await page.get_by_label("Username").fill("ann")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_person_signs_in(signing_in, provider, open_tab):
    """With scripts switched off, on a phone, by the code in the link, over TLS as usual."""
    gateway = await signing_in(tls_cert_file=CERT, tls_key_file=KEY)
    codes = await gateway.start()
    tab = await open_tab(java_script_enabled=False, viewport=PHONE, ignore_https_errors=True)
    page = tab.page
    await page.goto(codes["verification_uri_complete"])
    assert await page.get_by_role("heading").inner_text() == "Does this match your device?"
    assert codes["user_code"] in await page.inner_text("main")
    await page.get_by_role("button", name="Yes, sign in with OpenID Connect").click()
    await sign_in_at_provider(page)
    await page.get_by_role("heading", name="You're signed in").wait_for()
    tokens = (await gateway.poll(codes)).json
    assert (await gateway.models(tokens)).status == 200

    codes = await gateway.start()
    await page.goto(codes["verification_uri_complete"])
    await page.get_by_role("button", name="Yes, connect it").click()
    await page.get_by_role("heading", name="You're signed in").wait_for()
    assert (await gateway.poll(codes)).status == 200
    (session,) = await page.context.cookies(gateway.url)
    assert session["name"] == "__Host-aibridged-session"
    assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Lax")
    assert [line for line in tab.console if line.startswith(gateway.url)] == []
    assert {url.split("/")[2] for url in tab.requests} == {
        gateway.url.split("/")[2],
        provider.issuer.split("/")[2],
    }


async def test_the_keyboard_is_enough(gateway, open_tab):
    """A code that is typed, and every control within reach and named."""
    codes = await gateway.start()
    tab = await open_tab(color_scheme="dark", viewport=PHONE)
    page = tab.page
    await page.goto(codes["verification_uri"])
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.labels[0].innerText") == (
        "Code that your device shows"
    )
    await page.keyboard.type(codes["user_code"].lower().replace("-", ""))
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Does this match your device?").wait_for()
    await page.keyboard.press("Tab")
    assert await tab.focused() == "Yes, sign in with OpenID Connect"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert await page.evaluate(outline) == "solid"
    await page.keyboard.press("Tab")
    assert await tab.focused() == "No, refuse it"
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Device refused").wait_for()
    assert (await gateway.poll(codes)).json["error"] == "access_denied"
    assert tab.console == []


async def test_nothing_is_cut_off(gateway, open_tab):
    codes = await gateway.start()
    backgrounds = set()
    for scheme, width in (("light", 320), ("dark", 360), ("dark", 1280)):
        tab = await open_tab(color_scheme=scheme, viewport={"width": width, "height": 480})
        for path in ("verification_uri", "verification_uri_complete"):
            await tab.page.goto(codes[path])
            assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width
            for button in await tab.page.get_by_role("button").all():
                assert (await button.bounding_box())["height"] >= 44
        colour = "getComputedStyle(document.body).backgroundColor"
        backgrounds.add(await tab.page.evaluate(colour))
        assert tab.console == []
    assert len(backgrounds) == 2


async def test_other_sites_can_neither_frame_nor_submit_it(gateway, open_tab, clock):
    codes = await gateway.start()
    frame = f'<iframe src="{codes["verification_uri_complete"]}"></iframe>'
    form = f"""<form method="post" action="{gateway.url}/device">
        <input name="user_code" value="{codes["user_code"]}"><input name="answer" value="yes">
        <button>Win</button></form>"""
    async with serving(frame + form) as evil:
        tab = await open_tab()
        await tab.page.goto(evil)
        assert any("frame" in line.lower() for line in tab.console), tab.console
        await tab.page.get_by_role("button", name="Win").click()
        await tab.page.get_by_role("heading", name="This form is not ours").wait_for()
    clock.advance(60)
    assert (await gateway.poll(codes)).json["error"] == "authorization_pending"


async def test_a_provider_may_pass_people_on_to_another_one(gateway, provider, open_tab):
    """Browsers hold all redirects that follow a form against its page's policy."""
    codes = await gateway.start()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERT, KEY)
    async with serving("<h1>Another provider</h1>", tls) as other:
        redirect = {"status": 302, "headers": {"Location": other}}
        provider.fail(answers={"authorize": redirect})
        tab = await open_tab(ignore_https_errors=True)
        await tab.page.goto(codes["verification_uri_complete"])
        await tab.page.get_by_role("button", name="Yes, sign in with OpenID Connect").click()
        await tab.page.get_by_role("heading", name="Another provider").wait_for()


@asynccontextmanager
async def serving(text: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serves a page on another origin."""

    async def serve(request: web.BaseRequest) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    loop = asyncio.get_running_loop()
    async with await loop.create_server(web.Server(serve), "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://localhost:{port}/"
