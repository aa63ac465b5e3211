"""Redaction for dumps: headers and query parameters that are named like credentials.

Names are matched generously, since a false positive costs less than a false negative: every vendor,
and every proxy between, has a name of its own for its key.
"""

import re
from urllib.parse import unquote_to_bytes

REDACTED = b"[redacted]"

_CREDENTIAL = re.compile(
    rb"key|token|secret|auth|cookie|signature|credential|passw|passphrase|pwd|jwt|bearer|assertion"
    rb"|(?<![a-z])(?:sig|pass)(?![a-z])",
    re.IGNORECASE,
)
# Token counts, which are what a dump is read for.
_COUNT = re.compile(
    rb"(?:anthropic|x)-(?:ratelimit|priority)-(?:[a-z]+-)?tokens(?:-[a-z]+)?", re.IGNORECASE
)

_PARAMETER = re.compile(rb"[?&;]([^=?&;\s]+)=")
# Neither `;` nor `?`: servers differ on whether they end a value.
_END = re.compile(rb"[&\s]|\Z")


def names_credential(name: bytes) -> bool:
    """Whether a header or parameter of this name is considered a credential."""
    return _CREDENTIAL.search(name) is not None and _COUNT.fullmatch(name) is None


def blank_header(name: bytes, value: bytes) -> bytes:
    """The value of a header, redacted, or with the URL parameters in it redacted."""
    return REDACTED if names_credential(name) else blank_parameters(value)


def blank_parameters(text: bytes) -> bytes:
    """The text with the values of all URL parameters redacted that are named like a credential."""
    pieces, end = [], 0
    for found in _PARAMETER.finditer(text):
        # Not the start of a parameter, but within a value that has been redacted.
        if found.start() < end or not names_credential(unquote_to_bytes(found[1])):
            continue
        pieces += [text[end : found.end()], REDACTED]
        ending = _END.search(text, found.end())
        assert ending is not None  # the pattern always has an ending
        end = ending.start()
    return b"".join([*pieces, text[end:]])
