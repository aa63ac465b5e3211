"""Unknown setting names, with the closest match as a suggestion."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aibridged.config import coder_entries
from aibridged.config.almost_variables import OURS, known_variables, meant, set_by_a_service
from aibridged.config.declare import Option
from aibridged.config.lists import LISTS
from aibridged.config.options import OPTIONS
from aibridged.config.resolution import Mistake

# `coder server` has these under the same prefix, and this daemon hasn't.
_CODERS = re.compile(
    r"(provider_[0-9]+_)?bedrock_.*|inject_coder_mcp_tools|(proxy_)?domain_allowlist"
    r"|proxy_dump_dir|budget_(period|policy)|actor_header_(id|username)",
    re.IGNORECASE,
)
# With these its standalone gateway signs in at the server.
_STANDALONE = frozenset({"KEY", "KEY_FILE"})
_NUMBER = re.compile(r"[A-Z_]+_([0-9]{1,4})_")


def unknown_variables(environ: Mapping[str, str]) -> Iterator[Mistake]:
    """Variables with the gateway's prefix that aren't settings."""
    known = known_variables()
    for name in sorted(environ):
        if environ[name] and name.startswith(OURS) and name not in known:
            if any(declared.variable.fullmatch(name) for declared in LISTS):
                continue
            if set_by_a_service(name, environ[name]):
                continue
            yield _unknown_variable(name, known)


def _unknown_variable(name: str, known: frozenset[str]) -> Mistake:
    suffix = name.removeprefix(OURS[0]).removeprefix(OURS[1])
    if _CODERS.fullmatch(suffix) or suffix in _STANDALONE:
        return Mistake(name, "not supported by aibridged", "Unset it.")
    if (wanted := meant(suffix)) is not None and not wanted.startswith(OURS[0]):
        return Mistake(name, "unknown variable", f"Did you mean {wanted}?")
    match = _NUMBER.match(suffix)
    number = int(match[1]) if match else 0
    of_lists = [each for declared in LISTS for each in declared.variables(number)]
    remedy = _nearest(name, [*known, *of_lists])
    return Mistake(name, "unknown variable", remedy)


def unknown_key(where: str, key: str, known: Sequence[str]) -> Mistake:
    """The mistake of an undeclared YAML key."""
    parent, _, last = key.rpartition(".")
    if _CODERS.fullmatch(last) or coder_entries.is_coders(key):
        is_own = key.startswith(("aibridge", "ai_gateway"))
        remedy = "Remove it." if is_own else "Remove it: it is for another part of Coder."
        return Mistake(where, "not supported by aibridged", remedy)
    if last == "<<":
        return Mistake(where, "mappings can't be merged here", "Write the settings out.")
    if not last.isascii():
        what = "a character in the name that no setting has, such as a non-breaking space"
        return Mistake(where, what, "Type the name again, with plain spaces before it.")
    squashed = _squashed(last)
    if not parent.endswith("]"):
        for option in OPTIONS:
            if option.secret and squashed in _spellings(option):
                remedy = f"Remove it, and set {option.env} or {option.env}_FILE."
                return Mistake(where, "keys are not allowed in this file", remedy)
    return Mistake(where, "unknown setting", _key_that_was_meant(key, parent, squashed, known))


def _key_that_was_meant(key: str, parent: str, squashed: str, known: Sequence[str]) -> str:
    of_entry = parent.endswith("]")
    if of_entry and squashed == "command":
        return "MCP servers are asked over HTTP: give the server's url instead of a command."
    if of_entry and squashed in _FIELDS:
        fields = [f"{parent}.{field}" for field in _FIELDS[squashed]]
        if found := [field for field in fields if field in known]:
            return f"Did you mean {found[0]}?"
    elsewhere = [row.yaml for row in OPTIONS if row.yaml and squashed in _spellings(row)]
    elsewhere += [name for name in known if _squashed(name.rpartition(".")[2]) == squashed]
    if elsewhere and not of_entry:
        return f"Did you mean {elsewhere[0]}?"
    for declared in LISTS:
        at_its_level = parent in ("", *(name.partition(".")[0] for name in declared.yamls))
        if at_its_level and squashed in map(_squashed, declared.fields):
            return f"It belongs to an entry of {declared.yamls[0]}: indent it like {declared.first}"
    return _nearest(key, known)


# What a field of an entry is called elsewhere.
_FIELDS = {
    **dict.fromkeys(("url", "endpoint", "apibase", "baseuri", "host"), ("base_url", "url")),
    **dict.fromkeys(("apikey", "keyvalue", "secret"), ("key", "token")),
    **dict.fromkeys(("apikeyfile", "keypath", "tokenpath"), ("key_file", "token_file")),
    **dict.fromkeys(("kind", "provider"), ("type",)),
    "name": ("id",),
    "id": ("name",),
}


def _spellings(option: Option) -> frozenset[str]:
    """The ways to write a setting's name that are one and the same to people."""
    names = {option.name, option.flag, *option.envs, (option.yaml or "").rpartition(".")[2]}
    squashed = {_squashed(name) for name in names}
    if option.secret:
        squashed |= {name.replace("key", "apikey") for name in squashed}
    return frozenset(squashed - {""})


def _squashed(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return (
        f"Did you mean {close[0]}?" if close else "Remove it; `aibridged serve --help` lists all."
    )
