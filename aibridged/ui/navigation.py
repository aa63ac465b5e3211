"""The navigation: which pages it has for a visitor, in which order and groups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aibridged.ui.page import Page, Role

GROUPS: Sequence[tuple[str, Sequence[str]]] = (
    ("What runs", ("Overview", "Live")),
    ("Record", ("Sessions", "Budgets")),
    ("Administration", ("People", "Groups", "Policies", "Audit")),
    ("Gateway", ("Providers", "Settings")),
    ("Your own", ("My page",)),
)
"""The names of pages in the navigation, by group. Pages that aren't there come at the end."""


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation; `title` is its page's."""

    path: str
    name: str
    key: str
    title: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class LinkGroup:
    """Entries that belong together."""

    name: str
    links: Sequence[Link]


def navigation(
    pages: Iterable[Page], *, is_admin: bool, has_users: bool, here: Page | None
) -> list[LinkGroup]:
    """The groups that have pages which the visitor may see; `here` is the one that is shown."""
    shown = {
        page.nav: Link(page.path, page.nav, page.key, page.title, _is_within(here, page))
        for page in pages
        if page.nav
        and (page.role is not Role.ADMIN or is_admin)
        and (has_users or not page.needs_users)
    }
    groups = []
    for name, names in GROUPS:
        if links := [shown.pop(each) for each in names if each in shown]:
            groups.append(LinkGroup(name, links))
    if shown:
        groups.append(LinkGroup("More", list(shown.values())))
    return groups


def _is_within(here: Page | None, page: Page) -> bool:
    if here is None:
        return False
    return here is page or (page.path != "/" and here.path.startswith(f"{page.path}/"))
