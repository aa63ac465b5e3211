"""Discovery documents: which are taken, and in which words others are refused."""

import json
from typing import Any

import pytest

from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.metadata import read, well_known

ISSUER = "https://id.example.com/realms/a"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/certs",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "unknown": {"entries": "pass"},
}


def document(**changed: Any) -> bytes:
    return json.dumps({**DOCUMENT, **changed}).encode()


@pytest.mark.parametrize("issuer", ["https://id.example.com", "https://id.example.com/"])
def test_where_the_document_is(issuer: str) -> None:
    assert well_known(issuer) == "https://id.example.com/.well-known/openid-configuration"


def test_a_document_is_read() -> None:
    metadata = read(document(), ISSUER)
    assert metadata.token_endpoint == f"{ISSUER}/token"
    assert not metadata.posts_secret
    assert read(document(userinfo_endpoint=None), ISSUER).userinfo_endpoint is None
    loopback = "http://127.0.0.1:8080/token"
    assert read(document(token_endpoint=loopback), ISSUER).token_endpoint == loopback


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "is not the discovery document"),
        (b"[]", "is not the discovery document"),
        (b"[" * 100_000, "is not the discovery document"),
        (b"\xff", "is not the discovery document"),
        (b'{"issuer": "https://id.example.com/realms/a"}', "is not the discovery document"),
        (document(jwks_uri=7), "is not the discovery document"),
        (document(issuer=f"{ISSUER}/"), f"calls itself {ISSUER}/, and not {ISSUER}; set"),
        (document(issuer="https://evil\n.com"), "calls itself something else"),
        *(
            (document(**{name: url}), f"its {name} is not an https:// URL")
            for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
            for url in (
                "http://id.example.com/x",
                "javascript:alert(1)",
                "https://",
                "https://u:p@id.example.com/x",
                "https://id.example.com/a b",
                "https://[::1/x",
                f"https://id.example.com/{'x' * 2048}",
            )
        ),
    ],
)
def test_others_are_refused(body: bytes, said: str) -> None:
    with pytest.raises(ProviderUnavailableError) as caught:
        read(body, ISSUER)
    assert said in caught.value.reason
