"""Redaction for dumps: headers and query parameters that are named like credentials.

Names are matched generously, since a value too many that is blanked costs less than one too few:
every vendor, and every proxy between, has a name of its own for its key.
"""

import re
from urllib.parse import unquote_to_bytes

REDACTED = b"[redacted]"

_CREDENTIAL = re.compile(
    rb"key|token|secret|auth|cookie|signature|credential|passw|passphrase|pwd|jwt|bearer|assertion"
    rb"|(?<![a-z])(?:sig|pass)(?![a-z])",
    re.IGNORECASE,
)
# Counts of tokens of the other kind, which are what one looks for in a dump.
_COUNT = re.compile(
    rb"(?:anthropic|x)-(?:ratelimit|priority)-(?:[a-z]+-)?tokens(?:-[a-z]+)?", re.IGNORECASE
)

_PARAMETER = re.compile(rb"[?&;]([^=?&;\s]+)=")
# Neither `;` nor `?`: whether they end a value is in the eye of the server.
_END = re.compile(rb"[&\s]|\Z")


def names_credential(name: bytes) -> bool:
    """Whether a header or a parameter of this name is taken to hold a credential."""
    return _CREDENTIAL.search(name) is not None and _COUNT.fullmatch(name) is None


def blank_header(name: bytes, value: bytes) -> bytes:
    """The value of a header, blanked, or with the parameters of the URLs in it blanked."""
    return REDACTED if names_credential(name) else blank_parameters(value)


def blank_parameters(text: bytes) -> bytes:
    """The text with the values of all URL parameters blanked that are named like a credential."""
    pieces, end = [], 0
    for found in _PARAMETER.finditer(text):
        # Not the start of a parameter, but in the value of one that has been blanked.
        if found.start() < end or not names_credential(unquote_to_bytes(found[1])):
            continue
        pieces += [text[end : found.end()], REDACTED]
        ending = _END.search(text, found.end())
        assert ending is not None  # there is always an end
        end = ending.start()
    return b"".join([*pieces, text[end:]])
