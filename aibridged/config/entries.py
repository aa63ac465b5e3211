"""Settings that are lists of entries with fields, in the YAML file or in numbered variables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aibridged.config import sources
from aibridged.config.declare import Group
from aibridged.config.kinds import Kind
from aibridged.config.resolution import Mistake, Value
from aibridged.config.sources import Given

NO_VALUE = "there is no value, which would restrict nothing"
VALUE_OR_NOTHING = "Give it a value, or remove it."


@dataclass(frozen=True)
class EntryList:
    """Declaration of a list: its key in the file, its fields, and the name of an entry.

    `word` is part of the variables (`CODER_AIBRIDGE_<word>_0_…`), `first` is how an entry begins,
    `plural` what several are called. Where a list is `explicit`, a field that is there without a
    value is a mistake, and an empty list is a value.
    """

    name: str
    noun: str
    word: str
    first: str
    group: Group
    fields: Mapping[str, Kind[Any]]
    plural: str = ""
    explicit: bool = False

    @property
    def nouns(self) -> str:
        return self.plural or f"{self.noun}s"

    @property
    def yamls(self) -> tuple[str, str]:
        return f"aibridge.{self.name}", f"ai_gateway.{self.name}"

    @property
    def prefixes(self) -> tuple[str, str]:
        return f"CODER_AIBRIDGE_{self.word}_", f"CODER_AI_GATEWAY_{self.word}_"

    @cached_property
    def variable(self) -> re.Pattern[str]:
        """The pattern of the variables: the number, and the field in capitals."""
        names = "|".join(self.fields).upper()
        return re.compile(f"(?:{'|'.join(self.prefixes)})(0|[1-9][0-9]{{0,3}})_({names})")

    def variables(self, number: int) -> Iterator[str]:
        """Every variable of the entry with this number."""
        for prefix in self.prefixes:
            yield from (f"{prefix}{number}_{field.upper()}" for field in self.fields)


@dataclass(frozen=True)
class Entry:
    """One entry of a list as given, by the names of its fields."""

    where: str
    fields: Mapping[str, Given]


def from_environment(
    declared: EntryList, environ: Mapping[str, str], mistakes: list[Mistake]
) -> list[Entry]:
    """The list from the environment, which counts from 0 without a gap."""
    matches = [declared.variable.fullmatch(name) for name, text in environ.items() if text]
    numbers = sorted({int(match[1]) for match in matches if match})
    gaps = [expected for expected, number in enumerate(numbers) if number != expected]
    prefix = declared.prefixes[0]
    if gaps:
        mistakes.append(
            Mistake(
                f"{prefix}{numbers[gaps[0]]}_*",
                f"there is no {prefix}{gaps[0]}_*",
                f"Number the {declared.nouns} from 0, without a gap.",
            )
        )
    if declared.explicit:
        empty = (
            name for name in environ if not environ[name] and declared.variable.fullmatch(name)
        )
        mistakes += (Mistake(name, NO_VALUE, VALUE_OR_NOTHING) for name in sorted(empty))
    return [_from_variables(declared, number, environ, mistakes) for number in numbers]


def _from_variables(
    declared: EntryList, number: int, environ: Mapping[str, str], mistakes: list[Mistake]
) -> Entry:
    fields = {}
    for field, kind in declared.fields.items():
        names = [f"{prefix}{number}_{field.upper()}" for prefix in declared.prefixes]
        given = sources.the_one(sources.variables(names, environ), kind, mistakes)
        if given is not None:
            fields[field] = given
    return Entry(f"{declared.prefixes[0]}{number}_*", fields)


def values_of(declared: EntryList, entries: Sequence[Entry]) -> Iterator[Value]:
    """The list as `check-config` shows it."""
    for index, entry in enumerate(entries):
        for field, given in entry.fields.items():
            name = f"{declared.name}[{index}].{field}"
            yield sources.as_value(name, declared.group, given, declared.fields[field])
