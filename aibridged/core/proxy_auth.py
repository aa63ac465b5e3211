"""Proxy-Authorization: the gateway token as the password of the AI Proxy's Basic credentials.

`HTTPS_PROXY=http://anything:TOKEN@proxy:8888` makes every HTTP client send `Proxy-Authorization:
Basic` (RFC 7617). The user name is ignored.
"""

import base64
import re

from multidict import MultiMapping

from aibridged.core.auth import MalformedCredentialsError

CHALLENGE = 'Basic realm="aibridged AI Proxy", charset="UTF-8"'
PROXY_AUTHORIZATION = "Proxy-Authorization"

_TOKEN = re.compile(r"[\x21-\x7e]+")


def read_proxy_token(headers: MultiMapping[str]) -> str | None:
    """The token in `Proxy-Authorization`, or None without the header.

    Raises:
        MalformedCredentialsError: it is duplicated, or has no well-formed token.
    """
    values = headers.getall(PROXY_AUTHORIZATION, ())
    if not values:
        return None
    if len(values) > 1:
        raise MalformedCredentialsError(f"{PROXY_AUTHORIZATION} is given more than once.")
    scheme, _, encoded = values[0].partition(" ")
    if scheme.lower() != "basic":
        raise MalformedCredentialsError(f"{PROXY_AUTHORIZATION} must be of the form: Basic ….")
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except ValueError:  # not base64, not ASCII or not UTF-8
        raise MalformedCredentialsError(f"{PROXY_AUTHORIZATION} is not base64.") from None
    _, colon, token = decoded.partition(":")
    if not colon or _TOKEN.fullmatch(token) is None:
        raise MalformedCredentialsError(f"{PROXY_AUTHORIZATION} has no token as its password.")
    return token
