"""The manual's page of section 5: every key of the file of settings."""

from collections.abc import Iterator, Sequence
from typing import Any

from aibridged.config import render
from aibridged.config.declare import Option
from aibridged.config.entries import EntryList
from aibridged.config.kinds import Kind
from aibridged.config.lists import LISTS
from aibridged.config.options import OPTIONS
from tools.manual import mdoc
from tools.manual.pages import document, parts, see_also, terms
from tools.manual.prose import configuration as prose

NAME = "aibridged.yaml"
# A terminal has 80 columns, of which man takes a margin.
_EXAMPLE_WIDTH = 72


def settings_page() -> str:
    """The text of aibridged.yaml(5)."""
    body = [
        *mdoc.section("DESCRIPTION", parts(prose.ABOUT)),
        *mdoc.section("VALUES", terms("Ar", prose.VALUES)),
        *mdoc.section("SECRETS", [*parts(prose.SECRETS), *_secrets()]),
        *mdoc.section("RELOADING", parts(prose.RELOADING)),
        *mdoc.section("SETTINGS", _settings()),
        *mdoc.section("FILES", terms("Pa", prose.FILES)),
        *mdoc.section("EXAMPLES", _example()),
        *see_also(f"{NAME}(5)", prose.SEE_ALSO),
    ]
    return document(NAME, 5, "the settings of aibridged", body)


def _secrets() -> Iterator[str]:
    return mdoc.listing(
        (
            ("Ev", option.env),
            f"{option.help} The credential is called `{option.credential}`.",
        )
        for option in OPTIONS
        if option.secret
    )


def _settings() -> Iterator[str]:
    for group, options in render.grouped():
        lists = [line for each in LISTS if each.group is group for line in _list(each)]
        yield from mdoc.subsection(group, [*lists, *_keys(options)])


def _keys(options: Sequence[Option]) -> Iterator[str]:
    return mdoc.listing(_key(option, option.yaml) for option in options if option.yaml)


def _key(option: Option, key: str) -> tuple[list[str], str]:
    facts = [f"`{option.flag}`", f"`{option.env}`"]
    if option.default:
        facts.append(f"default `{option.default}`")
    restart = " A change requires a restart." if option.restart else ""
    return _term(key, option.kind), f"{option.help}{restart} ({', '.join(facts)})"


def _term(key: str, kind: Kind[Any]) -> list[str]:
    return ["Cm", f"{mdoc.argument(key)} :", "Ar", mdoc.argument(kind.metavar)]


def _list(declared: EntryList) -> Iterator[str]:
    said = prose.LISTS[declared.name]
    fields = ((_term(name, kind), said.fields[name]) for name, kind in declared.fields.items())
    body = [
        *mdoc.sentences(said.about),
        *mdoc.paragraph("Each entry of the list has these fields:"),
        *mdoc.listing(fields),
        *mdoc.paragraph("The same in variables, numbered from 0 without a gap:"),
        *mdoc.display(said.variables, indent=False),
    ]
    return mdoc.item(["Cm", f"{mdoc.argument(declared.yamls[0])} :"], body)


def _example() -> Iterator[str]:
    yield from mdoc.paragraph("Every key, with its default, and a list of providers:")
    yield from mdoc.display(render.example_yaml(_EXAMPLE_WIDTH), indent=False)
