"""Hints on variables that aren't settings, but were probably meant to be."""

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache

from aibridged.config.lists import LISTS
from aibridged.config.options import OPTIONS, Settings
from aibridged.config.providers import SINGLES, single_settings

OURS = ("CODER_AIBRIDGE_", "CODER_AI_GATEWAY_")
CONFIG_VARIABLE = "CODER_CONFIG_PATH"

_ALMOST = re.compile(r"(CODER_)?(AI_?BRIDGED?|AI_?GATEWAY)_(?P<suffix>.+)")
_COULD_BE = re.compile(r"COD|.*BRI")
_CLIENTS = frozenset({"AIBRIDGE_TOKEN"})
# Kubernetes and Docker's links set these for a service of that name.
_SERVICE = re.compile(
    r"(SERVICE_(HOST|PORT)(_.*)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.*)?)?|NAME|ENV_.*)"
)
_ADDRESS, _STATE, _POSTGRES = "CODER_HTTP_ADDRESS", "CODER_STATE_DIR", "CODER_PG_CONNECTION_URL"
_OTHER_NAMES = {
    **dict.fromkeys(
        ("PORT", "HOST", "LISTEN", "LISTEN_ADDR", "LISTEN_ADDRESS", "ADDRESS"), _ADDRESS
    ),
    **dict.fromkeys(("ADDR", "BIND", "HTTP_PORT", "HTTP_ADDR"), _ADDRESS),
    **dict.fromkeys(("CONFIG", "CONFIG_FILE", "CONFIG_PATH"), CONFIG_VARIABLE),
    **dict.fromkeys(("DATABASE_URL", "DB_URL", "PG_URL", "POSTGRES_URL"), _POSTGRES),
    **dict.fromkeys(("DATA_DIR", "STATE_DIRECTORY", "DB_PATH"), _STATE),
    **dict.fromkeys(("LOG_LEVEL", "DEBUG"), "CODER_VERBOSE"),
    "ANTHROPIC_API_KEY": "CODER_AIBRIDGE_ANTHROPIC_KEY",
    "OPENAI_API_KEY": "CODER_AIBRIDGE_OPENAI_KEY",
}
# A letter or two of a long name.
_TYPO = 0.9


@cache
def known_variables() -> frozenset[str]:
    """All variables of the table, including the files of secrets."""
    names = {name for option in OPTIONS for name in option.envs}
    files = {f"{name}_FILE" for option in OPTIONS if option.secret for name in option.envs}
    return frozenset(names | files)


def set_by_a_service(name: str, text: str) -> bool:
    """Whether Kubernetes or Docker have set the variable, for a service named like the gateway."""
    match = _ALMOST.fullmatch(name)
    if match is None or not _SERVICE.fullmatch(match["suffix"]):
        return False
    return match["suffix"] != "PORT" or "://" in text


def meant(suffix: str) -> str | None:
    """The variable for what is left of a name without its prefix; None if there is none."""
    known = known_variables()
    for name in (f"{OURS[0]}{suffix}", f"CODER_{suffix}"):
        if name in known or any(each.variable.fullmatch(name) for each in LISTS):
            return name
    if suffix in _OTHER_NAMES:
        return _OTHER_NAMES[suffix]
    if (by_flag := _by_flag(suffix)) is not None:
        return by_flag
    suffixes = {name.removeprefix(OURS[0]).removeprefix("CODER_"): name for name in sorted(known)}
    close = difflib.get_close_matches(suffix, suffixes, n=1, cutoff=_TYPO)
    return suffixes[close[0]] if close else None


def hints(environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable that has no effect, and looks as if it should have one."""
    for name in sorted(environ):
        if environ[name] and not name.startswith(OURS) and name not in known_variables():
            wanted = _wanted(name, environ[name])
            if wanted is not None:
                yield f"{name} has no effect. {wanted}"


def unread_keys(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each key in a variable of the providers' SDKs, where the gateway has none."""
    without = {each.name for each in settings.providers if each.key is None}
    for name in SINGLES:
        variable, (_, key) = f"{name.upper()}_API_KEY", single_settings(name)
        if name in without and environ.get(variable):
            yield (
                f"{variable} is set, but is the variable of clients: for the provider {name}, set "
                f"{key.env}, or {key.env}_FILE to a file with the key."
            )


def _wanted(name: str, text: str) -> str | None:
    if name in _CLIENTS or name == CONFIG_VARIABLE or set_by_a_service(name, text):
        return None
    match = _ALMOST.fullmatch(name)
    if match is not None:
        wanted = meant(match["suffix"])
        if wanted is None and match[1]:
            return f"Variables of the gateway begin with {OURS[0]}."
    elif name.startswith("CODER_"):
        suffix = name.removeprefix("CODER_")
        wanted = _OTHER_NAMES.get(suffix) if suffix.startswith("CONFIG") else _typo(name)
        wanted = wanted or _by_flag(suffix)
    else:
        wanted = _typo(name) if _COULD_BE.match(name) else None
    return f"Did you mean {wanted}?" if wanted is not None else None


def _typo(name: str) -> str | None:
    close = difflib.get_close_matches(name, sorted(known_variables()), n=1, cutoff=_TYPO)
    return close[0] if close else None


def _by_flag(suffix: str) -> str | None:
    """The variable of a setting whose flag has another name, such as --postgres-url."""
    return next((row.env for row in OPTIONS if _as_variable(row.flag) == suffix), None)


def _as_variable(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_").upper()
