"""Verification of ID tokens (OpenID Connect Core 1.0, section 3.1.3.7), by joserfc and Authlib."""

import warnings
from typing import Any

import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import errors, jwt
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry, extract_compact

from aibridged.oidc.base import ProviderUnavailableError

ALGORITHMS = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
    "EdDSA",
    "Ed25519",
)
"""Of signatures. Neither `none`, nor one that has no public key."""
LEEWAY_S = 60
"""By which the provider's clock may differ."""
MAX_KEYS = 100

# Characters of an RSA key's modulus (8192 bits) and exponent: others take long to check.
_MOST = {"n": 1368, "e": 8}
_ASYMMETRIC = frozenset({"RSA", "EC", "OKP"})
_MALFORMED = (ValueError, TypeError, AttributeError, RecursionError)
_NO_JWT = "it is not a signed JWT"
_TOO_LARGE = "it is too large; the userinfo endpoint may say more, such as many groups"
_registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
# In characters. Some providers put a chain of certificates into the header, and the largest key's
# signature has to fit. A payload of this size takes some milliseconds.
_registry.max_header_length = 16 * 1024
_registry.max_payload_length = 128 * 1024
_registry.max_signature_length = _MOST["n"]


class IdTokenError(Exception):
    """The token isn't to be trusted; the message says why, without its values."""


class _Jwks(msgspec.Struct):
    keys: list[dict[str, Any]]


_decode_jwks = msgspec.json.Decoder(_Jwks).decode


def read_keys(jwks: bytes) -> KeySet:
    """The public keys for signatures in a JWK set; those that can't be used are left out.

    Raises:
        ProviderUnavailableError: it isn't one, or has no such key.
    """
    try:
        found = _decode_jwks(jwks).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderUnavailableError("its jwks_uri is not a JWK set") from None
    keys = [key for each in found[:MAX_KEYS] if (key := _read_key(each)) is not None]
    if not keys:
        raise ProviderUnavailableError("its jwks_uri has no public key for signatures")
    return KeySet(keys)


def key_id(token: str) -> str | None:
    """The id of the key that a token says it is signed with.

    Raises:
        IdTokenError: it has no header, or is too large.
    """
    try:
        found = extract_compact(token.encode(), registry=_registry).headers().get("kid")
    except errors.ExceededSizeError:
        raise IdTokenError(_TOO_LARGE) from None
    except (errors.JoseError, *_MALFORMED):
        raise IdTokenError(_NO_JWT) from None
    return found if isinstance(found, str) else None


def verify(
    token: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    now: float,
    nonce: str | None,
    access_token: str | None,
) -> dict[str, Any]:
    """The claims of a token that this issuer has signed for this client.

    `nonce` is the one of the authorization request; None: the token is of a refresh.

    Raises:
        IdTokenError: it isn't such a token.
    """
    try:
        with warnings.catch_warnings():
            # That EdDSA's successors have other names is no news to an operator.
            warnings.simplefilter("ignore", errors.SecurityWarning)
            decoded = jwt.decode(token, keys, registry=_registry)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": issuer},
                "aud": {"essential": True, "value": client_id},
            },
            params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
        )
        claims.validate(int(now), LEEWAY_S)
    except errors.JoseError as error:
        raise IdTokenError(_reason(error)) from None
    except _MALFORMED:
        raise IdTokenError(_NO_JWT) from None
    return dict(decoded.claims)


def _read_key(data: dict[str, Any]) -> Key | None:
    if str(data.get("kty")) not in _ASYMMETRIC or data.get("use", "sig") != "sig" or "d" in data:
        return None
    if any(len(str(data.get(name, ""))) > most for name, most in _MOST.items()):
        return None
    try:
        return JWKRegistry.import_key(data)
    except (errors.JoseError, LookupError, *_MALFORMED):
        return None  # of a curve that the library doesn't know, for instance


def _reason(error: errors.JoseError) -> str:
    match error:
        case errors.BadSignatureError():
            return "its signature is not valid"
        case errors.InvalidKeyIdError():
            return "it is signed with a key that the provider does not publish"
        case errors.ExpiredTokenError():
            return "it has expired; check the gateway's clock"
        case errors.ClaimError():
            return f"its claim {error.claim} is missing or not the expected one"
        case errors.UnsupportedAlgorithmError():
            return "its algorithm is not an accepted one"
    return _NO_JWT
