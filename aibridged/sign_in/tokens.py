"""`POST /oauth/token` and `POST /oauth/revoke`, and the document that names all endpoints."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from loguru import logger

from aibridged.identity.device_codes import Answer
from aibridged.identity.sign_in import Pair
from aibridged.sign_in.components import Components
from aibridged.sign_in.oauth import OAuthError, answer, invalid_grant
from aibridged.sign_in.refresh import refreshed

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_TOKEN = "refresh_token"

_WAITING = {
    Answer.PENDING: ("authorization_pending", "The user has not confirmed the device yet."),
    Answer.SLOW_DOWN: ("slow_down", "The device asks too often: 5 more seconds between polls."),
    Answer.DENIED: ("access_denied", "The user or the identity provider refused the device."),
    Answer.EXPIRED: ("expired_token", "The device code has expired. Start again."),
    Answer.UNKNOWN: ("invalid_grant", "The device code is unknown, or was used. Start again."),
}


def metadata(c: Components) -> Mapping[str, Any]:
    """The authorization server's metadata (RFC 8414)."""
    return {
        "issuer": c.url(""),
        "device_authorization_endpoint": c.url("/oauth/device_authorization"),
        "token_endpoint": c.url("/oauth/token"),
        "revocation_endpoint": c.url("/oauth/revoke"),
        "grant_types_supported": [DEVICE_CODE, REFRESH_TOKEN],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "gateway_protocol_version": 1,
    }


async def grant(
    c: Components, request: web.BaseRequest, form: Mapping[str, str], address: bytes
) -> web.StreamResponse:
    """`POST /oauth/token`: the tokens of a device, or the next ones."""
    match form.get("grant_type"):
        case "urn:ietf:params:oauth:grant-type:device_code":
            return _issued(await _device(c, _needed(form, "device_code")))
        case "refresh_token":
            return _issued(await refreshed(c, _needed(form, "refresh_token")))
        case None:
            raise OAuthError("invalid_request", "The parameter grant_type is missing.")
        case _:
            raise OAuthError(
                "unsupported_grant_type", f"Supported are {DEVICE_CODE} and {REFRESH_TOKEN}."
            )


async def revoke(
    c: Components, request: web.BaseRequest, form: Mapping[str, str], address: bytes
) -> web.StreamResponse:
    """`POST /oauth/revoke` (RFC 7009): ends the sign-in that a token is of.

    A token that is unknown, or of no sign-in, is no error.
    """
    found = await c.off_loop(c.sign_ins.sign_in_of, _needed(form, "token"))
    if found is not None:
        sign_in_id, username = found
        if await c.off_loop(c.sign_ins.end, sign_in_id, reason="its token was revoked"):
            c.count("revoked")
            logger.info("{} signed out: the sign-in {} has ended", username, sign_in_id)
    return answer({})


async def _device(c: Components, device_code: str) -> Pair:
    result = await c.off_loop(c.codes.poll, device_code)
    if isinstance(result, Pair):
        c.count("issued")
        return result
    code, sentence = _WAITING[result]
    if code == "invalid_grant":
        raise invalid_grant(sentence, status=400)
    raise OAuthError(code, sentence)


def _needed(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise OAuthError("invalid_request", f"The parameter {name} is missing.")
    return value


def _issued(pair: Pair) -> web.Response:
    body = {
        "access_token": pair.bearer.reveal(),
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "refresh_token": pair.refresh_token.reveal(),
    }
    if pair.email is not None:
        body["email"] = pair.email
    return answer(body)
