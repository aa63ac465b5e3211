"""A walk over all pages in Chromium: as an administrator and as a person, on both databases.

Nothing on the console, nothing from elsewhere, no barrier that axe finds, nothing cut off, and the
keyboard alone is enough. `AIBRIDGED_PICTURES` names a directory for pictures of the pages;
`AIBRIDGED_INTERCEPTIONS` is how many there are on record, 100000 at full length.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aibridged.records.schema import interceptions
from aibridged.ui.page import Role
from aibridged.ui.views import PAGES
from tests.e2e.ui.filled import HOSTILE, TEXTS, Filled, copy_to, fill_sqlite, running

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

PICTURES = os.environ.get("AIBRIDGED_PICTURES")
SIZES = ((360, "light"), (360, "dark"), (1600, "light"), (1600, "dark"))
_NO_PAGES = {"/live/events", "/me/connect/seen"}
"""What answers a script."""


@dataclass
class Tab:
    """A tab, and what went wrong in it."""

    page: Any
    root: str
    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def sign_in(self, token: str) -> None:
        await self.page.goto(f"{self.root}/sign-in")
        await self.page.get_by_label("Gateway token").fill(token)
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(f"{self.root}/")

    async def open(self, path: str) -> None:
        response = await self.page.goto(f"{self.root}{path}")
        if response.status != 200:
            self.failed.append(f"{path}: {response.status}")

    def check(self) -> None:
        assert (self.failed, self.console, self.foreign) == ([], [], [])


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> tuple[Path, sa.Engine]:
    directory = tmp_path_factory.mktemp("record")
    return directory, fill_sqlite(directory)


@pytest.fixture(params=["sqlite", "postgres"])
async def filled(request, record, tmp_path) -> AsyncIterator[Filled]:
    directory, source = record
    if request.param == "sqlite":
        async with running(directory, source, None) as filled:
            yield filled
        return
    database = request.getfixturevalue("postgres_database")
    copy_to(database.engine, source)
    url = database.url.render_as_string(hide_password=False)
    async with running(tmp_path, database.engine, url) as filled:
        yield filled


@pytest.fixture
async def new_tab(program, filled) -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=program("chromium"), args=["--no-sandbox"]
        )

        async def new_tab(width: int, scheme: str, token: str | None) -> Tab:
            context = await chromium.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=False
            )
            context.set_default_timeout(30_000)
            tab = Tab(await context.new_page(), filled.root)
            tab.page.on("console", lambda each: tab.console.append(f"{each.text} {tab.page.url}"))
            tab.page.on("pageerror", lambda error: tab.console.append(str(error)))
            tab.page.on("dialog", lambda each: tab.console.append(f"a dialog: {each.message}"))
            tab.page.on(
                "request",
                lambda request: (
                    None
                    if request.url.startswith(filled.gateway.url)
                    else tab.foreign.append(request.url)
                ),
            )
            if token is not None:
                await tab.sign_in(token)
            return tab

        yield new_tab
        await chromium.close()


def paths(filled: Filled, source: sa.Engine, *, is_admin: bool) -> list[str]:
    """A path for each page that the visitor may see."""
    last = sa.select(interceptions).order_by(interceptions.c.id.desc()).limit(1)
    if not is_admin:
        last = last.where(interceptions.c.username == "user7")
    with source.connect() as connection:
        row = connection.execute(last).mappings().one()
    samples = {
        "/people/{id}": "user7",
        "/groups/{id}": "engineers",
        "/sessions/{id}": row["client_session_id"],
        "/interceptions/{id}": row["id"],
    }
    found = []
    for page in PAGES:
        if page.path in _NO_PAGES or (page.role is Role.ADMIN and not is_admin):
            continue
        path = page.path
        for pattern, id in samples.items():
            path = path.replace(pattern, pattern.replace("{id}", str(id)))
        # Other names are of parts of a session, and what ends so is a file.
        if "{" not in path and not path.endswith((".json", ".md")):
            found.append(path)
    return found


async def axe(page: Any) -> list[str]:
    """What axe finds, in words. Its text is from the package axe-playwright-python."""
    script = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    await page.evaluate(script)
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def name_of(path: str) -> str:
    return path.strip("/").replace("/", "-") or "overview"


@pytest.mark.parametrize("who", ["admin", "person"])
async def test_every_page(filled, record, new_tab, who):
    token = filled.admin if who == "admin" else filled.person
    wanted = paths(filled, record[1], is_admin=who == "admin")
    barriers, wide = [], []
    for width, scheme in SIZES:
        tab = await new_tab(width, scheme, token)
        for path in wanted:
            await tab.open(path)
            assert await tab.page.locator("h1").count() == 1, path
            barriers += [f"{path} {width} {scheme} {each}" for each in await axe(tab.page)]
            if await tab.page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append(f"{path} at {width}")
            if PICTURES:
                file = f"{PICTURES}/{name_of(path)}-{who}-{width}-{scheme}.png"
                await tab.page.screenshot(path=file, full_page=False)
        tab.check()
        await tab.page.context.close()
    assert (barriers, wide) == ([], [])


async def test_the_form_to_sign_in(filled, new_tab):
    for width, scheme in SIZES:
        tab = await new_tab(width, scheme, None)
        await tab.open("/sign-in")
        assert await axe(tab.page) == []
        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width
        tab.check()


async def test_the_keyboard_is_enough(filled, new_tab):
    tab = await new_tab(1600, "light", filled.admin)
    page = tab.page
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("location.hash") == "#main"
    await page.keyboard.press("?")
    assert await page.locator("dialog#keys").is_visible()
    shown = [each for each in PAGES if each.nav]
    assert await page.locator("dialog#keys dt").count() == 3 + len(shown)
    await page.keyboard.press("Escape")
    assert not await page.locator("dialog#keys").is_visible()
    for each in shown:
        async with page.expect_navigation(url=f"{tab.root}{each.path}*"):
            await page.keyboard.press("g")
            await page.keyboard.press(each.key)
    await tab.open("/settings")
    await page.keyboard.press("/")
    assert await page.evaluate("document.activeElement.name") == "q"
    await page.keyboard.type("rate_limit")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/settings?q=rate_limit*")
    await page.get_by_role("button", name="Sign out").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/sign-in")
    tab.check()


async def test_the_menu_needs_no_script(filled, new_tab):
    tab = await new_tab(360, "light", filled.admin)
    context = await tab.page.context.browser.new_context(
        java_script_enabled=False,
        viewport={"width": 360, "height": 640},
        storage_state=await tab.page.context.storage_state(),
    )
    page = await context.new_page()
    await page.goto(filled.root)
    await page.get_by_text("Menu", exact=True).click()
    await page.locator("header.top").get_by_role("link", name="Settings").click()
    await page.get_by_role("heading", name="Settings", level=1).wait_for()


async def test_hostile_texts_do_no_harm(filled, record, new_tab):
    """They are in the prompts and arguments of the last sessions."""
    table = sa.MetaData()
    with record[1].connect() as connection:
        ids = set()
        for name, column in TEXTS:
            rows = sa.Table(f"aibridge_{name}", table, autoload_with=connection)
            hostile = sa.select(rows.c.interception_id).where(
                sa.cast(rows.c[column], sa.Text).in_(list(HOSTILE.values()))
            )
            ids |= set(connection.execute(hostile).scalars())
        sessions = sa.select(interceptions.c.client_session_id).where(interceptions.c.id.in_(ids))
        found = set(connection.execute(sessions).scalars())
    assert found
    tab = await new_tab(1600, "light", filled.admin)
    for session in found:
        await tab.open(f"/sessions/{session}")
        assert await tab.page.title() != "owned"
        assert await tab.page.locator("main script, main img[src=x]").count() == 0
        text = await tab.page.inner_text("main")
        assert not {*text} & {"\u202e", "\u2066", "\x1b", "\u200b", "\ufeff"}
        assert len(await tab.page.content()) < 2_000_000
    tab.check()
