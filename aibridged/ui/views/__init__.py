"""The pages of each area, and the table of all of them, in the order of the navigation."""

from aibridged.ui.page import Page
from aibridged.ui.views import (
    audit,
    budgets,
    groups,
    live,
    me,
    operations,
    overview,
    people,
    policies,
    sessions,
)

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *live.PAGES,
    *sessions.PAGES,
    *budgets.PAGES,
    *people.PAGES,
    *groups.PAGES,
    *policies.PAGES,
    *audit.PAGES,
    *operations.PAGES,
    *me.PAGES,
)
