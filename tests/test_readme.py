"""The README says what the code does."""

import os
from pathlib import Path

from aibridged import errors
from aibridged.config import render
from aibridged.config.providers import COPILOT_PLANS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- settings: begin (generated) -->\n", "<!-- settings: end -->\n"


def test_the_table_of_settings_is_fresh():
    """AIBRIDGED_WRITE_GOLDEN=1 writes it anew."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    fresh = f"{before}{BEGIN}{render.markdown_table()}{END}{after}"
    if os.environ.get("AIBRIDGED_WRITE_GOLDEN"):
        README.write_text(fresh, encoding="utf-8")
    assert text == fresh


def test_the_providers_that_need_no_list_are_named():
    text = README.read_text(encoding="utf-8")
    for plan in COPILOT_PLANS:
        assert f"`{plan.name}`" in text


def test_every_refusal_is_explained():
    text = README.read_text(encoding="utf-8")
    for kind in errors.ERRORS:
        assert f"| {kind.status} | `{kind.code}` |" in text
