"""Validation of request targets: refuses ambiguous paths (request smuggling, path traversal).

A provider decodes, normalises and routes a path by its own rules, so nothing ambiguous may reach
it: a path that could mean another path is refused here, before it is compared with the routes.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from aibridged.gateway_tokens import holds_token

PREFIXES = ("/api/v2/aibridge", "/api/v2/ai-gateway")
CERTIFICATE_PATH = "/proxy/ca-cert.pem"
"""The path, below the prefixes, of the CA certificate that clients of the AI Proxy trust."""
CERTIFICATE_TYPE = "application/x-pem-file"
WEB_PAGE = "/ui"
"""The path of the web page, which is the root of its pages."""

# One or more segments of RFC 3986 pchars; only the last may be empty.
_PATH = re.compile(r"(?=/)(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*/?")
_QUERY = re.compile(r"[\x21\x22\x24-\x7e]*")
# Paths without any of these can't be ambiguous.
_DOUBTFUL = re.compile(r"[%;]|/\.|\.(?:/|\Z)")
# Forbidden in a decoded path: other separators, in any width; another encoding; the start of a
# query, a fragment or the parameters of a segment; and segments that a server may trim to dot
# segments, such as `...`, or dots before blanks.
_AMBIGUOUS = re.compile(r"[\\%#?;\u2044\u2215\u2216]|/\s|[\s.](?:/|\Z)")

_STRAY_END = re.compile(r"%2[027](?:/|\Z)|/%2[027]")
STRAY = (
    "The path has a blank or a quote beside a slash: there may be one at the end of the base URL."
)

# What of a path is shown: words, versions, and names of models.
_PLAIN = re.compile(r"[A-Za-z0-9._:-]+")
_WORDS = re.compile(r"[A-Za-z0-9]+")
_SOUND = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SHORTEST_ODD = 4
_LONGEST_ODD = 12
_LONGEST_WORD = 24
# How known keys begin.
_KEY = re.compile(
    r"(?:sk|pk|rk|aib|key|gsk|xai|pat|gh[opsu]|glpat|github_pat|hf|nvapi|pplx|fw|r8)[-_]"
    r"|AIza|AKIA|eyJ|Bearer",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 8
_MAX_SHOWN = 64  # characters of a segment
_MAX_SEGMENTS = 8
_HIDDEN = "*"

# Clients request the same few paths. Callers choose them, so the cache is bounded.
_REMEMBERED_TARGETS = 256


class BadTargetError(ValueError):
    """A request target that is ambiguous, or contains something forbidden."""


@lru_cache(maxsize=_REMEMBERED_TARGETS)
def split_target(target: str) -> tuple[str, str]:
    """Split an origin-form target into its raw path, without the gateway's prefix, and query.

    Raises:
        BadTargetError: absolute-form, empty or dot segments, path parameters, encoded separators,
            invalid UTF-8, whatever else servers decode or trim differently, or a gateway token.
    """
    path, query = plain_target(target)
    for prefix in PREFIXES:
        if path.startswith(prefix + "/"):
            return path[len(prefix) :], query
    return path, query


def plain_target(target: str) -> tuple[str, str]:
    """Split an origin-form target into its raw path and query.

    Raises:
        BadTargetError: see `split_target`.
    """
    _refuse_token(target)
    path, _, query = target.partition("?")
    if _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None:
        raise BadTargetError(_not_plain(path))
    if _DOUBTFUL.search(path) is not None and _is_ambiguous(path):
        raise BadTargetError(
            STRAY
            if has_stray_end(path)
            else "The path is ambiguous: it contains a dot segment, a path parameter, or an "
            "encoding that servers interpret differently."
        )
    return path, query


def shown_path(target: str, secrets: Sequence[str] = ()) -> str:
    """A path from outside for people's eyes: bounded, of harmless characters, without the query.

    A `*` stands for a segment that may be a key, an id, or anything else that isn't a plain word,
    and for one with any of `secrets`, the credentials that came with the request.
    """
    path = target[: _MAX_SHOWN * (_MAX_SEGMENTS + 1)].partition("?")[0]
    if not path.startswith("/"):
        return _HIDDEN
    segments = path[1:].split("/", _MAX_SEGMENTS)
    return "".join(
        f"/{each if _is_harmless(each) and not holds_secret(each, secrets) else _HIDDEN}"
        for each in segments
    )


def holds_secret(segment: str, secrets: Sequence[str]) -> bool:
    """Whether a segment of a path is one of these, or contains a long one."""
    return any(
        each == segment or (len(each) >= _SHORTEST_SECRET and each in segment) for each in secrets
    )


def has_stray_end(path: str) -> bool:
    """Whether a segment begins or ends with a blank or a quote, as if pasted into a base URL."""
    return _STRAY_END.search(path) is not None


def _is_harmless(segment: str) -> bool:
    if not segment:
        return True
    if len(segment) > _MAX_SHOWN or _PLAIN.fullmatch(segment) is None or _KEY.match(segment):
        return False
    words = _WORDS.findall(segment)
    odd = [each for each in words if len(each) >= _SHORTEST_ODD and not _SOUND.fullmatch(each)]
    # A UUID has several, and the secret part of a key is long.
    return (
        len(odd) < 2
        and all(len(each) <= _LONGEST_ODD for each in odd)
        and all(len(each) <= _LONGEST_WORD for each in words)
    )


def _not_plain(path: str) -> str:
    if "//" in path and path.startswith("/"):
        return (
            "The path has an empty segment (//): take the slash off the end of the base URL, or "
            "one of the two out of it."
        )
    if not path.startswith("/") and path != "*":
        return (
            "This is the gateway, and no HTTP proxy: set it as the base URL of the client "
            "(ANTHROPIC_BASE_URL, OPENAI_BASE_URL), not as HTTP_PROXY or HTTPS_PROXY, which are "
            "for the AI Proxy."
        )
    return "The request target is not a plain path."


def folded_path(path: str) -> str:
    """The path as a lenient server may read it: decoded, normalised and in lower case."""
    return _normalised(unquote_to_bytes(path).decode(errors="replace")).rstrip("/").casefold()


def _is_ambiguous(path: str) -> bool:
    try:
        text = unquote_to_bytes(path).decode()  # strict: overlong forms are invalid
    except UnicodeDecodeError:
        return True
    normalised = _normalised(text)
    return (
        normalised.count("/") != path.count("/")
        or not text.isprintable()
        or _AMBIGUOUS.search(normalised) is not None
    )


def _normalised(text: str) -> str:
    """The text with full-width and other compatible forms of ASCII characters replaced."""
    return unicodedata.normalize("NFKC", text)


def _refuse_token(target: str) -> None:
    """Refuse a gateway token: proxies log targets, and the provider would get the query."""
    if holds_token(target):
        raise BadTargetError(
            "The URL contains a gateway token, which intermediaries may log: send tokens in "
            "a header, and replace this one."
        )
