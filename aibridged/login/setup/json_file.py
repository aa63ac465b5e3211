"""Edits of JSON files, in the layout that they have."""

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .change import UneditableError

_UNKEPT = "it has a number or a text that would not stay as it is"
_INDENT = re.compile(r"\{\r?\n([ \t]+)\"")


def edit_json(text: str, edit: Callable[[dict[str, Any]], None]) -> str:
    """The text with its object edited; indented as it is, members in their order.

    Raises:
        UneditableError: it isn't JSON, no object, or a name occurs twice.
    """
    if text.startswith("\ufeff"):
        raise UneditableError("it begins with a byte order mark")
    try:
        data = _loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        raise UneditableError(
            f"it isn't JSON: line {error.lineno}, column {error.colno}"
            + (" (comments would be lost)" if "//" in text or "/*" in text else "")
        ) from None
    except RecursionError:
        raise UneditableError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise UneditableError("it isn't a JSON object")
    before = json.dumps(data)
    edit(data)
    if json.dumps(data) == before:
        return text
    found = _INDENT.search(text)
    made = json.dumps(data, indent=found[1] if found else 2, ensure_ascii=False)
    if not made.isascii() and any("\ud800" <= each <= "\udfff" for each in made):
        raise UneditableError(_UNKEPT)
    made += "\n" if not text or text.endswith("\n") else ""
    return made.replace("\n", "\r\n") if "\r\n" in text else made


def member(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The object that a member is, made where there is none.

    Raises:
        UneditableError: it is something else.
    """
    found = data.setdefault(name, {})
    if not isinstance(found, dict):
        raise UneditableError(f'"{name}" isn\'t an object')
    return found


def _loads(text: str) -> Any:
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_float=_exact, parse_constant=_exact
        )
    except (UneditableError, json.JSONDecodeError):
        raise
    except ValueError:  # an integer of thousands of digits
        raise UneditableError(_UNKEPT) from None


def _exact(written: str) -> float:
    """A number that is written back with the value that it has."""
    number = float(written)
    if not math.isfinite(number) or Decimal(written) != Decimal(repr(number)):
        raise UneditableError(_UNKEPT)
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise UneditableError("a name occurs twice in one object")
    return data
