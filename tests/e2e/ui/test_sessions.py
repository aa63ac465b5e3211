"""The pages of sessions, as a browser gets them: a story, hostile texts, exports, and whose."""

import json

import aiohttp
import pytest

from aibridged.config.secret import Secret
from aibridged.identity.tokens import TokenStore
from aibridged.records.facts import (
    InterceptionEnd,
    InterceptionStart,
    ModelThoughtRecord,
    Outcome,
    TokenUsageRecord,
    ToolUsageRecord,
    UserPromptRecord,
)
from aibridged.records.ids import uuid7
from aibridged.records.store import Store
from tests.e2e.ui.browser import Browser

SESSION = "5a8a2a0e-52f3-4f0f-9c80-0a1b2c3d4e5f"
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe\u200b"


@pytest.fixture
def people(database, clock):
    """Users by name, with a token each."""
    store = TokenStore(database.engine, clock)
    found = {}
    for name, is_admin in (("ann", False), ("bob", False), ("root", True)):
        user = store.create_user(name, is_admin=is_admin)
        found[name] = user, store.create_token(name, name="laptop", lifetime=None)[1].reveal()
    return found


@pytest.fixture
def add(database, clock, people):
    store = Store(database.engine, clock)
    store.connect()
    count = 0

    def add(text="Mend the test.", *, who="ann", session=SESSION, model="claude", answers=True):
        nonlocal count
        clock.advance(10)
        start = InterceptionStart(
            id=uuid7(clock.wall()),
            initiator_id=people[who][0].id,
            username=who,
            provider="anthropic",
            provider_name="anthropic",
            model=model,
            client="Claude Code",
            client_session_id=session,
            started_at=clock.wall(),
            tool_result_ids=(f"call {session} {count}",) if answers else (),
        )
        count += 1
        own = {"interception_id": start.id, "created_at": clock.wall()}
        store.write([start], [])
        call = {"provider_tool_call_id": f"call {session} {count}"}
        facts = (
            UserPromptRecord(id=uuid7(clock.wall()), prompt=text, **own),
            ModelThoughtRecord(id=uuid7(clock.wall()), content=text, **own),
            ToolUsageRecord(id=uuid7(clock.wall()), tool="Bash", input=text, **call, **own),
            TokenUsageRecord(id=uuid7(clock.wall()), cache_write_input_tokens=20_000, **own),
            InterceptionEnd(
                interception_id=start.id,
                ended_at=clock.wall(),
                outcome=Outcome.COMPLETED,
                cost_nanos=250_000_000,
                cost_label="exact",
            ),
        )
        store.write([], facts)
        return start.id

    yield add
    store.close()


@pytest.fixture
async def visit(request, start_gateway, database, people, clock):
    """A browser in which that one is signed in."""
    url = database.url.render_as_string(hide_password=False)
    gateway = await start_gateway(
        auth="token",
        state_dir=database.state_dir,
        postgres_url=None if database.is_sqlite else Secret(url),
        **getattr(request, "param", {}),
    )
    sessions = []

    class Unhurried(Browser):
        async def get(self, path):
            clock.advance(1)
            return await super().get(path)

    async def visit(who):
        jar = aiohttp.CookieJar(unsafe=True)
        sessions.append(aiohttp.ClientSession(cookie_jar=jar))
        browser = Unhurried(sessions[-1], f"{gateway.url}/ui")
        assert (await browser.sign_in(people[who][1])).status == 200
        return browser

    yield visit
    for each in sessions:
        await each.close()


async def test_a_session_is_found_and_told_as_a_story(add, visit, clock):
    add()
    clock.advance(100)  # the first characters of an id are its time
    later = add("Now the other one.", model="other")
    browser = await visit("ann")
    page = await browser.get("/sessions?client=Claude+Code&tool=Bash&text=the+test")
    assert f"/sessions/{SESSION}" in page.text
    assert "Mend the test." in page.text
    assert "$0.50" in page.text
    page = await browser.get(f"/sessions?id={SESSION[:8]}")
    assert (page.status, page.path) == (200, f"/sessions/{SESSION}")
    for told in ("Now the other one.", "Bash", "Cache lost", "20,000 tokens", "the model changed"):
        assert told in page.text
    assert page.text.count("<article") == 2
    page = await browser.get(f"/sessions?id={later[:13]}")
    assert (page.status, page.path) == (200, f"/interceptions/{later}")
    page = await browser.get(f"/interceptions/{later}")
    assert (page.status, "Claude Code" in page.text) == (200, True)
    page = await browser.get("/interceptions?model=other")
    assert f"/interceptions/{later}" in page.text
    assert page.text.count("<tr>") == 2


async def test_hostile_texts_do_no_harm(add, visit):
    id = add(HOSTILE + "x" * 100_000, session='a/b"<i>')
    browser = await visit("ann")
    story = "/sessions/-?id=a%2Fb%22%3Ci%3E"
    assert f'"/ui{story}"' in (await browser.get("/sessions")).text
    for path in (
        "/sessions",
        story,
        "/sessions/-/export.md?id=a%2Fb%22%3Ci%3E",
        f"/interceptions/{id}",
    ):
        page = await browser.get(path)
        assert page.status == 200, path
        assert "alert(1)" in page.text
        if "export" in path:
            assert page.headers["Content-Disposition"].startswith("attachment")
            continue
        for harm in ("<script>alert", "\x1b", "\u202e", "\u200b", '"<i>'):
            assert harm not in page.text, (path, harm)
        assert len(page.text) < 60_000
    whole = page.text.split("/ui/interceptions/")
    path = next(each for each in whole if "/texts/" in each).split('"')[0]
    text = await browser.get(f"/interceptions/{path}")
    assert text.text == HOSTILE + "x" * 100_000
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text.headers["Content-Disposition"].startswith("attachment")
    assert text.headers["X-Content-Type-Options"] == "nosniff"


async def test_exports_are_saved_whole(add, visit):
    ids = [add("```\nbreak out") for _ in range(3)]
    browser = await visit("ann")
    page = await browser.get(f"/sessions/{SESSION}/export.json")
    exported = json.loads(page.text)["threads"]
    assert [each["id"] for thread in exported for each in thread["interceptions"]] == ids
    assert page.headers["Content-Disposition"].startswith("attachment")
    page = await browser.get(f"/sessions/{SESSION}/export.md")
    assert "````text\n```\nbreak out\n````" in page.text


async def test_a_person_sees_their_own_alone(add, visit):
    id = add("A secret of mine.")
    bob = await visit("bob")
    for path in (
        f"/sessions/{SESSION}",
        f"/interceptions/{id}",
        f"/sessions/{SESSION}/export.json",
        f"/sessions/{SESSION}/export.md",
        f"/interceptions/{id}/texts/{id}",
    ):
        page = await bob.get(path)
        assert page.status == 404, path
    for path in ("/sessions", "/interceptions", f"/sessions?id={SESSION}"):
        assert "secret" not in (await bob.get(path)).text
    assert 'value="ann"' not in (await bob.get("/sessions")).text
    admin = await visit("root")
    assert '<option value="ann">' in (await admin.get("/sessions")).text
    assert "A secret of mine." in (await admin.get(f"/sessions/{SESSION}")).text


@pytest.mark.parametrize("visit", [{"prompt_access": "own"}], indirect=True)
async def test_texts_of_others_are_withheld_where_admins_may_not_see_them(add, visit):
    id = add("A secret of mine.")
    admin = await visit("root")
    for path in (
        "/sessions",
        f"/sessions/{SESSION}",
        f"/sessions/{SESSION}/export.md",
        f"/interceptions/{id}",
    ):
        page = await admin.get(path)
        assert (page.status, "secret" in page.text) == (200, False), path
        assert "withheld" in page.text
    assert "A secret of mine." in (await (await visit("ann")).get(f"/sessions/{SESSION}")).text


async def test_a_long_session_has_pages(add, visit):
    for number in range(60):
        add(f"prompt {number}.", answers=False)
    browser = await visit("ann")
    page = await browser.get(f"/sessions/{SESSION}")
    assert page.text.count("<article") == 50
    following = page.text.split('">Next turns')[0].rpartition('href="/ui')[2]
    page = await browser.get(following)
    assert page.text.count("<article") == 10
    assert "prompt 59." in page.text


async def test_what_is_wrong_is_said_beside_the_form(add, visit):
    browser = await visit("ann")
    page = await browser.get("/sessions")
    assert "No session is on record yet" in page.text
    page = await browser.get("/sessions?started_after=yesterday")
    assert page.status == 400
    assert 'role="alert"' in page.text
    page = await browser.get("/sessions?id=zzzzzzzzz")
    assert "There is no session or request with this id" in page.text
    page = await browser.get("/sessions?initiator=nobody")
    assert "No session matches." in page.text
    assert (await browser.get("/sessions/none")).status == 404
