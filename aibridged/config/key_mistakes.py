"""What people put where a key belongs: named as the mistake that it is, without a quote of it."""

import re
from collections.abc import Sequence

from aibridged.gateway_tokens import GATEWAY_TOKEN

_QUOTES = "\"'`“”‘’«»"
_SCHEME = re.compile(r"(?:(authorization|x-api-key|api-key)\s*:\s*)?(bearer|basic|token)\s", re.I)
_HEADER = re.compile(r"(authorization|x-api-key|api-key)\s*:", re.I)
# No key has a name in capitals, or one of these words, before an equals sign or a colon.
_ASSIGNMENT = re.compile(
    r"(?:export\s+|set\s+|\$env:)?(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*|(?i:(?:api)?[-_]?key|token|secret|url))"
    r"\s*(?P<sign>=|:\s)\s*[^\s=]"
)
_REFERENCE = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%|\{\{.*\}\}|`.*`")
_PLACEHOLDER = re.compile(
    r"(replace|change|insert|enter|fill)[-_ ]?(this|me|in|it|here)\b"
    r"|\byour[-_ ].*(key|token|secret|password)|<.*>|(^|[-_])x{4,}$|\*{3,}|\.\.\.|…"
    r"|\btodo\b|\bplaceholder\b",
    re.I,
)
POSTGRES_FORM = "Write postgres://user:password@host/database."
# A key in lower case with a slash in front doesn't happen by chance.
_PATH = re.compile(r"(~|\.{1,2})?(/[a-z0-9._-]+){2,}|(~|\.{1,2})/[\w.-]+")
_SHORTEST_KEY = 20
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


class WrongTextError(ValueError):
    """What is wrong, as a phrase that follows the name of the setting; and the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


def key_text(text: str, scheme: re.Pattern[str] | None = None) -> str:
    """The key without a byte order mark and whitespace around it.

    A key that is a URL begins with `scheme`.

    Raises:
        WrongTextError: it is no key, or more than one; the message doesn't quote it.
    """
    text = text.strip(f"{_MARK} \t\r\n")
    for check in _CHECKS:
        check(text)
    if scheme is not None and not scheme.match(text):
        raise WrongTextError("is not the URL of a PostgreSQL database", POSTGRES_FORM)
    if not all("!" <= character <= "~" for character in text):
        what = "a space" if " " in text else "a character that is invalid in a key"
        raise WrongTextError(f"contains {what}", "Copy the key again, alone.")
    return text


def file_text(content: bytes) -> str:
    """The text of a file without its byte order mark.

    Raises:
        WrongTextError: it isn't UTF-8.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        what = "is UTF-16 text, as PowerShell's > writes"
        raise WrongTextError(what, "Save it as UTF-8 (Set-Content -Encoding utf8).")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongTextError("is not UTF-8 text", "Save it as UTF-8.") from None


def shown_path(text: str) -> str:
    """The path of a file as it may be shown: a key that was given in place of one may not."""
    begins_like_one = text.startswith(("/", "~", "./", "../"))
    return text if begins_like_one or len(text) < _SHORTEST_KEY else "…"


def holds_reference(text: str) -> bool:
    """Whether a value has a `${NAME}`, which stays as it is."""
    return re.search(r"\$\{\w+[^}]*\}", text, re.ASCII) is not None


def _lines(text: str) -> None:
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        if text.startswith("-----BEGIN"):
            raise WrongTextError("is a certificate or a private key (PEM)", "Give the API key.")
        raise WrongTextError(f"has {len(lines)} lines, and a key is one", "Keep only the key.")


def _json(text: str) -> None:
    if text.startswith(("{", "[")) and not text.startswith("{{"):
        raise WrongTextError("is JSON", "Keep only the key, without quotes.")


def _quotes(text: str) -> None:
    ends: Sequence[str] = [text[:1], text[-1:]]
    if any(end and end in _QUOTES for end in ends) and not _REFERENCE.fullmatch(text):
        raise WrongTextError("has quotes around it, which would be sent with it", "Remove them.")


def _scheme(text: str) -> None:
    match = _SCHEME.match(text) or _HEADER.match(text)
    if match is not None:
        word = next(group for group in reversed(match.groups()) if group)
        raise WrongTextError(
            f"begins with {word!r}, which the gateway adds itself", "Keep only what follows it."
        )


def _assignment(text: str) -> None:
    match = _ASSIGNMENT.match(text)
    if match is not None:
        sign = match["sign"].strip()
        raise WrongTextError(f"is NAME{sign}VALUE", f"Keep only what follows {sign}")


def _reference(text: str) -> None:
    if _REFERENCE.fullmatch(text) or holds_reference(text):
        raise WrongTextError(
            "is a reference such as ${NAME}, which nothing here replaces",
            "Set it to the key itself.",
        )


def _placeholder(text: str) -> None:
    if _PLACEHOLDER.search(text):
        raise WrongTextError("is a placeholder, or shortened", "Set it to the whole key.")


def _gateway_token(text: str) -> None:
    if GATEWAY_TOKEN.search(text) is not None:
        what = "is a gateway token, which is for clients of the gateway alone"
        raise WrongTextError(what, "Set it to the key that the other side has given you.")


def _path(text: str) -> None:
    if _PATH.fullmatch(text):
        raise WrongTextError(
            "is a path, and not a key", "Set the variable with _FILE to it instead."
        )


_CHECKS = (
    _gateway_token,
    _path,
    _lines,
    _json,
    _scheme,
    _assignment,
    _quotes,
    _reference,
    _placeholder,
)
