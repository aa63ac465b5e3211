"""Pictures of the pages for the documentation, into the directory `AIBRIDGED_PICTURES`."""

import os

import pytest

from tests.e2e.ui.test_walk import filled, new_tab, record  # noqa: F401

PICTURES = os.environ.get("AIBRIDGED_PICTURES")
pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

SIZE = 1280
OF = {
    "overview": ("/?range=30d", "light"),
    "sessions": ("/sessions", "light"),
    "session": ("/sessions/{session}", "dark"),
    "providers": ("/providers", "light"),
    "me": ("/me", "dark"),
}


@pytest.mark.skipif(not PICTURES, reason="AIBRIDGED_PICTURES names no directory")
@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
async def test_pictures(filled, new_tab):  # noqa: F811
    for name, (path, scheme) in OF.items():
        tab = await new_tab(SIZE, scheme, filled.admin)
        if "{session}" in path:
            await tab.open("/sessions?q=initiator:user7")
            path = await tab.page.locator("table.sessions th a").first.get_attribute("href")
            path = path.removeprefix("/ui")
        await tab.open(path)
        await tab.page.screenshot(path=f"{PICTURES}/{name}.png")
        tab.check()
