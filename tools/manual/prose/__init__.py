"""Prose for the manual: examples, exit statuses, files, signals. Plain sentences, by page.

Markup of words between backticks: see `manual.mdoc`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """Lines that a user types, or that a file contains, and the sentence that introduces them."""

    text: str
    lines: str


Part = str | Example


@dataclass(frozen=True)
class Prose:
    """The prose of a page, beyond what is generated from the settings and the commands.

    `about` follows on the help's own words. `exit_status` is by number, `environment` by variable,
    `files` by path; they add to what is known, or replace it; a file without a text is left
    out. `see_also` holds page(section)s.
    """

    about: tuple[Part, ...] = ()
    examples: tuple[Example, ...] = ()
    exit_status: Mapping[int, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    see_also: tuple[str, ...] = ()


RELEASED = "November 29, 2026"
"""The date of every page: the release's, so that pages don't change by themselves."""
