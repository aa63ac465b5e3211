"""The flags of all settings, as commands read them."""

from collections.abc import Iterator, Mapping, Sequence

from aibridged.config import kinds
from aibridged.config.options import OPTIONS

FLAGS = {flag: option for option in OPTIONS for flag in option.flags}
CONFIG = "--config"
"""The flag of the configuration file, which is no setting."""

_BOOLEANS = frozenset(flag for flag, option in FLAGS.items() if option.kind is kinds.BOOL)


def spelled_out(args: Sequence[str]) -> Iterator[str]:
    """Boolean flags with explicit values, as the parser wants them: `--verbose=false`.

    A boolean never takes the next argument as its value, as with every Go program.
    """
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            yield arg
            yield from rest
        elif arg in _BOOLEANS:
            yield f"{arg}=true"
        elif arg.startswith("--no-") and f"--{arg[5:]}" in _BOOLEANS:
            yield f"--{arg[5:]}=false"
        else:
            yield arg


def joined(texts: Sequence[str]) -> str:
    """The text of a list flag, whose repetitions are one list."""
    return ",".join(texts)


def plain(args: Sequence[str]) -> Mapping[str, str] | None:
    """Texts by flag, where there are only whole names of flags with their values.

    None for all else, which is the command line's parser to read, or to say what is wrong with it.
    """
    given: dict[str, list[str]] = {}
    rest = iter(spelled_out(args))
    for arg in rest:
        flag, equals, text = arg.partition("=")
        if flag != CONFIG and flag not in FLAGS:
            return None
        if not equals and (text := next(rest, "-")).startswith("-"):
            return None
        given.setdefault(flag, []).append(text)
    if any(len(texts) > 1 and not _is_list(flag) for flag, texts in given.items()):
        return None
    return {flag: joined(texts) for flag, texts in given.items()}


def _is_list(flag: str) -> bool:
    return flag != CONFIG and FLAGS[flag].kind.many
