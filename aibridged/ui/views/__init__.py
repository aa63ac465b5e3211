"""The pages of each area, and the table of all of them, in the order of the navigation."""

from aibridged.ui.page import Page
from aibridged.ui.views import home

PAGES: tuple[Page, ...] = (*home.PAGES,)
