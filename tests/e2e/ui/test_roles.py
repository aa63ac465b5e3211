"""Every page and every endpoint, as a stranger, a person and an administrator sees it.

What is added without a row here fails.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import Engine, select

from aibridged.records.schema import interceptions, user_prompts
from aibridged.ui.page import Role
from aibridged.ui.views import PAGES
from tests.e2e.ui.browser import Browser
from tests.e2e.ui.filled import fill_sqlite, running

API = "/api/v2/aibridge"
METHODS = ("get", "post", "put", "patch", "delete")
NAMES = re.compile(r"{[^}]+}")

FINE, FORBIDDEN, NOT_THERE, MALFORMED = 200, 403, 404, 400
EVERYBODY, ADMINS, OWNERS = (FINE, FINE), (FORBIDDEN, FINE), (NOT_THERE, FINE)

PAGE_ROLES: Mapping[str, tuple[int, int]] = {
    "/": EVERYBODY,
    "/live": EVERYBODY,
    "/live/events": EVERYBODY,
    "/sessions": EVERYBODY,
    "/sessions/{session of user7}": EVERYBODY,
    "/sessions/{session of user2}": OWNERS,
    "/sessions/{session of user7}/export.json": EVERYBODY,
    "/sessions/{session of user2}/export.json": OWNERS,
    "/sessions/{session of user7}/export.md": EVERYBODY,
    "/sessions/{session of user2}/export.md": OWNERS,
    "/interceptions": EVERYBODY,
    "/interceptions/{interception of user7}": EVERYBODY,
    "/interceptions/{interception of user2}": OWNERS,
    "/interceptions/{interception of user7}/texts/{text of user7}": EVERYBODY,
    "/interceptions/{interception of user2}/texts/{text of user2}": OWNERS,
    "/budgets": EVERYBODY,
    "/people": ADMINS,
    "/people/user7": ADMINS,
    "/groups": ADMINS,
    "/groups/engineers": ADMINS,
    "/policies": ADMINS,
    "/audit": ADMINS,
    "/providers": ADMINS,
    "/settings": ADMINS,
    "/me": EVERYBODY,
    "/me/connect": EVERYBODY,
    "/me/connect/seen": EVERYBODY,
}
"""What user7 and an administrator get; a stranger is led to the form."""

ENDPOINT_ROLES: Mapping[str, tuple[int, int]] = {
    "get /interceptions": EVERYBODY,
    "get /interceptions/{id}": (NOT_THERE, NOT_THERE),
    "get /sessions": EVERYBODY,
    "get /sessions/{id}": (NOT_THERE, NOT_THERE),
    "get /sessions/{id}/interceptions": (NOT_THERE, NOT_THERE),
    "get /usage": EVERYBODY,
    "get /audit": ADMINS,
    "get /models": EVERYBODY,
    "get /initiators": EVERYBODY,
    "get /find": (NOT_THERE, NOT_THERE),
    "get /clients": EVERYBODY,
    "get /providers": EVERYBODY,
    "get /overview": EVERYBODY,
    "get /budgets": EVERYBODY,
    "get /budgets/scope": (FORBIDDEN, MALFORMED),
    "get /sessions/{id}/cache": (NOT_THERE, NOT_THERE),
    "get /sessions/{id}/export": (NOT_THERE, NOT_THERE),
    "get /sessions/{id}/markdown": (NOT_THERE, NOT_THERE),
    "get /interceptions/{id}/text": (NOT_THERE, NOT_THERE),
    "get /live": EVERYBODY,
    "get /live/events": EVERYBODY,
    "post /live/{id}/end": (NOT_THERE, NOT_THERE),
    "get /users": ADMINS,
    "post /users": (FORBIDDEN, MALFORMED),
    "get /users/{id}": (FORBIDDEN, NOT_THERE),
    "patch /users/{id}": (FORBIDDEN, MALFORMED),
    "delete /users/{id}": (FORBIDDEN, NOT_THERE),
    "post /users/{id}/suspend": (FORBIDDEN, NOT_THERE),
    "post /users/{id}/resume": (FORBIDDEN, NOT_THERE),
    "post /users/{id}/sign-out": (FORBIDDEN, NOT_THERE),
    "get /users/{id}/tokens": (FORBIDDEN, NOT_THERE),
    "post /users/{id}/tokens": (FORBIDDEN, MALFORMED),
    "post /tokens/{id}/renew": (FORBIDDEN, MALFORMED),
    "delete /tokens/{id}": (FORBIDDEN, NOT_THERE),
    "get /me/tokens": EVERYBODY,
    "post /me/tokens": (MALFORMED, MALFORMED),
    "post /me/tokens/{id}/renew": (MALFORMED, MALFORMED),
    "delete /me/tokens/{id}": (NOT_THERE, NOT_THERE),
    "get /groups": ADMINS,
    "post /groups": (FORBIDDEN, MALFORMED),
    "get /groups/{id}": (FORBIDDEN, NOT_THERE),
    "delete /groups/{id}": (FORBIDDEN, NOT_THERE),
    "post /groups/{id}/add": (FORBIDDEN, MALFORMED),
    "post /groups/{id}/remove": (FORBIDDEN, MALFORMED),
    "get /policies": ADMINS,
    "get /policies/explain": (FORBIDDEN, MALFORMED),
    "get /me": EVERYBODY,
    "get /me/latest": EVERYBODY,
    "get /status": ADMINS,
    "get /providers/health": ADMINS,
    "get /settings": ADMINS,
    "get /overview/problems": ADMINS,
    "post /v1/organizations/spend_limits": (FORBIDDEN, MALFORMED),
    "get /v1/organizations/spend_limits": ADMINS,
    "get /v1/organizations/spend_limits/{id}": (FORBIDDEN, NOT_THERE),
    "delete /v1/organizations/spend_limits/{id}": (FORBIDDEN, NOT_THERE),
    "get /v1/organizations/spend_limits/effective": ADMINS,
    "get /v1/organizations/spend_limits/audit": ADMINS,
}
"""The same for endpoints, with half of a body and for what isn't there; a stranger gets 401."""

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> tuple[Path, Engine]:
    directory = tmp_path_factory.mktemp("record")
    return directory, fill_sqlite(directory, 120, hostile=False)


@pytest.fixture
async def filled(record, clock):
    async with running(*record, None, clock) as filled:
        yield filled


@pytest.fixture
def ids(record) -> Callable[[str], str]:
    """Fills the ids of records into a path of the table."""
    found = {}
    with record[1].connect() as connection:
        for user in ("user7", "user2"):
            rows = select(interceptions.c.id, interceptions.c.client_session_id, user_prompts.c.id)
            row = connection.execute(
                rows.join(user_prompts).where(interceptions.c.username == user).limit(1)
            ).one()
            names = (f"interception of {user}", f"session of {user}", f"text of {user}")
            found |= dict(zip(names, row, strict=True))
    return lambda path: path.format_map(found)


def matches(pattern: str, path: str) -> bool:
    parts, segments = pattern.split("/"), path.split("/")
    return len(parts) == len(segments) and all(
        part == segment or part.startswith("{")
        for part, segment in zip(parts, segments, strict=True)
    )


def test_every_page_has_a_row():
    for page in PAGES:
        assert any(matches(page.path, path) for path in PAGE_ROLES), page.path
        person, _ = next(row for path, row in PAGE_ROLES.items() if matches(page.path, path))
        assert (page.role is Role.ADMIN) == (person == FORBIDDEN), page.path


def check_headers(response: aiohttp.ClientResponse) -> None:
    for name, value in SECURITY.items():
        assert response.headers[name] == value, (response.url, name)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    if "/assets/" not in str(response.url):
        assert response.headers["Cache-Control"] == "no-store", response.url


async def test_pages_by_role(filled, clock, ids):
    for who, token in (("stranger", None), ("person", filled.person), ("admin", filled.admin)):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            if token is not None:
                await Browser(session, filled.root).sign_in(token)
            for path, (person, admin) in PAGE_ROLES.items():
                expected = {"stranger": 303, "person": person, "admin": admin}[who]
                clock.advance(5)  # nobody is over a limit
                url = f"{filled.root}{ids(path)}"
                async with session.get(url, allow_redirects=False) as response:
                    assert (who, path, response.status) == (who, path, expected)
                    check_headers(response)
                    if who == "stranger":
                        assert response.headers["Location"].startswith("/ui/sign-in")


async def test_forms_without_their_token_change_nothing(filled, clock, ids):
    origin = {"Origin": filled.gateway.url, "Sec-Fetch-Site": "same-origin"}
    for who, token in (("stranger", None), ("person", filled.person), ("admin", filled.admin)):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers=origin) as session:
            if token is not None:
                await Browser(session, filled.root).sign_in(token)
            for page in PAGES:
                clock.advance(5)
                path = next(path for path in PAGE_ROLES if matches(page.path, path))
                url = f"{filled.root}{ids(path)}"
                async with session.post(url, data={}, allow_redirects=False) as response:
                    expected = {303} if token is None else {403} if page.post else {403, 405}
                    assert response.status in expected, (who, path, response.status)
                    check_headers(response)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each endpoint of the document as in the table, and its path."""
    for path, methods in document["paths"].items():
        prefix = "" if path.startswith("/v1/") else API
        for method in methods:
            if method in METHODS:
                yield f"{method} {path}", f"{prefix}{path}"


async def test_endpoints_by_role(filled, clock):
    base = filled.gateway.url
    found = {}
    async with aiohttp.ClientSession() as session:
        as_admin = {"Authorization": f"Bearer {filled.admin}"}
        async with session.get(f"{base}{API}/openapi.json", headers=as_admin) as response:
            document = json.loads(await response.read())
        for name, path in operations(document):
            url = f"{base}{re.sub(NAMES, 'nothing-there', path)}"
            statuses = []
            for token in (None, filled.person, filled.admin):
                clock.advance(5)
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                method = name.split()[0].upper()
                async with session.request(method, url, headers=headers, data=b"{") as response:
                    statuses.append(response.status)
            found[name] = tuple(statuses)
    assert found == {name: (401, *statuses) for name, statuses in ENDPOINT_ROLES.items()}


@pytest.mark.parametrize("path", ["/interceptions/{id}", "/sessions/{session}"])
async def test_records_of_others_are_for_administrators(filled, clock, path):
    async with aiohttp.ClientSession() as session:
        as_admin = {"Authorization": f"Bearer {filled.admin}"}
        as_person = {"Authorization": f"Bearer {filled.person}"}
        base = f"{filled.gateway.url}{API}"

        async def get(path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
            clock.advance(1)
            async with session.get(f"{base}{path}", headers=headers) as response:
                return response.status, await response.json()

        for user, theirs in (("user7", FINE), ("user2", NOT_THERE)):
            _, found = await get(f"/interceptions?q=initiator:{user}&limit=1", as_admin)
            (row,) = found["results"]
            url = path.format(id=row["id"], session=row["client_session_id"])
            assert (await get(url, as_admin))[0] == FINE
            assert (await get(url, as_person))[0] == theirs
