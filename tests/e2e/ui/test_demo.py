"""The demo's last word: an address that opens the page once."""

import asyncio
import re
import signal
import sys

import aiohttp
import pytest

from tests.e2e.ui.browser import Browser

pytestmark = pytest.mark.drill


async def test_the_demo_ends_with_the_page(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aibridged", "demo", "--keep"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(60):
            root, code = await address(process)
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
                browser = Browser(session, root)
                assert "Open the page" in (await browser.get(f"/sign-in?code={code}")).text
                page = await browser.post("/sign-in/code", code=code)
                assert (page.status, "alice" in page.text) == (200, True)
                assert (await browser.post("/sign-in/code", code=code)).status == 401
                process.stdin.write(b"\n")
                _, another = await address(process)
                assert (await browser.post("/sign-in/code", code=another)).status == 200
            process.send_signal(signal.SIGINT)
            rest = await process.stdout.read()
            assert await process.wait() == 0
            assert b"nothing is left behind" in rest
    finally:
        if process.returncode is None:
            process.kill()


async def address(process) -> tuple[str, str]:
    """The root of the page and the code, once they are printed."""
    while line := (await process.stdout.readline()).decode():
        if found := re.search(r"(http://\S+/ui)/sign-in\?code=(\S+)", line):
            return found[1], found[2]
    raise AssertionError("the demo has ended without an address")
