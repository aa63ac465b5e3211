"""The pages of each area, and the table of all of them, in the order of the navigation."""

from aibridged.ui.page import Page
from aibridged.ui.views import audit, groups, home, me, people, policies

PAGES: tuple[Page, ...] = (
    *home.PAGES,
    *people.PAGES,
    *groups.PAGES,
    *policies.PAGES,
    *audit.PAGES,
    *me.PAGES,
)
