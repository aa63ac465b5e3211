"""My page: own usage, standing and tokens; and the lines that connect an agent, with a test."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import urlencode

from aibridged.errors import NO_USERS_HERE, GatewayError
from aibridged.ui import svg
from aibridged.ui.formats import percent
from aibridged.ui.page import Html, Page, Redirect, Visit
from aibridged.ui.views.forms import choices_for, new_token, renewal, token_id, tried

DAYS = 30
"""Of usage on the page."""

_AGENTS = (
    ("claude-code", "Claude Code"),
    ("codex", "Codex"),
    ("opencode", "OpenCode"),
    ("cursor", "Cursor"),
    ("zed", "Zed"),
    ("kilo", "Kilo Code"),
    ("pi", "pi"),
    ("python", "SDKs: Python"),
    ("typescript", "SDKs: TypeScript"),
)
_NO_TOKEN = "aib_…"
_NO_URL = "https://GATEWAY"
_MAX_REASONS = 20
_MAX_DIGITS = 12


async def me(visit: Visit) -> Html:
    """Who is signed in, how they stand, and their tokens."""
    return await _me(visit)


async def change(visit: Visit) -> Html | Redirect:
    """Renew or revoke one of the visitor's own tokens."""
    do = visit.form.get("do", "")

    async def make() -> Html | Redirect:
        if do == "renew":
            at = f"/me/tokens/{token_id(visit)}/renew"
            token = await visit.ask(at, "POST", renewal(visit.form))
            return Redirect("/me", f"Renewed the token {token['id']}.")
        if do == "revoke":
            token = await visit.ask(f"/me/tokens/{token_id(visit)}", "DELETE")
            return Redirect("/me", f"Revoked the token {token['id']}.")
        return await _me(visit, "Nothing was to be done.")

    async def again(error: str) -> Html:
        return await _me(visit, error)

    return await tried(make, again)


async def _me(visit: Visit, error: str = "") -> Html:
    begin = (visit.now - timedelta(days=DAYS - 1)).date().isoformat()
    found = await visit.ask("/me")
    usage = await visit.ask(
        "/usage", by="day", sort="day", q=f'initiator:me started_after:"{begin}T00:00:00Z"'
    )
    tokens, elsewhere = await _tokens(visit)
    values = {
        "title": f"{found['username']}: my page",
        "me": found,
        "bars": [
            svg.share(each["share"], f"{percent(each['share'])} is used", is_limit=True)
            for each in found["budgets"]
        ],
        "usage": usage["usage"],
        "total": usage["total"],
        "days": DAYS,
        "tokens": tokens["results"],
        "elsewhere": elsewhere,
        "lifetimes": choices_for(tokens),
        "error": error,
    }
    return Html("me/me.html", values, 400 if error else 200)


async def connect(visit: Visit) -> Html:
    """The lines for an agent."""
    return await _connect(visit)


async def create(visit: Visit) -> Html | Redirect:
    """Create a token of the visitor's own, and show it in the lines, this once."""

    async def make() -> Html:
        made = await visit.ask("/me/tokens", "POST", new_token(visit.form))
        return await _connect(visit, made=made)

    async def again(error: str) -> Html:
        return await _connect(visit, error=error)

    return await tried(make, again)


async def _connect(visit: Visit, error: str = "", made: Mapping[str, Any] | None = None) -> Html:
    agent = visit.query.get("agent", "")
    if agent not in dict(_AGENTS):
        agent = _AGENTS[0][0]
    found = await visit.ask("/me")
    tokens, elsewhere = await _tokens(visit)
    since = visit.query.get("since") or visit.now.astimezone(UTC).isoformat()
    before = visit.query.get("before")
    latest = await _latest(visit, since)
    if before is None:
        before = _counts(latest["refused"])
    watch = urlencode({"since": since, "before": before})
    values = {
        "title": "Connect your agent",
        "me": found,
        "agents": _AGENTS,
        "agent": agent,
        "base": found["gateway_url"] or _NO_URL,
        "is_url_known": found["gateway_url"] is not None,
        "token": made["token"] if made is not None else _NO_TOKEN,
        "made": made,
        "elsewhere": elsewhere,
        "lifetimes": choices_for(tokens),
        "watch": watch,
        "again": urlencode({"agent": agent, "since": since, "before": before}),
        "error": error,
        **_seen(latest, before),
    }
    return Html("me/connect.html", values, 400 if error else 200)


async def seen(visit: Visit) -> Html:
    """What has come from the visitor's agents since the page was opened: a part of that page."""
    since = visit.query.get("since") or visit.now.astimezone(UTC).isoformat()
    latest = await _latest(visit, since)
    return Html("me/seen.html", _seen(latest, visit.query.get("before", "")))


async def _latest(visit: Visit, since: str) -> Any:
    try:
        return await visit.ask("/me/latest", after=since)
    except GatewayError as error:
        if error.kind.status != 400:
            raise
        return await visit.ask("/me/latest", after=visit.now.astimezone(UTC).isoformat())


def _counts(refused: list[Mapping[str, Any]]) -> str:
    """How often something was refused, in an address: `rate_limited:2,budget_exceeded:1`."""
    return ",".join(f"{each['reason']}:{each['count']}" for each in refused)


def _seen(latest: Mapping[str, Any], before: str) -> dict[str, Any]:
    """The request to show, and what was refused more often than `before`."""
    counts = {}
    for part in before.split(",")[:_MAX_REASONS]:
        reason, _, count = part.partition(":")
        is_number = count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS
        counts[reason] = int(count) if is_number else 0
    refused = [each for each in latest["refused"] if each["count"] > counts.get(each["reason"], 0)]
    return {"request": latest["request"], "refused": refused}


async def _tokens(visit: Visit) -> tuple[Mapping[str, Any], str]:
    """The visitor's own tokens, and why there are none, where users aren't kept here."""
    try:
        return await visit.ask("/me/tokens"), ""
    except GatewayError as error:
        if error.kind is not NO_USERS_HERE:
            raise
        nothing = {
            "results": [],
            "default_lifetime_seconds": 0,
            "longest_lifetime_seconds": 0,
        }
        return nothing, error.message


PAGES = (
    Page("/me", "My page", me, nav="My page", key="m", post=change),
    Page("/me/connect", "Connect your agent", connect, post=create),
    Page("/me/connect/seen", "Connect your agent", seen),
)
