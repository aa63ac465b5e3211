"""People, groups, policies, the audit log and one's own page: as a stranger, a person, an admin."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from html import unescape
from typing import Any

import aiohttp
import pytest

from aibridged.config.options import PolicySettings
from aibridged.identity.groups import GroupStore
from aibridged.identity.tokens import TokenStore
from tests.e2e.ui.browser import Browser, csrf

# The queries are tested on both databases by tests/api.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HOSTILE = "<script>alert(1)</script>\u202e"
OF_ADMINS = ("/people", "/people/ann", "/groups", "/groups/ops", "/policies", "/audit")
OF_PEOPLE = (
    "/me",
    "/me/connect",
    "/me/connect/seen",
    *(
        f"/me/connect?agent={name}"
        for name in (
            "claude-code",
            "codex",
            "opencode",
            "cursor",
            "zed",
            "kilo",
            "pi",
            "python",
            "typescript",
        )
    ),
)


@pytest.fixture
def store(database, clock):
    store = TokenStore(database.engine, clock, "setup")
    GroupStore(database.engine, clock, "setup").create("ops")
    store.create_user("root", is_admin=True)
    store.create_user("ann", name=HOSTILE.replace("\u202e", ""), groups=["ops"])
    return store


@pytest.fixture
async def gateway(start_gateway, database, store):
    return await start_gateway(
        auth="token",
        state_dir=database.state_dir,
        access_url="http://gateway.example:4001",
        policies=(PolicySettings(groups=("ops",), models=("claude-*",)), PolicySettings(models=())),
    )


@dataclass(frozen=True)
class Slow(Browser):
    """A browser whose user looks at a page for a second, by the gateway's clock."""

    clock: Any = None

    async def _seen(self, response):
        self.clock.advance(1)
        return await super()._seen(response)


@pytest.fixture
async def visit(gateway, store, clock) -> AsyncIterator[Callable[[str | None], Awaitable[Browser]]]:
    """Signs a person in; None is a stranger."""
    sessions = []

    async def visit(username: str | None) -> Browser:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        sessions.append(session)
        browser = Slow(session, f"{gateway.url}/ui", clock)
        if username is not None:
            token = store.create_token(username, name="page", lifetime=None)[1].reveal()
            assert (await browser.sign_in(token)).status == 200
        return browser

    yield visit
    for session in sessions:
        await session.close()


def texts(page) -> str:
    """What the page says, without its markup."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text)))


async def submit(browser: Browser, path: str, /, **form: str):
    """Send a form of the page at the path."""
    page = await browser.get(path)
    return await browser.post(path, csrf=csrf(page), **form)


async def test_who_may_see_and_send_what(visit):
    stranger, ann, root = await visit(None), await visit("ann"), await visit("root")
    for path in (*OF_ADMINS, *OF_PEOPLE):
        assert (await stranger.get(path)).path.startswith("/sign-in"), path
        assert (await root.get(path)).status == 200, path
        assert (await ann.get(path)).status == (403 if path in OF_ADMINS else 200), path
    own = csrf(await ann.get("/me"))
    for path in ("/people", "/people/ann", "/groups", "/groups/ops"):
        sent = {"csrf": own, "do": "delete", "username": "eve", "name": "eve"}
        assert (await ann.post(path, **sent)).status == 403, path
    page = await ann.get("/me")
    assert 'href="/ui/people"' not in page.text
    assert 'href="/ui/me"' in page.text


async def test_an_admin_sees_to_people(visit, store):
    root = await visit("root")
    page = await submit(root, "/people", username="bob", role="robot", groups="ops\n")
    assert (page.path, "Created bob." in page.text) == ("/people/bob", True)
    page = await submit(root, "/people/bob", do="edit", username="rob", name=HOSTILE, groups="")
    assert (page.status, "one line" in page.text) == (400, True)
    page = await submit(root, "/people/bob", do="edit", username="rob", name="Rob", groups="")
    assert page.path == "/people/rob"
    page = await submit(root, "/people/rob", do="create-token", name="ci", lifetime="86400")
    (secret,) = re.findall(r"aib_[a-z0-9]+_\w+", page.text)
    assert "ends" in texts(page)
    id = secret.split("_")[1]
    assert secret not in (await root.get("/people/rob")).text
    await submit(root, "/people/rob", do="renew", token=id, lifetime="604800")
    page = await submit(root, "/people/rob", do="suspend")
    assert "Suspended rob" in page.text
    page = await submit(root, "/people/rob", do="resume")
    page = await submit(root, "/people/rob", do="revoke", token=id)
    assert f"Revoked the token {id}." in page.text
    assert "revoked" in texts(await root.get("/people/rob?revoked"))
    page = await submit(root, "/people/rob", do="sign-out")
    page = await submit(root, "/people/rob", do="delete")
    assert (page.path, "Deleted rob" in page.text) == ("/people", True)
    assert (await root.get("/people/rob")).status == 404
    said = texts(await root.get("/audit?target=rob"))
    for each in (
        "root deleted the user rob",
        f"root revoked the token {id} of rob",
        "root resumed rob",
    ):
        assert each in said
    page = await submit(root, "/people/root", do="suspend")
    assert (page.status, "suspend or delete yourself" in texts(page)) == (400, True)


async def test_lists_keep_their_filters_and_show_hostile_names_as_text(visit, store):
    root = await visit("root")
    page = await root.get("/people?q=AN&status=active&group=ops")
    assert ('href="/ui/people/ann"' in page.text, 'href="/ui/people/root"' in page.text) == (
        True,
        False,
    )
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert 'value="AN"' in page.text
    assert "Nobody matches" in (await root.get("/people?q=nobody")).text
    for number in range(51):
        store.create_user(f"u-{number:03}")
    page = await root.get("/people?status=active")
    following = unescape(re.search(r'rel="next" href="/ui([^"]+)"', page.text)[1])
    assert "status=active" in following
    assert "u-050" in (await root.get(following)).text
    assert (await root.get("/audit?started_after=yesterday")).status == 400
    page = await root.get('/audit?action=user.create&target=ann&actor=set"up')
    assert "created the user" in page.text


async def test_an_admin_sees_to_groups(visit, store):
    root = await visit("root")
    page = await submit(root, "/groups", name="CN=dev/ops, OU=x")
    path = page.path
    assert "Created the group" in page.text
    page = await submit(root, path, do="add", users="ann, nobody")
    assert (page.status, "no user" in texts(page)) == (400, True)
    page = await submit(root, path, do="add", users="ann, root")
    assert "Added ann, root." in page.text
    page = await submit(root, path, do="remove", users="root")
    assert 'href="/ui/people/ann"' in page.text
    said = texts(await root.get("/audit?action=group"))
    assert "root added members to the group CN=dev/ops, OU=x users: ann root" in said.replace(
        "root ann", "ann root"
    )
    page = await submit(root, path, do="delete")
    assert (page.path, "Its members stay" in page.text) == ("/groups", True)


async def test_policies_are_explained(visit):
    root = await visit("root")
    said = texts(await root.get("/policies?user=ann&model=gpt-x"))
    assert "not granted Policy 1 counts. It doesn't grant gpt-x." in said
    assert "counts It is for a group of theirs: ops." in said
    assert "fits It is for everybody. Policy 1 comes first." in said
    page = await root.get("/policies?user=nobody")
    assert (page.status, "no such user" in page.text) == (400, True)


async def test_a_person_connects_an_agent_and_sees_its_first_request(visit, gateway, client):
    ann = await visit("ann")
    page = await ann.get("/me/connect?agent=codex")
    assert 'base_url = "http://gateway.example:4001/v1"' in unescape(page.text)
    assert "Waiting" in page.text
    watch = unescape(re.search(r'data-watch="/ui([^"]+)"', page.text)[1])
    page = await ann.post("/me/connect?agent=codex", csrf=csrf(page), name="laptop", lifetime="")
    (secret,) = set(re.findall(r"aib_[a-z0-9]+_\w+", page.text))
    assert f"export AIBRIDGE_TOKEN={secret}" in unescape(page.text)
    assert secret not in (await ann.get("/me/connect?agent=codex")).text

    async def ask(model: str) -> None:
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"Authorization": f"Bearer {secret}", "User-Agent": "claude-cli/2.1.0"}
        async with client.post(f"{gateway.url}/v1/messages", json=body, headers=headers) as answer:
            await answer.read()

    assert "Waiting" in texts(await ann.get(watch))
    await ask("gpt-x")
    await _eventually(
        ann, watch, "Refused A request of yours was refused: This model is not granted"
    )
    assert "Waiting" in texts(await ann.get("/me/connect")), "it was before that page was opened"
    await ask(f"claude-{HOSTILE[:8]}")
    await _eventually(
        ann, watch, "It works We saw your first request: Claude Code with claude-<script>"
    )
    assert "<script>" not in (await ann.get(watch)).text
    page = await ann.get("/me")
    id = secret.split("_")[1]
    assert (id in page.text, secret in page.text) == (True, False)
    page = await ann.post("/me", csrf=csrf(page), do="renew", token=id, lifetime="3000000")
    assert (page.status, "at most 30d" in texts(page)) == (400, True)
    page = await submit(ann, "/me", do="revoke", token=id)
    assert f"Revoked the token {id}." in page.text


async def _eventually(browser: Browser, path: str, said: str) -> None:
    """Load a page until it says this: refusals are counted beside the requests."""
    async with asyncio.timeout(10):
        while said not in texts(await browser.get(path)):
            pass


async def test_addresses_that_were_tampered_with_do_no_harm(visit):
    ann = await visit("ann")
    long = (f"before={'a:1,' * 500}", f"before=a:{'9' * 5000}")
    for query in ("since=x&before=y:z,,:", "agent=../../base", *long, "since="):
        for path in ("/me/connect", "/me/connect/seen"):
            assert (await ann.get(f"{path}?{query}")).status == 200, (path, query)


async def test_without_users_of_its_own_the_pages_say_why(start_gateway, database):
    gateway = await start_gateway(auth="none")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        browser = Browser(session, f"{gateway.url}/ui")
        for path in ("/me", "/me/connect"):
            page = await browser.get(path)
            assert (page.status, "--aibridge-auth none" in page.text) == (200, True)
        for path in ("/people", "/groups"):
            page = await browser.get(path)
            assert (page.status, "--aibridge-auth none" in page.text) == (404, True)
