"""Pictures of the pages for the documentation, into the directory `AIBRIDGED_PICTURES`."""

import os

import pytest

from tests.e2e.ui.filled import fill_sqlite
from tests.e2e.ui.test_walk import filled, new_tab  # noqa: F401

PICTURES = os.environ.get("AIBRIDGED_PICTURES")
pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

SIZE = 1280
PROMPTS = (
    "Which test of the rate limit fails, and why?",
    "Rename the setting, and keep the old name working for a release.",
    "Write a migration that adds the column without locking the table.",
    "Explain what this function does, then make it shorter.",
    "The build is slow since yesterday. Find out what changed.",
    "Review this pull request: correctness first, then names.",
    "Add a test that fails without the fix.",
)
OF = {
    "overview": ("/?period=month", "light"),
    "sessions": ("/sessions", "light"),
    "session": ("/sessions/{session}", "dark"),
    "providers": ("/providers", "light"),
    "me": ("/me/connect", "dark"),
}


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    directory = tmp_path_factory.mktemp("record")
    engine = fill_sqlite(directory)
    words = " ".join(f"WHEN {number} THEN '{text}'" for number, text in enumerate(PROMPTS))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE aibridge_user_prompts SET prompt = CASE rowid % {len(PROMPTS)} {words} END"
        )
        connection.exec_driver_sql(
            'UPDATE aibridge_tool_usages SET input = \'{"command":"make test"}\''
        )
    return directory, engine


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
async def test_pictures(filled, new_tab):  # noqa: F811
    for name, (path, scheme) in OF.items():
        tab = await new_tab(SIZE, scheme, filled.admin)
        if "{session}" in path:
            await tab.open("/sessions?initiator=user7")
            path = await tab.page.locator("table.sessions th a").first.get_attribute("href")
            path = path.removeprefix("/ui")
        await tab.open(path)
        await tab.page.screenshot(path=f"{PICTURES}/{name}.png")
        tab.check()
