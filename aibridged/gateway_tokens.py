"""Format of gateway tokens, and their redaction wherever they don't belong.

A person may paste a token anywhere: into a URL, a prompt, the name of a model. What is for the
provider stays as it is; what the gateway itself writes down, logs, counts or traces goes through
`blanked`, at the one place where each of these is made.
"""

import re
from urllib.parse import unquote

GATEWAY_TOKEN = re.compile(r"aib_([0-9a-z]{10})_([0-9A-Za-z]{43})")
"""What a token of the gateway's own looks like, by its id and its secret."""

# Looking for this is all that text without a token costs.
_PREFIX = "aib_"
# Also one that was cut off, since part of a secret is still worth guessing the rest of.
_WHOLE_OR_CUT = re.compile(r"aib_([0-9a-z]{10})_[0-9A-Za-z]+")
_MAX_DECODINGS = 3


def blanked(text: str) -> str:
    """The text without the secrets of tokens. Their ids stay: they say which one to revoke."""
    return _WHOLE_OR_CUT.sub(r"aib_\1_***", text) if _PREFIX in text else text


def holds_token(target: str) -> bool:
    """Whether a token stands in a request's target, percent-encoded or not, and however often."""
    for _ in range(_MAX_DECODINGS):
        if _PREFIX in target and GATEWAY_TOKEN.search(target) is not None:
            return True
        if "%" not in target:
            return False
        target = unquote(target)
    return GATEWAY_TOKEN.search(target) is not None
