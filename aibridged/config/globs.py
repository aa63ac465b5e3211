"""Globs that names are matched with: `*` is any text, `?` any character, all else itself."""

import fnmatch
import re
from collections.abc import Callable, Iterable


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a whole name matches one of the globs; upper and lower case differ.

    The time is proportional to the name, whatever the globs: the expressions don't backtrack.
    """
    # Brackets are part of some models' names, and no class of characters.
    patterns = [fnmatch.translate(glob.replace("[", "[[]")) for glob in globs]
    if not patterns:
        return lambda _: False
    match = re.compile("|".join(patterns)).match
    return lambda name: match(name) is not None
