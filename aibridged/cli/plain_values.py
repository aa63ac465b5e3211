"""Arguments that are right as they are, without Typer's validation.

Typer validates by pydantic, whose import takes as long as a query of the record. What isn't plainly
right is still Typer's: it converts it, or says what is wrong with it.
"""

from collections.abc import Iterable
from enum import Enum
from functools import partial
from typing import Any

_DIGITS = 10


class _NotPlainError(Exception):
    """A value that Typer has to convert or refuse."""


def spare_validation(params: Iterable[Any]) -> None:
    """Have the parameters of a Typer command take plain values as they are."""
    for param in params:
        if not isinstance(param.process_value, partial):
            param.process_value = partial(_process, param, param.process_value)


def _process(param: Any, validate: Any, ctx: Any, value: Any) -> Any:
    try:
        found = _plain(param, value)
    except _NotPlainError:
        return validate(ctx, value)
    return found if param.callback is None else param.callback(ctx, param, found)


def _plain(param: Any, value: Any) -> Any:
    """The value as the type that is wanted.

    Raises:
        _NotPlainError: it isn't plainly of that type.
    """
    # Of a release of Typer that has another name for it, nothing is plain.
    wanted = getattr(getattr(param, "type_descriptor", None), "annotation", None)
    if param.nargs != 1:
        raise _NotPlainError
    if getattr(param, "multiple", False):
        return _plain_list(param, wanted, value)
    if not isinstance(wanted, type):
        raise _NotPlainError
    if isinstance(value, wanted) or (value is None and not param.required):
        return value
    if issubclass(wanted, Enum):
        for member in wanted:
            if member.value == value:
                return member
    if wanted is int and isinstance(value, str) and value.isascii() and value.isdecimal():
        return _within(param, value)
    raise _NotPlainError


def _plain_list(param: Any, wanted: Any, value: Any) -> Any:
    if value is None and not param.required:
        return value
    if wanted != list[str] or not value or not all(isinstance(each, str) for each in value):
        raise _NotPlainError
    return list(value)


def _within(param: Any, digits: str) -> int:
    if len(digits) > _DIGITS:
        raise _NotPlainError
    number = int(digits)
    if param.min is not None and number < param.min:
        raise _NotPlainError
    if param.max is not None and number > param.max:
        raise _NotPlainError
    return number
