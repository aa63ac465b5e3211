"""Which providers there are: those of the list, and those of the single-provider settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from aibridged.config import kinds, sources
from aibridged.config.declare import Group, Option
from aibridged.config.kinds import Kind
from aibridged.config.options import OPTIONS, ProviderSettings, ProviderType
from aibridged.config.resolution import Mistake, Value
from aibridged.config.sources import Given

TYPES: tuple[ProviderType, ...] = get_args(ProviderType)
RESERVED = frozenset({"api", "healthz", "readyz", "interceptions", "sessions", "models", "clients"})
PREFIXES = ("CODER_AIBRIDGE_PROVIDER_", "CODER_AI_GATEWAY_PROVIDER_")

_NAME_PATTERN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _type(text: str) -> ProviderType:
    for provider_type in TYPES:
        if text == provider_type:
            return provider_type
    raise ValueError(f"{text!r} is not a type of provider ({' or '.join(TYPES)})")


def _name(text: str) -> str:
    if not _NAME_PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is not a name like my-openai (a-z, 0-9, single dashes)")
    if text in RESERVED:
        raise ValueError(f"{text!r} is the name of one of the gateway's own routes")
    return text


FIELDS: Mapping[str, Kind[Any]] = {
    "type": Kind("TYPE", _type),
    "name": Kind("NAME", _name),
    "key": kinds.SECRET,
    "key_file": kinds.PATH,
    "base_url": kinds.BASE_URL,
}
VARIABLE = re.compile(f"(?:{'|'.join(PREFIXES)})(0|[1-9][0-9]{{0,3}})_({'|'.join(FIELDS).upper()})")


@dataclass(frozen=True)
class Entry:
    """One provider of the list, as it was given, under the names of its fields."""

    where: str
    fields: Mapping[str, Given]


@dataclass(frozen=True)
class Listed:
    """A provider of the list that could be read, and what gave it its name."""

    settings: ProviderSettings
    where: str


def single_settings(provider_type: ProviderType) -> tuple[Option, Option]:
    """The rows, base URL and key, that declare the provider which is named like its type."""
    rows = {option.name: option for option in OPTIONS}
    return rows[f"{provider_type}_base_url"], rows[f"{provider_type}_key"]


def from_environment(environ: Mapping[str, str], mistakes: list[Mistake]) -> list[Entry]:
    """The list in the environment, which counts from 0 without a gap."""
    matches = [VARIABLE.fullmatch(name) for name, text in environ.items() if text]
    numbers = sorted({int(match[1]) for match in matches if match})
    gaps = [expected for expected, number in enumerate(numbers) if number != expected]
    if gaps:
        mistakes.append(
            Mistake(
                f"{PREFIXES[0]}{numbers[gaps[0]]}_*",
                f"there is no {PREFIXES[0]}{gaps[0]}_*",
                "Number the providers from 0, without a gap.",
            )
        )
    return [_from_variables(number, environ, mistakes) for number in numbers]


def _from_variables(number: int, environ: Mapping[str, str], mistakes: list[Mistake]) -> Entry:
    fields = {}
    for field, kind in FIELDS.items():
        names = [f"{prefix}{number}_{field.upper()}" for prefix in PREFIXES]
        given = sources.the_one(sources.variables(names, environ), kind, mistakes)
        if given is not None:
            fields[field] = given
    return Entry(f"{PREFIXES[0]}{number}_*", fields)


def values_of(entries: Sequence[Entry]) -> Iterator[Value]:
    """The list as `check-config` shows it."""
    for index, entry in enumerate(entries):
        for field, given in entry.fields.items():
            name = f"providers[{index}].{field}"
            yield sources.as_value(name, Group.PROVIDERS, given, FIELDS[field])


def read_list(entries: Sequence[Entry], mistakes: list[Mistake]) -> list[Listed]:
    """The providers of the list; every one that can't be read leaves a mistake instead."""
    listed: dict[str, Listed] = {}
    for entry in entries:
        provider = _read_entry(entry, mistakes)
        if provider is None:
            continue
        name = provider.settings.name
        if name in listed:
            mistakes.append(
                Mistake(
                    f"{listed[name].where} and {provider.where}",
                    f"two providers have the name {name!r}",
                    "Give each provider a name of its own.",
                )
            )
        listed.setdefault(name, provider)
    return list(listed.values())


def _read_entry(entry: Entry, mistakes: list[Mistake]) -> Listed | None:
    if "type" not in entry.fields:
        remedy = f"Give it the type {' or '.join(TYPES)}."
        mistakes.append(Mistake(entry.where, "the provider has no type", remedy))
        return None
    before = len(mistakes)
    fields = dict(entry.fields)
    key = sources.inline_or_file(fields.pop("key", None), fields.pop("key_file", None), mistakes)
    if key is not None:
        fields["key"] = key
    read: dict[str, Any] = {
        field: sources.read(given, FIELDS[field], "Correct it.", mistakes)
        for field, given in fields.items()
    }
    if len(mistakes) > before:
        return None
    provider_type: ProviderType = read["type"]
    base_url, _ = single_settings(provider_type)
    settings = ProviderSettings(
        provider_type,
        name=read.get("name", provider_type),
        key=read.get("key"),
        base_url=read.get("base_url", base_url.kind.parse(base_url.default)),
    )
    return Listed(settings, fields.get("name", fields["type"]).where)


def effective(
    listed: Sequence[Listed],
    values: Mapping[str, Any],
    given: Mapping[str, Given],
    mistakes: list[Mistake],
) -> tuple[ProviderSettings, ...]:
    """The list and the single providers that were set beside it; without a list, both of these.

    `values` are the settings by field name, `given` those of them that aren't defaults.
    """
    wheres = {provider.settings.name: provider.where for provider in listed}
    providers = [provider.settings for provider in listed]
    for provider_type in TYPES:
        base_url, key = single_settings(provider_type)
        set_here = [given[row.name].where for row in (base_url, key) if row.name in given]
        if listed and not set_here:
            continue
        if provider_type in wheres:
            mistakes.append(
                Mistake(
                    f"{wheres[provider_type]} and {' and '.join(set_here)}",
                    f"both configure the provider {provider_type!r}",
                    f"Remove {' and '.join(set_here)}, or give the other another name.",
                )
            )
            continue
        providers.append(
            ProviderSettings(provider_type, provider_type, values[key.name], values[base_url.name])
        )
    return tuple(providers)
