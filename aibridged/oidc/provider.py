"""An OpenID Connect provider: the code flow with PKCE, and refreshes (OpenID Connect Core 1.0)."""

import base64
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from loguru import logger

from aibridged.clock import Clock
from aibridged.config.mappings import Pairs
from aibridged.config.secret import Secret
from aibridged.core import claims
from aibridged.core.claims import ClaimRules, Person, SignInRefusedError
from aibridged.oidc import id_token
from aibridged.oidc.base import ClientRefusedError, GrantEndedError, ProviderUnavailableError
from aibridged.oidc.discovery import FIRST_BACKOFF_S, Discovery
from aibridged.oidc.http import Answer, Http
from aibridged.oidc.id_token import IdTokenError
from aibridged.oidc.keys import KeyCache
from aibridged.oidc.metadata import Metadata

MAX_TOKEN = 16 * 1024
"""Characters of an access or refresh token of the provider."""

# Errors of the token endpoint that end a grant: RFC 6749, section 5.2, and OpenID Connect Core,
# section 3.1.2.6, which some providers use there.
_ENDED = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_grant",
        "login_required",
    }
)
_CLIENT_REFUSED = frozenset({"invalid_client", "unauthorized_client"})
_ERROR_CODE = re.compile(r"[a-z0-9_.:-]{1,64}", re.IGNORECASE)
_START_AGAIN = (
    "Start signing in again; if that does not help, tell an administrator of the gateway."
)


@dataclass(frozen=True)
class Client:
    """The gateway as a client of an issuer, and what it does with the claims."""

    issuer: str
    client_id: str
    client_secret: Secret | None
    scopes: tuple[str, ...]
    rules: ClaimRules
    url_parameters: Pairs = ()
    ignore_userinfo: bool = False


class _Tokens(msgspec.Struct):
    """A successful response of the token endpoint."""

    access_token: str
    id_token: str | None = None
    refresh_token: str | None = None


class _Error(msgspec.Struct):
    error: str = ""


_decode_tokens = msgspec.json.Decoder(_Tokens).decode
_decode_error = msgspec.json.Decoder(_Error).decode
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass
class OpenIdProvider:
    """Implements `base.IdentityProvider`; closed by its owner."""

    client: Client
    http: Http
    clock: Clock
    first_backoff: float = FIRST_BACKOFF_S
    discovery: Discovery = field(init=False)
    _keys: KeyCache = field(init=False)

    def __post_init__(self) -> None:
        self.discovery = Discovery(
            self.client.issuer, self.http, self.clock, first_backoff=self.first_backoff
        )
        self._keys = KeyCache(self._fetch_keys, self.clock)

    @property
    def issuer(self) -> str:
        return self.client.issuer

    async def close(self) -> None:
        """Close all connections."""
        await self.http.close()

    async def until_found(self) -> None:
        """Try until the issuer is discovered, and log what keeps it away."""
        await self.discovery.until_found()

    async def authorization_url(
        self, *, redirect_uri: str, state: str, nonce: str, verifier: str
    ) -> str:
        """The URL that a browser is sent to."""
        metadata = await self.discovery.get()
        return str(
            prepare_grant_uri(
                metadata.authorization_endpoint,
                self.client.client_id,
                "code",
                redirect_uri=redirect_uri,
                scope=self.client.scopes,
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
                **dict(self.client.url_parameters),
            )
        )

    async def exchange(
        self, *, code: str, redirect_uri: str, nonce: str, verifier: str
    ) -> tuple[Person, Secret | None]:
        """The person whom an authorization code stands for, and the provider's refresh token."""
        metadata = await self.discovery.get()
        try:
            tokens = await self._ask_for_tokens(
                metadata,
                "authorization_code",
                code=code,
                redirect_uri=redirect_uri,
                code_verifier=verifier,
            )
            if tokens.id_token is None:
                raise IdTokenError("there is none; is openid among --oidc-scopes?")
            found = await self._verified(tokens, nonce)
            found = await self._with_userinfo(metadata, found, tokens)
        except GrantEndedError:
            raise SignInRefusedError(
                f"The sign-in took too long, or was already completed. {_START_AGAIN}"
            ) from None
        except IdTokenError as error:
            logger.warning("The ID token of {} was refused: {}", self.issuer, error)
            raise SignInRefusedError(
                f"The identity provider's answer could not be verified: {error}. {_START_AGAIN}"
            ) from None
        return claims.person(found, self.issuer, self.client.rules), _secret(tokens.refresh_token)

    async def refresh(self, refresh_token: Secret, subject: str) -> tuple[Person, Secret | None]:
        """The person as the provider knows them now, and its next refresh token, if it has one."""
        metadata = await self.discovery.get()
        tokens = await self._ask_for_tokens(
            metadata, "refresh_token", refresh_token=refresh_token.reveal()
        )
        successor = _secret(tokens.refresh_token)
        try:
            found = await self._claims_now(metadata, tokens, subject)
        except IdTokenError as error:
            reason = f"its ID token was refused: {error}"
            logger.warning("The identity provider {}: {}", self.issuer, reason)
            raise ProviderUnavailableError(reason, successor) from None
        except ProviderUnavailableError as error:
            raise ProviderUnavailableError(error.reason, successor) from None
        if found.get("sub") != subject:
            raise GrantEndedError
        return claims.person(found, self.issuer, self.client.rules), successor

    async def check_client(self, metadata: Metadata, redirect_uri: str) -> None:
        """Ask for tokens for a code that nobody has, to see whether the client is accepted.

        Raises:
            ClientRefusedError: its ID or secret is wrong. Any other answer tells nothing.
        """
        fields = {"code": "check-config", "redirect_uri": redirect_uri, "code_verifier": "c" * 43}
        try:
            await self._ask_for_tokens(metadata, "authorization_code", **fields)
        except ClientRefusedError:
            raise
        except (GrantEndedError, ProviderUnavailableError):
            return

    async def _claims_now(
        self, metadata: Metadata, tokens: _Tokens, subject: str
    ) -> dict[str, Any]:
        """The claims after a refresh, which may come without an ID token (section 12.2)."""
        if tokens.id_token is not None:
            found = await self._verified(tokens, None)
        elif self.client.ignore_userinfo or metadata.userinfo_endpoint is None:
            raise IdTokenError(
                "a refresh yields none, and so no claims without the userinfo endpoint "
                "(--oidc-ignore-userinfo)"
            )
        else:
            found = {"sub": subject}
        return await self._with_userinfo(metadata, found, tokens)

    async def _ask_for_tokens(self, metadata: Metadata, grant: str, **fields: str) -> _Tokens:
        """What the token endpoint issues for a grant.

        Raises:
            GrantEndedError: the grant isn't valid, or no longer.
        """
        client, headers = self.client, dict[str, str]()
        if client.client_secret is None:
            fields["client_id"] = client.client_id
        elif metadata.posts_secret:
            fields |= {
                "client_id": client.client_id,
                "client_secret": client.client_secret.reveal(),
            }
        else:
            headers["Authorization"] = _basic(client.client_id, client.client_secret)
        form = str(prepare_token_request(grant, **fields))
        answer = await self.http.post("token endpoint", metadata.token_endpoint, form, headers)
        if answer.status != 200:
            raise _refusal(answer)
        try:
            tokens = _decode_tokens(answer.body)
        except _MALFORMED:
            raise ProviderUnavailableError("its token endpoint did not return tokens") from None
        for token in (tokens.access_token, tokens.refresh_token):
            if token is not None and not _is_token(token):
                raise ProviderUnavailableError("its token endpoint returned tokens that are none")
        return tokens

    async def _verified(self, tokens: _Tokens, nonce: str | None) -> dict[str, Any]:
        token = tokens.id_token or ""
        keys = await self._keys.with_id(id_token.key_id(token))
        return id_token.verify(
            token,
            keys,
            issuer=self.issuer,
            client_id=self.client.client_id,
            now=self.clock.wall().timestamp(),
            nonce=nonce,
            access_token=tokens.access_token,
        )

    async def _with_userinfo(
        self, metadata: Metadata, found: dict[str, Any], tokens: _Tokens
    ) -> dict[str, Any]:
        if self.client.ignore_userinfo or metadata.userinfo_endpoint is None:
            return found
        what = "userinfo endpoint"
        answer = await self.http.get(what, metadata.userinfo_endpoint, tokens.access_token)
        if answer.status == 401:
            raise GrantEndedError
        if answer.status != 200:
            raise ProviderUnavailableError(f"its {what} responded with status {answer.status}")
        try:
            userinfo = msgspec.json.decode(answer.body)
        except _MALFORMED:
            userinfo = None
        if not isinstance(userinfo, dict):
            raise ProviderUnavailableError(
                f"its {what} did not return a JSON object; --oidc-ignore-userinfo leaves it out"
            )
        return claims.merged(found, userinfo, self.client.rules.email_field)

    async def _fetch_keys(self) -> bytes:
        metadata = await self.discovery.get()
        answer = await self.http.get("jwks_uri", metadata.jwks_uri)
        if answer.status != 200:
            raise ProviderUnavailableError(f"its jwks_uri responded with status {answer.status}")
        return answer.body


def _refusal(answer: Answer) -> Exception:
    """What a token endpoint's error means."""
    try:
        code = _decode_error(answer.body).error
    except _MALFORMED:
        code = ""
    code = code if _ERROR_CODE.fullmatch(code) else ""
    if answer.status < 500 and code in _ENDED:
        return GrantEndedError()
    said = f"status {answer.status}{f' ({code})' if code else ''}"
    if code in _CLIENT_REFUSED or answer.status == 401:
        return ClientRefusedError(
            f"its token endpoint refused the gateway with {said}; check --oidc-client-id and "
            "--oidc-client-secret"
        )
    return ProviderUnavailableError(f"its token endpoint responded with {said}")


def _basic(client_id: str, client_secret: Secret) -> str:
    """Both are form-encoded first (RFC 6749, section 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret.reveal())}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _is_token(text: str) -> bool:
    return len(text) <= MAX_TOKEN and all(" " < character <= "~" for character in text)


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text else None
