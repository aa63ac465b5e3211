"""The manual's page of section 5: every key of the file of settings."""

from collections.abc import Iterator, Sequence

from aibridged.config import render
from aibridged.config.declare import Group, Option
from aibridged.config.options import OPTIONS
from aibridged.manual import mdoc
from aibridged.manual.pages import document, parts, see_also, terms
from aibridged.manual.prose import configuration as prose

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
        (("Ev", option.env), f"{option.help} (`{option.flag}`)")
        for option in OPTIONS
        if option.secret
    )


def _settings() -> Iterator[str]:
    for group, options in render.grouped():
        if group is Group.PROVIDERS:
            yield from mdoc.subsection(group, [*_providers(), *_keys(options)])
        else:
            yield from mdoc.subsection(group, _keys(options))


def _keys(options: Sequence[Option]) -> Iterator[str]:
    return mdoc.listing(_key(option, option.yaml) for option in options if option.yaml)


def _key(option: Option, key: str) -> tuple[list[str], str]:
    facts = [f"`{option.flag}`", f"`{option.env}`"]
    if option.default:
        facts.append(f"default `{option.default}`")
    restart = " A change needs a restart." if option.restart else ""
    term = ["Cm", f"{mdoc.argument(key)} :", "Ar", mdoc.argument(option.kind.metavar)]
    return term, f"{option.help}{restart} ({', '.join(facts)})"


def _providers() -> Iterator[str]:
    yield from parts(prose.PROVIDERS)
    yield from terms("Cm", prose.PROVIDER_FIELDS)
    yield from parts(prose.PROVIDERS_IN_VARIABLES)


def _example() -> Iterator[str]:
    yield from mdoc.paragraph("Every key, with its default, and a list of providers:")
    yield from mdoc.display(render.example_yaml(_EXAMPLE_WIDTH), indent=False)
