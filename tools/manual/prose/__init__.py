"""What no table can say: examples, exit statuses, files, signals. Plain sentences, by page.

How a word between backticks is marked up is in `manual.mdoc`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """Lines that a person types, or a file holds, and the sentence that introduces them."""

    text: str
    lines: str


Part = str | Example


@dataclass(frozen=True)
class Prose:
    """What a page says beyond what is made from the table of settings and the commands.

    `about` follows on the help's own words. `exit_status` is by number, `environment` by variable,
    `files` by path; they add to what is known, or replace it. `see_also` holds page(section)s.
    """

    about: tuple[Part, ...] = ()
    examples: tuple[Example, ...] = ()
    exit_status: Mapping[int, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    see_also: tuple[str, ...] = ()


RELEASED = "November 29, 2026"
"""The date that every page bears: of the release, so that pages don't change by themselves."""
