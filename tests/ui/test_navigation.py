"""The navigation: what a visitor may see, in its order."""

import pytest

from aibridged.ui.navigation import GROUPS, navigation
from aibridged.ui.page import Html, Page, Role
from aibridged.ui.views import PAGES


async def view(visit) -> Html:
    return Html("x.html")


HOME = Page("/", "Overview", view, nav="Overview", key="o")
PEOPLE = Page("/people", "People", view, role=Role.ADMIN, nav="People", key="p", needs_users=True)
PERSON = Page("/people/{id}", "A person", view, role=Role.ADMIN)
ME = Page("/me", "My page", view, nav="My page", key="m")
LATER = Page("/later", "Later", view, nav="Later")


def names(pages, *, is_admin=True, has_users=True, here=None):
    groups = navigation(pages, is_admin=is_admin, has_users=has_users, here=here)
    return [(group.name, [link.name for link in group.links]) for group in groups]


def test_pages_are_in_groups_in_their_order():
    assert names([ME, LATER, PEOPLE, PERSON, HOME]) == [
        ("What runs", ["Overview"]),
        ("Administration", ["People"]),
        ("Your own", ["My page"]),
        ("More", ["Later"]),
    ]


def test_a_gateway_without_users_has_no_pages_of_them():
    assert names([HOME, PEOPLE, ME], has_users=False) == [
        ("What runs", ["Overview"]),
        ("Your own", ["My page"]),
    ]


def test_a_person_is_shown_no_page_of_administrators():
    assert names([HOME, PEOPLE, ME], is_admin=False) == [
        ("What runs", ["Overview"]),
        ("Your own", ["My page"]),
    ]


@pytest.mark.parametrize(("here", "name"), [(HOME, "Overview"), (PERSON, "People"), (None, None)])
def test_where_one_is_is_marked(here, name):
    groups = navigation([HOME, PEOPLE, PERSON], is_admin=True, has_users=True, here=here)
    marked = [link.name for group in groups for link in group.links if link.is_here]
    assert marked == ([] if name is None else [name])


def test_every_page_has_its_place_and_a_key_of_its_own():
    known = {name for _, names in GROUPS for name in names}
    shown = [page for page in PAGES if page.nav]
    assert {page.nav for page in shown} <= known
    keys = [page.key for page in shown]
    assert sorted(set(keys)) == sorted(keys)
    assert all(keys)
