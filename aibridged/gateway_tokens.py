"""Format of gateway tokens, and their redaction wherever they don't belong.

A user may paste a token anywhere: into a URL, a prompt, the name of a model. The provider gets what
was sent; but whatever the gateway itself records, logs, counts or traces goes through `blanked`, at
the one place where each of these is made.
"""

import re
from urllib.parse import unquote

GATEWAY_TOKEN = re.compile(r"ai[br]_([0-9a-z]{10})_([0-9A-Za-z]{43})")
"""The pattern of a gateway token or of a sign-in's refresh token, with its id and its secret."""

PREFIXES = ("aib_", "air_")
"""What they begin with: for text without these, the search for them is the only cost."""

# Truncated ones, too, since the rest of a partial secret is worth guessing.
_WHOLE_OR_CUT = re.compile(r"(ai[br])_([0-9a-z]{10})_[0-9A-Za-z]+")
# In prose and code this takes a third of the time of looking for each prefix with `in`.
prefix_in = re.compile("|".join(PREFIXES)).search
"""Finds what tokens begin with in a text; None where there is none, and `blanked` does nothing."""
_prefix_in_bytes = re.compile("|".join(PREFIXES).encode()).search
_MAX_DECODINGS = 3


def blanked(text: str) -> str:
    """The text with tokens' secrets redacted. Their ids stay: they say which one to revoke."""
    if prefix_in(text) is None:
        return text
    return _WHOLE_OR_CUT.sub(r"\1_\2_***", text)


def may_hold_token(raw: bytes) -> bool:
    """Whether the bytes contain what a token begins with."""
    return _prefix_in_bytes(raw) is not None


def holds_token(target: str) -> bool:
    """Whether a request's target contains a token, percent-encoded or not, and however often."""
    for _ in range(_MAX_DECODINGS):
        if GATEWAY_TOKEN.search(target) is not None:
            return True
        if "%" not in target:
            return False
        target = unquote(target)
    return GATEWAY_TOKEN.search(target) is not None
