"""Authentication logic: which token authenticates the caller, which key goes upstream (BYOK).

The gateway token is the first of `X-Coder-Token` (or its alias), `Authorization: Bearer`,
`X-Api-Key` and `Coder-Session-Token`. Only where it came in the first can `Authorization` and
`X-Api-Key` be the caller's own provider key (BYOK); otherwise both are taken to carry the gateway
token, and aren't forwarded. `Coder-Session-Token`, which Coder's own API takes, never is.
"""

import re
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from operator import itemgetter

import msgspec
from multidict import MultiMapping, istr

from aibridged.config.secret import Secret
from aibridged.core.headers import raw_header
from aibridged.gateway_tokens import GATEWAY_TOKEN, PREFIXES, may_hold_token

AUTHORIZATION = "Authorization"
API_KEY = "X-Api-Key"
SESSION_TOKEN = "Coder-Session-Token"
TOKEN_HEADERS = ("X-Coder-Token", "X-Coder-AI-Governance-Token")
# A look-up by these need not fold the case.
_AUTHORIZATION, _API_KEY, _SESSION_TOKEN = map(istr, (AUTHORIZATION, API_KEY, SESSION_TOKEN))
_TOKEN_HEADERS = tuple(map(istr, TOKEN_HEADERS))
_value_of = itemgetter(1)
_GATEWAY_TOKEN_BYTES = re.compile(GATEWAY_TOKEN.pattern.encode())
# Without authentication any token is accepted, and a short one may be a substring of anything.
_SHORTEST_SECRET = 16
_KEY_BYTES = 16

# RFC 9110 token68 and then some: visible ASCII, so that no separator hides a second value.
_TOKEN = re.compile(r"[\x21-\x7e]+")


class CredentialKind(StrEnum):
    """Whose key authenticates to the provider."""

    CENTRALIZED = "centralized"
    BYOK = "byok"


class MalformedCredentialsError(ValueError):
    """A duplicate or invalid auth header; the message never quotes it."""


class Presented(msgspec.Struct, frozen=True):
    """The contents of a request's auth headers, hidden in the repr.

    `token` authenticates to the gateway; `own` are the caller's provider headers, by name, as
    received. The gateway token is never among them.
    """

    token: str | None
    own: dict[str, str]

    def __repr__(self) -> str:
        return "Presented()"


def read_credentials(headers: MultiMapping[str], *, session_first: bool = False) -> Presented:
    """Read the auth headers; with `session_first`, `Coder-Session-Token` before all others.

    Raises:
        MalformedCredentialsError: a header is duplicated, empty, not ASCII, or malformed.
    """
    if session_first and _SESSION_TOKEN in headers:
        return Presented(_token(_single(headers, _SESSION_TOKEN), SESSION_TOKEN), {})
    authorization = _single(headers, _AUTHORIZATION) if _AUTHORIZATION in headers else None
    api_key = _single(headers, _API_KEY) if _API_KEY in headers else None
    tokens = [_single(headers, name) for name in _TOKEN_HEADERS if name in headers]
    if len(tokens) > 1:
        raise MalformedCredentialsError(f"Send only one of {' and '.join(TOKEN_HEADERS)}.")
    if tokens:
        token = _token(tokens[0], TOKEN_HEADERS[0])
        own = {AUTHORIZATION: authorization, API_KEY: api_key}
        return Presented(
            token,
            {
                name: value
                for name, value in own.items()
                if value is not None and not carries(value, token)
            },
        )
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise MalformedCredentialsError("Authorization must be of the form: Bearer <token>.")
        return Presented(_token(value.strip(" "), AUTHORIZATION), {})
    if api_key is not None:
        return Presented(_token(api_key, API_KEY), {})
    if _SESSION_TOKEN in headers:
        return Presented(_token(_single(headers, _SESSION_TOKEN), SESSION_TOKEN), {})
    return Presented(None, {})


def token_key(token: str) -> bytes:
    """The key of a token in maps in memory, which doesn't reveal it."""
    return blake2b(token.encode(), digest_size=_KEY_BYTES).digest()


def why_refused(token: str | None, *, own_tokens: bool) -> str:
    """The sentence on a token that wasn't accepted, and the mend; it never quotes it.

    `own_tokens` says that the gateway's own are required, and not Coder's.
    """
    if token is None:
        made = "; `aibridged tokens create` makes one" if own_tokens else ""
        return (
            "No gateway token came with the request: send it as the client's API key, or in "
            f"X-Coder-Token{made}."
        )
    bare, (prefix, refresh) = token.strip("\"'"), PREFIXES
    if own_tokens and bare.startswith(refresh):
        return (
            "This is a refresh token, for `aibridged login` alone: send a gateway token, which "
            f"begins with {prefix}."
        )
    if not own_tokens or GATEWAY_TOKEN.fullmatch(token) is not None:
        return (
            "The gateway token is not valid: it is unknown, expired or revoked, or its user is "
            "suspended. Ask for a new one."
        )
    if GATEWAY_TOKEN.fullmatch(bare) is not None:
        return "The gateway token has quotes around it: remove them."
    if bare.startswith(prefix):
        return "The gateway token is not whole, or something is appended to it: copy it again."
    return (
        f"What came as the key is not a gateway token, which begins with {prefix}: clients need "
        "one of `aibridged tokens create`, not the provider's key, which the gateway has. A "
        "provider key of your own goes with the token in X-Coder-Token."
    )


def carries(value: str, token: str) -> bool:
    """Whether a header's value contains this token: some clients insist on a key of any kind.

    So does any other token of the gateway: one that was replaced isn't a provider's key either.
    """
    if token in (value.strip(), value.partition(" ")[2].strip()):
        return True
    return GATEWAY_TOKEN.search(value) is not None


def without_tokens(
    headers: list[tuple[bytes, bytes]], token: str | None
) -> list[tuple[bytes, bytes]]:
    """These headers, without those that contain this token or another gateway token.

    A client may have been configured to send it in a header that the gateway doesn't know.
    """
    own = token.encode() if token is not None and len(token) >= _SHORTEST_SECRET else None
    values = b"\n".join(map(_value_of, headers))
    if not (may_hold_token(values) or (own is not None and values.find(own) >= 0)):
        return headers  # as nearly always

    return [header for header in headers if not _holds_token(header[1], own)]


def _holds_token(value: bytes, own: bytes | None) -> bool:
    own_is_there = own is not None and own in value
    return own_is_there or _GATEWAY_TOKEN_BYTES.search(value) is not None


def sent_secrets(headers: MultiMapping[str]) -> tuple[str, ...]:
    """The credentials in all auth headers, well-formed or not, each without its scheme."""
    names = (AUTHORIZATION, API_KEY, SESSION_TOKEN, *TOKEN_HEADERS)
    values = (value for name in names for value in headers.getall(name, ()))
    return tuple(filter(None, (value.strip().rpartition(" ")[2] for value in values)))


def is_from_helper(headers: MultiMapping[str]) -> bool:
    """Whether the gateway token came from a command, which may return another one next time.

    Claude Code sends the output of its `apiKeyHelper` in both headers, and the value of a variable
    in one of them.
    """
    if any(name in headers for name in TOKEN_HEADERS):
        return False
    api_key = headers.get(API_KEY)
    return api_key is not None and headers.getall(AUTHORIZATION, ()) == [f"Bearer {api_key}"]


def _single(headers: MultiMapping[str], name: str) -> str:
    """The value of a header that came, once."""
    values = headers.getall(name)
    if len(values) > 1:
        raise MalformedCredentialsError(f"The {name} header is given more than once.")
    value = values[0]
    if not (value.strip() and value.isascii()):
        raise MalformedCredentialsError(f"The {name} header is empty, or not ASCII.")
    return value


def _token(value: str, name: str) -> str:
    if _TOKEN.fullmatch(value) is None:
        raise MalformedCredentialsError(f"The {name} header is not a well-formed token.")
    return value


class UpstreamCredential(msgspec.Struct, frozen=True, dict=True):
    """What authenticates to the provider: one header, or none where there is no key.

    The key is hidden in the repr. The organisation's is one object for all requests.
    """

    kind: CredentialKind
    header: str | None
    value: str | None

    def __repr__(self) -> str:
        return f"UpstreamCredential(kind={self.kind!r}, header={self.header!r})"

    @classmethod
    def of_organisation(cls, header: tuple[str, str] | None) -> "UpstreamCredential":
        """The organisation's key as the provider's header, or what says that there is none."""
        return cls(CredentialKind.CENTRALIZED, *(header or (None, None)))

    @cached_property
    def hint(self) -> str:
        """The key's masked form, empty without a key: the last word, after any scheme."""
        return "" if self.value is None else str(Secret(self.value.rpartition(" ")[2]))

    @cached_property
    def sent(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header as it goes on, if there is one.

        Raises ValueError: it contains a line break.
        """
        if self.header is None or self.value is None:
            return ()
        return (raw_header(self.header, self.value),)


class ByokDisabledError(Exception):
    """The caller sent a provider key where only the organisation's is allowed."""


class OwnKeyRequiredError(Exception):
    """The caller sent no key of their own where only such a key is accepted."""


def upstream_credential(
    own: dict[str, str],
    *,
    allow_byok: bool,
    preferred: str,
    organisation: UpstreamCredential,
    own_key_only: bool = False,
) -> UpstreamCredential:
    """Choose the upstream credential.

    `preferred` is the header that the provider itself would use if it got both; `organisation` is
    what goes on where the caller has no key; `own_key_only` accepts nothing but a key of the
    caller's in the header `preferred`.

    Raises:
        ByokDisabledError: `own` has a key and `allow_byok` is false.
        OwnKeyRequiredError: with `own_key_only`, `own` doesn't have such a key.
    """
    if own and not allow_byok:
        raise ByokDisabledError
    if own_key_only and preferred not in own:
        raise OwnKeyRequiredError
    if not own:
        return organisation
    name = preferred if preferred in own else next(iter(own))
    return UpstreamCredential(CredentialKind.BYOK, name, own[name])
