"""An OpenID Connect provider for tests, made with Authlib, over real sockets, and its faults.

`IdentityProvider` serves from the loop of a test; `IdentityProviderProcess` is a process of its own
with the same methods. `sign_in` fills in the login page without a browser. What it is to do wrong
is given to `fail`, by name:

    id_token_claims   {claim: value}, or None in place of a value: left out
    id_token_alg      none, or HS256 with the client's secret
    id_token_key      other: a signature by a key that isn't published
    id_token_kid      the key's id in the header
    userinfo_claims   like id_token_claims
    refresh_tokens    always, never, or offline_access: only where that scope is asked for (default)
    rotate            whether a refresh token is good for once (default)
    discovery         entries of the discovery document, None: left out
    answers           {endpoint: {status, body, headers}} in place of its own
    huge, slow        endpoints whose answers never end, or never come

Endpoints are discovery, jwks, authorize, token and userinfo.
"""

import argparse
import asyncio
import html
import json
import re
import subprocess
import sys
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
from aiohttp import web
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    OAuth2Error,
    OAuth2Request,
    TokenMixin,
    grants,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode, OpenIDToken, UserInfo
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, KeySet, OctKey

from aibridged.clock import Clock, SystemClock

CLIENT_ID = "gateway"
CLIENT_SECRET = "the-gateways-secret"
PASSWORD = "correct horse"
_BLOCK = b" " * 65536
# Types of keys: a parameter of a new one, and its algorithm.
_KINDS: Mapping[str, tuple[Any, str]] = {
    "EC": ("P-256", "ES256"),
    "OKP": ("Ed25519", "EdDSA"),
    "RSA": (2048, "RS256"),
}
_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in at the test provider</title></head>
<body><main><h1>Sign in</h1><form method="post" action="{action}">
<p><label>Username <input name="username" autocomplete="username"></label></p>
<p><label>Password <input name="password" type="password"></label></p>
<p><button name="do" value="sign-in">Sign in</button>
<button name="do" value="cancel">Cancel</button></p>
{note}</form></main></body></html>
"""


class _Request(OAuth2Request):
    def __init__(self, method: str, uri: str, data: dict[str, str], headers: Any) -> None:
        super().__init__(method, uri, headers=headers)
        self._data = data
        self.payload = BasicOAuth2Payload(data)

    @property
    def args(self) -> dict[str, str]:
        return self._data

    @property
    def form(self) -> dict[str, str]:
        return self._data


class _Client(ClientMixin):
    """The gateway; public where it has no secret. With a `method` it has to use that."""

    method: str | None = None

    def __init__(self, secret: str | None) -> None:
        self.secret = secret

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.startswith(("http://127.0.0.1", "http://localhost", "https://"))

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret == client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        if self.secret is None:
            return method == "none"
        return method != "none" and self.method in (None, method)

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


class _Grant(AuthorizationCodeMixin, TokenMixin):
    """A code, or tokens: of whom, and what was asked for."""

    def __init__(self, username: str, scope: str, parameters: Mapping[str, str]) -> None:
        self.username = username
        self.scope = scope
        self.parameters = parameters
        self.code_challenge = parameters.get("code_challenge")
        self.code_challenge_method = parameters.get("code_challenge_method")

    def get_redirect_uri(self) -> str | None:
        return self.parameters.get("redirect_uri")

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.parameters.get("nonce")

    def get_auth_time(self) -> None:
        return None

    def check_client(self, client: ClientMixin) -> bool:
        return True


class _CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        data = dict(request.payload.data)
        self.server.provider.codes[code] = _Grant(request.user, request.payload.scope, data)

    def query_authorization_code(self, code: str, client: ClientMixin) -> _Grant | None:
        return self.server.provider.codes.get(code)

    def delete_authorization_code(self, authorization_code: _Grant) -> None:
        codes = self.server.provider.codes
        for code in [code for code, grant in codes.items() if grant is authorization_code]:
            del codes[code]

    def authenticate_user(self, authorization_code: _Grant) -> str | None:
        return self.server.provider.active(authorization_code.username)


class _RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _CodeGrant.TOKEN_ENDPOINT_AUTH_METHODS

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:  # noqa: N802
        return self.server.provider.rotates

    def authenticate_refresh_token(self, refresh_token: str) -> _Grant | None:
        grant = self.server.provider.refresh_tokens.get(refresh_token)
        return grant if grant and self.server.provider.active(grant.username) else None

    def authenticate_user(self, refresh_token: _Grant) -> str | None:
        return self.server.provider.active(refresh_token.username)

    def revoke_old_credential(self, refresh_token: _Grant) -> None:
        if self.server.provider.rotates:
            tokens = self.server.provider.refresh_tokens
            for token in [text for text, grant in tokens.items() if grant is refresh_token]:
                del tokens[token]


class _IdToken:
    """What both extensions, for codes and for refreshes, have in common."""

    server: "_Server"

    def encode_id_token(self, token: dict[str, Any], request: OAuth2Request) -> str:
        return self.server.provider.id_token(token, request)

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:
        return False


class _CodeIdToken(_IdToken, OpenIDCode):
    def __init__(self, server: "_Server") -> None:
        super().__init__(require_nonce=True)
        self.server = server


class _RefreshIdToken(_IdToken, OpenIDToken):
    def __init__(self, server: "_Server") -> None:
        self.server = server


class _Server(AuthorizationServer):
    def __init__(self, provider: "IdentityProvider") -> None:
        super().__init__()
        self.provider = provider
        self.register_grant(_CodeGrant, [CodeChallenge(required=True), _CodeIdToken(self)])
        self.register_grant(_RefreshGrant, [_RefreshIdToken(self)])
        self.register_token_generator("default", self._tokens)

    def _tokens(self, *, scope: str, include_refresh_token: bool, **given: Any) -> dict[str, Any]:
        wanted = self.provider.faults.get("refresh_tokens", "offline_access")
        generate = BearerTokenGenerator(
            lambda **_: generate_token(42), lambda **_: generate_token(48)
        )
        return generate(
            scope=scope,
            include_refresh_token=include_refresh_token
            and (wanted == "always" or wanted in scope.split()),
            **given,
        )

    def query_client(self, client_id: str) -> ClientMixin | None:
        return self.provider.client if client_id == CLIENT_ID else None

    def save_token(self, token: dict[str, str], request: OAuth2Request) -> None:
        grant = _Grant(request.user, token["scope"], {})
        self.provider.access_tokens[token["access_token"]] = grant
        if refresh_token := token.get("refresh_token"):
            self.provider.refresh_tokens[refresh_token] = grant

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        pass

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> web.Response:
        text = json.dumps(body) if isinstance(body, dict) else body
        return web.Response(status=status, text=text, headers=dict(headers))


class IdentityProvider:
    """The provider in this process: users, keys, tokens, and the faults that a test wants."""

    def __init__(
        self,
        *,
        client_secret: str | None = CLIENT_SECRET,
        key_type: str = "EC",
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.users: dict[str, dict[str, Any]] = {}
        self.disabled: set[str] = set()
        self.faults: dict[str, Any] = {}
        self.requests: Counter[str] = Counter()
        self.last_authorization: dict[str, str] = {}
        self.client = _Client(client_secret)
        self.codes: dict[str, _Grant] = {}
        self.access_tokens: dict[str, _Grant] = {}
        self.refresh_tokens: dict[str, _Grant] = {}
        self.issuer = ""
        self._keys: list[Any] = []
        self._closing = asyncio.Event()
        self.rotate_keys(key_type=key_type)
        self._server = _Server(self)
        self._runner: web.AppRunner | None = None
        self._site: web.BaseSite | None = None

    # What tests call, of a process too.

    def add_user(self, username: str, **claims: Any) -> None:
        """Somebody whose password is PASSWORD; their subject doesn't tell their name."""
        self.users[username] = {
            "sub": f"subject-{len(self.users) + 1}",
            "preferred_username": username,
            "name": username.title(),
            "email": f"{username}@example.com",
            "email_verified": True,
            **claims,
        }

    def change_user(self, username: str, **claims: Any) -> None:
        self.users[username].update(claims)

    def disable(self, username: str) -> None:
        self.disabled.add(username)

    def enable(self, username: str) -> None:
        self.disabled.discard(username)

    def fail(self, **faults: Any) -> None:
        """Do these things wrong from now on, and no others."""
        self.faults = faults

    def rotate_keys(self, *, keep: bool = False, key_type: str = "EC") -> None:
        """Sign with a new key; the old one is no longer published, unless it is kept."""
        key: Any = JWKRegistry.generate_key(key_type, _KINDS[key_type][0], auto_kid=True)
        self._keys = [key, *(self._keys if keep else [])]

    def counts(self) -> dict[str, int]:
        """How often each endpoint has been asked."""
        return dict(self.requests)

    def asked_for(self) -> dict[str, str]:
        """The parameters of the last authorization request."""
        return dict(self.last_authorization)

    def end_grants(self) -> None:
        """Forget all codes and tokens."""
        for tokens in (self.codes, self.access_tokens, self.refresh_tokens):
            tokens.clear()

    # What the grants ask.

    @property
    def rotates(self) -> bool:
        return bool(self.faults.get("rotate", True))

    def active(self, username: str) -> str | None:
        return username if username in self.users and username not in self.disabled else None

    def claims_of(self, username: str, scope: str) -> dict[str, Any]:
        claims = self.users[username]
        standard = UserInfo(claims).filter(scope)
        own = {name: claims[name] for name in claims if name not in UserInfo.REGISTERED_CLAIMS}
        return {**standard, **own}

    def id_token(self, token: dict[str, Any], request: OAuth2Request) -> str:
        now, faults = int(self._clock.wall().timestamp()), self.faults
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        claims |= self.claims_of(request.user, token["scope"])
        if request.authorization_code:
            claims["nonce"] = request.authorization_code.get_nonce()
        _change(claims, faults.get("id_token_claims"))
        key = self._keys[0]
        header = {"alg": _KINDS[key.key_type][1], "kid": faults.get("id_token_kid", key.kid)}
        if faults.get("id_token_key") == "other":
            key = ECKey.generate_key("P-256")
        if alg := faults.get("id_token_alg"):
            header = {"alg": alg, "kid": header["kid"]}
            key = None if alg == "none" else OctKey.import_key(CLIENT_SECRET * 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(header, claims, key, [header["alg"]])

    # Sockets.

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; `issuer` says where."""
        app = web.Application()
        for path, name, serve in (
            ("/.well-known/openid-configuration", "discovery", self._discovery),
            ("/jwks", "jwks", self._jwks),
            ("/authorize", "authorize", self._authorize),
            ("/token", "token", self._token),
            ("/userinfo", "userinfo", self._userinfo),
        ):
            app.router.add_route("*", path, self._with_faults(name, serve))
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await self._listen(port)
        self.issuer = f"http://127.0.0.1:{self._port}"

    async def away(self) -> None:
        """Refuse connections, and end those that there are."""
        assert self._site is not None
        assert self._runner is not None
        await self._site.stop()
        self._site = None
        for connection in self._runner.server.connections if self._runner.server else ():
            connection.force_close()

    async def back(self) -> None:
        """Listen again, at the same place."""
        await self._listen(self._port)

    async def close(self) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self, port: int) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    def _with_faults(self, name: str, serve: Callable[..., Any]) -> Callable[..., Any]:
        async def handler(request: web.Request) -> web.StreamResponse:
            self.requests[name] += 1
            if name in self.faults.get("slow", ()):
                await self._closing.wait()
            if name in self.faults.get("huge", ()):
                response = web.StreamResponse(headers={"Content-Type": "application/json"})
                await response.prepare(request)
                while True:
                    self.requests["huge"] += 1
                    await response.write(_BLOCK)
            if answer := self.faults.get("answers", {}).get(name):
                text = answer.get("body", "")
                text = text if isinstance(text, str) else json.dumps(text)
                headers = {"Content-Type": "application/json", **answer.get("headers", {})}
                return web.Response(status=answer.get("status", 200), text=text, headers=headers)
            data = {**request.query, **await request.post()}
            # Its issuer is on loopback, but may be asked under another name.
            uri = f"{self.issuer}{request.path_qs}"
            return await serve(_Request(request.method, uri, data, request.headers))

        return handler

    async def _discovery(self, request: _Request) -> web.Response:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "code_challenge_methods_supported": ["S256"],
        }
        _change(document, self.faults.get("discovery"))
        return web.json_response(document)

    async def _jwks(self, request: _Request) -> web.Response:
        return web.json_response(KeySet(self._keys).as_dict(private=False))

    async def _authorize(self, request: _Request) -> web.Response:
        self.last_authorization = dict(request.args)
        try:
            grant = self._server.get_consent_grant(request)
        except OAuth2Error as error:
            return self._server.handle_error_response(request, error)
        username = request.form.get("username", "")
        if request.method == "POST" and request.form.get("do") == "cancel":
            return self._server.create_authorization_response(request, None, grant)
        if self.active(username) and request.form.get("password") == PASSWORD:
            return self._server.create_authorization_response(request, username, grant)
        note = "<p role=alert>Wrong username or password.</p>" if request.method == "POST" else ""
        page = _FORM.format(action=html.escape(request.uri), note=note)
        return web.Response(text=page, content_type="text/html")

    async def _token(self, request: _Request) -> web.Response:
        return self._server.create_token_response(request)

    async def _userinfo(self, request: _Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        grant = self.access_tokens.get(token)
        if grant is None or self.active(grant.username) is None:
            return web.json_response({"error": "invalid_token"}, status=401)
        claims = self.claims_of(grant.username, grant.scope)
        _change(claims, self.faults.get("userinfo_claims"))
        return web.json_response(claims)


def _change(claims: dict[str, Any], changes: Mapping[str, Any] | None) -> None:
    claims |= changes or {}
    for name in [name for name, value in claims.items() if value is None]:
        del claims[name]


async def sign_in(
    session: aiohttp.ClientSession,
    authorization_url: str,
    username: str,
    password: str = PASSWORD,
    *,
    cancel: bool = False,
) -> str:
    """Fill in the login page at an authorization URL; the URL that the browser is sent to then."""
    async with session.get(authorization_url) as response:
        page = await response.text()
        assert response.status == 200, page
        action = re.search(r'action="([^"]*)"', page)
        assert action is not None, page
        target = urljoin(str(response.url), html.unescape(action[1]))
    form = {"username": username, "password": password, "do": "cancel" if cancel else "sign-in"}
    async with session.post(target, data=form, allow_redirects=False) as response:
        assert response.status in (302, 303), await response.text()
        return response.headers["Location"]


class IdentityProviderProcess:
    """The provider as a process: `add_user`, `fail` and so on are those of `IdentityProvider`."""

    def __init__(self, **options: Any) -> None:
        command = [sys.executable, "-m", "tests.identity_provider", json.dumps(options)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        where = json.loads(self._process.stdout.readline())
        self.issuer: str = where["issuer"]
        self._control: str = where["control"]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            body = json.dumps([name, args, kwargs]).encode()
            with urllib.request.urlopen(self._control, body, timeout=10) as answer:
                return json.load(answer)

        return call

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)


@pytest.fixture
def identity_provider() -> Iterator[IdentityProviderProcess]:
    """A provider in a process of its own, without users."""
    process = IdentityProviderProcess()
    yield process
    process.close()


_CONTROLLED = {
    "add_user",
    "asked_for",
    "away",
    "back",
    "change_user",
    "counts",
    "disable",
    "enable",
    "end_grants",
    "fail",
    "rotate_keys",
}


async def _serve(options: Mapping[str, Any]) -> None:
    provider = IdentityProvider(**options)
    await provider.start()

    async def control(request: web.Request) -> web.Response:
        name, args, kwargs = await request.json()
        assert name in _CONTROLLED, name
        result = getattr(provider, name)(*args, **kwargs)
        return web.json_response(await result if asyncio.iscoroutine(result) else result)

    app = web.Application()
    app.router.add_post("/", control)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    control_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    print(json.dumps({"issuer": provider.issuer, "control": control_url}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="?", default="{}", help="of IdentityProvider, as JSON")
    asyncio.run(_serve(json.loads(parser.parse_args().options)))
