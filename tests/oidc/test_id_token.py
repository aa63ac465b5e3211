"""Sets of keys; what test_provider.py has of tokens isn't repeated."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.id_token import MAX_KEYS, IdTokenError, key_id, read_keys

EC = ECKey.generate_key("P-256", auto_kid=True)
PUBLIC = dict(EC.as_dict(private=False))


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_keys_that_cannot_be_used_are_left_out() -> None:
    unusable = [
        OctKey.generate_key(256).as_dict(),
        {**PUBLIC, "use": "enc"},
        dict(EC.as_dict(private=True)),
        {"kty": "RSA", "n": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": 7},
        {"kty": "AKP", "alg": "ML-DSA-44"},
        {**PUBLIC, "crv": "brainpoolP256r1"},
        {"kty": "OKP", "crv": "X9999", "x": "AA"},
        {**PUBLIC, "kty": ["EC"]},
        {**PUBLIC, "kty": {}},
        {},
    ]
    found = read_keys(jwks(*unusable, PUBLIC))
    assert [key.kid for key in found] == [EC.kid]


def test_there_is_a_bound_on_keys() -> None:
    many = [{**PUBLIC, "kid": str(number)} for number in range(MAX_KEYS + 1)]
    assert len(list(read_keys(jwks(*many)))) == MAX_KEYS


def test_a_modulus_beyond_all_measure_is_left_out() -> None:
    data = dict(RSAKey.generate_key(2048).as_dict(private=False))
    with pytest.raises(ProviderUnavailableError):
        read_keys(jwks({**data, "n": "f" * 100_000}))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": 7}', b'{"keys": [7]}', b"[" * 100_000])
def test_what_is_no_set_of_keys(body: bytes) -> None:
    with pytest.raises(ProviderUnavailableError, match="not a JWK set"):
        read_keys(body)


def test_a_set_without_usable_keys() -> None:
    with pytest.raises(ProviderUnavailableError, match="no public key"):
        read_keys(jwks())


@pytest.mark.parametrize("token", ["", "a", "a.b", "W10.e30.", "e30.e30.", "é.é.é"])
def test_what_has_no_header(token: str) -> None:
    with pytest.raises(IdTokenError, match="not a signed JWT"):
        key_id(token)


def token(header: dict[str, Any], payload: int, signature: int) -> str:
    """A token with parts of so many characters."""
    head = urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return f"{head}.{'e' * payload}.{'s' * signature}"


def test_certificates_in_the_header_and_long_signatures_fit() -> None:
    header = {"alg": "RS256", "kid": "k", "x5c": ["M" * 2000] * 4}
    assert key_id(token(header, 400, 1366)) == "k"  # of a key of 8192 bits


@pytest.mark.parametrize("parts", [(200_000, 86), (400, 2000)])
def test_a_token_that_is_too_large_is_told_from_others(parts: tuple[int, int]) -> None:
    with pytest.raises(IdTokenError, match="too large"):
        key_id(token({"alg": "RS256"}, *parts))
