"""A raw value with its source, before it is parsed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aibridged.config import kinds
from aibridged.config.key_mistakes import WrongTextError, file_text, holds_reference, shown_path
from aibridged.config.kinds import Kind
from aibridged.config.resolution import Mistake, Source, Value

T = TypeVar("T")

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIAL_PREFIX = "aibridged_"
MAX_KEY_FILE = 64 * 1024
"""Bytes that are read of a file with a key."""

# Their values may contain ${…}, for a regular expression or a program elsewhere.
_VERBATIM = ("REGEX", "MAPPING")
_WRITE_THE_VALUE = "Write the value itself: variables are not replaced in settings."


@dataclass(frozen=True)
class Given:
    """The text of a setting. Its repr leaves the text out: it may be a secret."""

    text: str
    where: str
    source: Source

    def __repr__(self) -> str:
        return f"Given(where={self.where!r})"


def variables(names: Sequence[str], environ: Mapping[str, str]) -> list[Given]:
    """The values of a setting's variables in the environment; an empty variable is unset."""
    return [
        Given(environ[name], name, Source("environment", name))
        for name in names
        if environ.get(name)
    ]


def the_one(found: Sequence[Given], kind: Kind[T], mistakes: list[Mistake]) -> Given | None:
    """The value under a setting's two names; having both is a mistake."""
    if not found:
        return None
    first, *others = found
    for other in others:
        if not _same(first.text, other.text, kind):
            mistakes.append(
                Mistake(
                    f"{first.where} and {other.where}",
                    "two names of the same setting, with different values",
                    f"Remove one of them; {first.where} is enough.",
                )
            )
    return first


def secret_variables(
    names: Sequence[str], environ: Mapping[str, str], kind: Kind[T], mistakes: list[Mistake]
) -> Given | None:
    """A secret from its variable, or from the file that its `_FILE` variable names."""
    inline = the_one(variables(names, environ), kind, mistakes)
    files = variables([f"{name}_FILE" for name in names], environ)
    return _inline_or_file(inline, the_one(files, kind, mistakes), mistakes)


def credential(name: str, environ: Mapping[str, str], mistakes: list[Mistake]) -> Given | None:
    """A secret from systemd's credentials directory, if it is there.

    LoadCredential=aibridged:DIRECTORY, as in the unit, puts the prefix before the files' names.
    """
    directory = environ.get(CREDENTIALS_VARIABLE)
    if not directory:
        return None
    file = f"{directory}/{CREDENTIAL_PREFIX}{name}"
    if not os.path.exists(file):
        return None
    where = f"the credential {name}"
    return _from_file(Given(file, where, Source("credential", where)), mistakes)


def _inline_or_file(
    inline: Given | None, file: Given | None, mistakes: list[Mistake]
) -> Given | None:
    """A secret from its value, or from the file that is named; having both is a mistake."""
    if file is None:
        return inline
    if inline is not None:
        mistakes.append(
            Mistake(
                f"{inline.where} and {file.where}",
                "the key is set twice, once as a file",
                f"Remove one of them; {file.where} is the safer one to keep.",
            )
        )
        return inline
    return _from_file(file, mistakes)


def with_inline_secret(
    fields: Mapping[str, Given], name: str, mistakes: list[Mistake]
) -> dict[str, Given]:
    """An entry's fields, with the secret of `name` in that field, whether given or in a file."""
    rest = dict(fields)
    secret = _inline_or_file(rest.pop(name, None), rest.pop(f"{name}_file", None), mistakes)
    return rest if secret is None else {**rest, name: secret}


def read(given: Given, kind: Kind[T], remedy: str, mistakes: list[Mistake]) -> T | None:
    """The parsed value, or None and a mistake."""
    try:
        if kind.metavar not in _VERBATIM and holds_reference(given.text):
            # Its name isn't quoted: it could be part of a password.
            raise WrongTextError("contains ${…}, which stands for no value here", _WRITE_THE_VALUE)
        return kind.parse(given.text)
    except WrongTextError as error:
        mistakes.append(Mistake(given.where, str(error), error.remedy))
    except ValueError as error:
        mistakes.append(Mistake(given.where, str(error), remedy))
    return None


def read_fields(
    fields: Mapping[str, Given], kinds: Mapping[str, Kind[Any]], mistakes: list[Mistake]
) -> dict[str, Any]:
    """The parsed values of an entry's fields; None and a mistake where one is invalid."""
    return {
        field: read(given, kinds[field], "Correct it.", mistakes) for field, given in fields.items()
    }


def as_value(name: str, group: str, given: Given, kind: Kind[Any]) -> Value:
    """The value to be shown; an invalid one isn't quoted, as it may contain a secret."""
    try:
        value = kind.parse(given.text)
    except ValueError:
        return Value(name, group, "(not valid)", None, given.source)
    text = kind.show(value)
    data: Any = value if isinstance(value, (bool, int)) else text or None
    if kind.many:
        data = [item if isinstance(item, int) else str(item) for item in value]
    return Value(name, group, text, data, given.source)


def _same(text: str, other: str, kind: Kind[T]) -> bool:
    try:
        return kind.parse(text) == kind.parse(other)
    except ValueError:
        return text == other


def _from_file(file: Given, mistakes: list[Mistake]) -> Given | None:
    path = shown_path(file.text)
    where = f"{file.where} ({path})"
    remedy = "Set it to a readable file that contains only the key."
    if path != file.text and not os.path.exists(file.text):
        what = "there is no such file, and the name looks like a key"
        remedy = "Set the setting without _FILE to a key, and this one to the path of a file."
        mistakes.append(Mistake(where, what, remedy))
        return None
    try:
        with open(kinds.DIRECTORY.parse(file.text), "rb") as opened:
            content = opened.read(MAX_KEY_FILE + 1)
        if len(content) > MAX_KEY_FILE:
            what = f"the file is larger than {MAX_KEY_FILE >> 10} KiB"
        elif text := file_text(content).strip():
            return Given(text, where, file.source)
        else:
            what = "the file is empty"
    except PermissionError:
        what = "this user may not read the file"
        remedy = "Give it to the daemon's user (chown), or pass it as a systemd credential."
    except OSError as error:
        what = f"the file can't be read: {error.strerror}"
    except WrongTextError as error:
        what, remedy = f"the file {error}", error.remedy
    except ValueError as error:
        what = str(error)
    mistakes.append(Mistake(where, what, remedy))
    return None
