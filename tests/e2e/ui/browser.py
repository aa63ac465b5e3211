"""A browser without a screen: cookies, redirects, and forms as a browser sends them."""

import re
from dataclasses import dataclass
from html import unescape

import aiohttp


@dataclass(frozen=True)
class Seen:
    """A page that has been loaded."""

    status: int
    path: str
    text: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Browser:
    """Visits the pages below `root`."""

    session: aiohttp.ClientSession
    root: str

    async def get(self, path: str) -> Seen:
        async with self.session.get(f"{self.root}{path}") as response:
            return await self._seen(response)

    async def post(self, path: str, /, headers: dict[str, str] | None = None, **form: str) -> Seen:
        origin = self.root.removesuffix("/ui")
        sent = {"Origin": origin, "Sec-Fetch-Site": "same-origin", **(headers or {})}
        async with self.session.post(f"{self.root}{path}", data=form, headers=sent) as response:
            return await self._seen(response)

    async def sign_in(self, token: str) -> Seen:
        return await self.post("/sign-in", token=token)

    async def _seen(self, response: aiohttp.ClientResponse) -> Seen:
        path = str(response.url).removeprefix(self.root)
        return Seen(response.status, path, await response.text(), dict(response.headers))


def csrf(page: Seen) -> str:
    """The token of a page's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return unescape(found[1])
