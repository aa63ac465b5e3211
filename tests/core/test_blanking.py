"""Names of credentials, in any vendor's spelling, and the parameters that have them."""

import pytest

from aibridged.core.blanking import (
    blank_header,
    blank_parameters,
    names_credential,
)

CREDENTIALS = """
    Authorization Proxy-Authorization X-Api-Key x_api_key Api-Key apikey x-goog-api-key
    Ocp-Apim-Subscription-Key X-Functions-Key Cookie Set-Cookie Set-Cookie2 X-Auth-Token
    X-Amz-Security-Token X-Amz-Signature X-Amz-Credential X-Goog-Signature X-Goog-Credential
    Coder-Session-Token X-Coder-Token PRIVATE-TOKEN X-Vault-Token X-CSRF-Token
    X-Client-Secret Cf-Access-Jwt-Assertion X-Goog-Iap-Jwt-Assertion X-Hub-Signature-256
    X-Signature Signature Signature-Input Authentication-Info WWW-Authenticate
    key api_key api-key apiKey access_token id_token refresh_token token sig signature
    ratelimit-key X-Api-Key-Tokens x-amz-signature client_secret password passwd
    pass pwd jwt assertion X-Sig
"""

HARMLESS = """
    Accept Content-Type Content-Length User-Agent anthropic-version anthropic-beta Host
    X-Claude-Code-Session-Id X-Stainless-Retry-Count anthropic-ratelimit-tokens-remaining
    anthropic-ratelimit-input-tokens-reset x-ratelimit-limit-tokens x-ratelimit-remaining-tokens
    anthropic-priority-input-tokens-limit request-id Retry-After Design Assign
    Compass beta limit after_id model
"""


@pytest.mark.parametrize("name", CREDENTIALS.split())
def test_names_of_credentials(name):
    for spelled in (name, name.lower(), name.upper(), name.replace("-", "_")):
        assert names_credential(spelled.encode()), spelled
        assert blank_header(spelled.encode(), b"value") == b"[redacted]"


@pytest.mark.parametrize("name", HARMLESS.split())
def test_names_of_what_a_dump_is_made_for(name):
    assert not names_credential(name.encode())
    assert blank_header(name.encode(), b"value") == b"value"


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        ("POST /v1/m?key=abc HTTP/1.1", "POST /v1/m?key=[redacted] HTTP/1.1"),
        ("/m?a=1&api_key=abc&b=2", "/m?a=1&api_key=[redacted]&b=2"),
        ("/m?a=1&access_token=abc==", "/m?a=1&access_token=[redacted]"),
        ("/m?key=&token=", "/m?key=[redacted]&token=[redacted]"),
        ("/m?key=a&key=b", "/m?key=[redacted]&key=[redacted]"),
        ("/m?%6bey=abc&X-Amz-Signatur%65=abc", "/m?%6bey=[redacted]&X-Amz-Signatur%65=[redacted]"),
        ("/m?a=1;key=abc", "/m?a=1;key=[redacted]"),
        ("/m;key=abc", "/m;key=[redacted]"),
        ("/m?key=ab?cd=1;token=x/y\"z>", "/m?key=[redacted]"),
        ("/m?url=http://x/?key=abc&b=2", "/m?url=http://x/?key=[redacted]&b=2"),
        ("https://x/a?sig=abc>; rel=next", "https://x/a?sig=[redacted] rel=next"),
        ("/m?limit=10&after_id=x", "/m?limit=10&after_id=x"),
        ("/m?key", "/m?key"),
        ("key=abc", "key=abc"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("", ""),
    ],
)  # fmt: skip
def test_parameters(text, blanked):
    assert blank_parameters(text.encode()) == blanked.encode()


def test_urls_in_harmless_headers():
    assert blank_header(b"Location", b"https://x/?key=abc") == b"https://x/?key=[redacted]"


def test_many_parameters_take_no_longer_than_as_many_bytes():
    """Each is looked at once: a value that is blanked isn't searched for more."""
    text = b"?" + b"?key=" * 200_000
    assert blank_parameters(text) == b"??key=[redacted]"
    assert blank_parameters(b"?a=" * 200_000) == b"?a=" * 200_000
