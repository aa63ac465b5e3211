"""A gateway's sign-in as its client sees it: discovery (RFC 8414), device grant (RFC 8628),
refresh, and revocation (RFC 7009).

Everything that an answer says is checked before it is used: types, lengths, and that every endpoint
is on the gateway's own origin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from .address import origin
from .clock import Clock
from .failure import LoginError, SignedOutError, UnreachableError
from .requests import TIMEOUT_S, Answer, ask

WELL_KNOWN = "/.well-known/oauth-authorization-server"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_LONGEST_TOKEN = 4096
_LONGEST_CODE = 32
_LONGEST_NOTICE = 500
_MAX_LIFETIME_S = 10 * 365 * 86400.0
_MAX_CODE_LIFETIME_S = 3600.0
_MAX_INTERVAL_S = 60.0
_SLOWER_S = 5.0


@dataclass(frozen=True)
class Endpoints:
    """Where a gateway signs people in."""

    device: str
    token: str
    revocation: str | None


@dataclass(frozen=True)
class Device:
    """A device code that waits for a person; times in seconds."""

    code: str = field(repr=False)
    user_code: str
    uri: str
    uri_complete: str | None
    lifetime: float
    interval: float
    notice: str


@dataclass(frozen=True)
class Tokens:
    """What the token endpoint gives; `lifetime` is the bearer's, in seconds."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    lifetime: float
    email: str | None


def discover(url: str, ca_file: str | None) -> Endpoints:
    """Ask a gateway for its endpoints.

    Raises:
        LoginError: it can't be reached, offers no sign-in, or names endpoints elsewhere.
    """
    answer = ask(f"{url}{WELL_KNOWN}", ca_file=ca_file)
    if answer.status != 200:
        raise LoginError(
            f"{url} offers no sign-in (status {answer.status})",
            "Use the gateway's own address, without a provider's path behind it. A gateway without "
            "sign-in gives out tokens: `aibridged tokens create` there.",
        )
    issuer = answer.data.get("issuer")
    if isinstance(issuer, str) and _origin(issuer) not in (None, _origin(url)):
        raise LoginError(
            f"The issuer at {url} is {_plain(issuer, 200)}",
            "Sign in at that address, if it is yours.",
        )
    found = {
        name: _endpoint(url, answer.data, f"{name}_endpoint")
        for name in ("device_authorization", "token", "revocation")
    }
    device, token = found["device_authorization"], found["token"]
    if device is None or token is None:
        raise LoginError(
            f"{url} offers no sign-in by device code", "The gateway may have to be updated."
        )
    return Endpoints(device, token, found["revocation"])


def begin(url: str, endpoints: Endpoints, ca_file: str | None) -> Device:
    """Ask for a device code.

    Raises:
        LoginError: there is none.
    """
    answer = ask(endpoints.device, form={"surface": "aibridged"}, ca_file=ca_file)
    if answer.status != 200:
        raise _refused(answer)
    data = answer.data
    code, user_code = data.get("device_code"), data.get("user_code")
    uri = _endpoint(url, data, "verification_uri")
    if not _is_token(code) or not _is_word(user_code, _LONGEST_CODE) or uri is None:
        raise _malformed(url)
    return Device(
        code=code,
        user_code=user_code,
        uri=uri,
        uri_complete=_endpoint(url, data, "verification_uri_complete"),
        lifetime=_seconds(data.get("expires_in"), 600.0, 1.0, _MAX_CODE_LIFETIME_S),
        interval=_seconds(data.get("interval"), 5.0, 1.0, _MAX_INTERVAL_S),
        notice=_plain(data.get("login_notice"), _LONGEST_NOTICE),
    )


def wait(endpoints: Endpoints, device: Device, clock: Clock, ca_file: str | None) -> Tokens:
    """Poll until the person has decided.

    Raises:
        LoginError: they declined, or the code has expired.
    """
    interval, deadline = device.interval, clock.monotonic() + device.lifetime
    form = {"grant_type": _DEVICE_GRANT, "device_code": device.code}
    while clock.monotonic() + interval < deadline:
        clock.sleep(interval)
        try:
            answer = ask(endpoints.token, form=form, ca_file=ca_file)
        except UnreachableError:
            interval = min(interval + _SLOWER_S, _MAX_INTERVAL_S)
            continue
        if answer.status == 200:
            return _tokens(endpoints.token, answer.data)
        if answer.error == "slow_down":
            interval = min(interval + _SLOWER_S, _MAX_INTERVAL_S)
        elif answer.error == "access_denied":
            raise _declined(answer)
        elif answer.error == "expired_token":
            break
        elif answer.error != "authorization_pending" and not _may_pass(answer):
            raise _refused(answer)
    raise LoginError("the code has expired", "Run `aibridged login` again.")


def refresh(
    token_endpoint: str, token: str, ca_file: str | None, timeout: float = TIMEOUT_S
) -> Tokens:
    """Exchange a refresh token for its successor and a new bearer.

    Raises:
        SignedOutError: the sign-in has ended.
        UnreachableError: the gateway, or its identity provider, can't do it now.
        LoginError: it refuses for another reason.
    """
    form = {"grant_type": "refresh_token", "refresh_token": token}
    answer = ask(token_endpoint, form=form, ca_file=ca_file, timeout=timeout)
    if answer.status == 200:
        return _tokens(token_endpoint, answer.data)
    if answer.error == "invalid_grant" or answer.status == 401:
        raise SignedOutError("the sign-in has ended")
    if _may_pass(answer):
        raise UnreachableError(f"the gateway can't renew the token now (status {answer.status})")
    raise _refused(answer)


def revoke(endpoint: str, access: str, refresh: str | None, ca_file: str | None) -> None:
    """Revoke a sign-in's tokens at the gateway.

    Raises:
        LoginError: the gateway didn't do it.
    """
    forms = [{"token": access}]
    if refresh is not None:
        forms.append({"token": refresh, "token_type_hint": "refresh_token"})
    for form in forms:
        answer = ask(endpoint, form=form, ca_file=ca_file)
        if answer.status != 200:
            raise _refused(answer)


def _tokens(endpoint: str, data: Mapping[str, Any]) -> Tokens:
    access, refresh = data.get("access_token"), data.get("refresh_token")
    kind = data.get("token_type", "")
    is_bearer = isinstance(kind, str) and kind.lower() == "bearer"
    if not _is_token(access) or not is_bearer or not (refresh is None or _is_token(refresh)):
        raise _malformed(endpoint)
    lifetime = _seconds(data.get("expires_in"), 3600.0, 1.0, _MAX_LIFETIME_S)
    return Tokens(access, refresh, lifetime, _plain(data.get("email"), 320) or None)


def _endpoint(url: str, data: Mapping[str, Any], name: str) -> str | None:
    found = data.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= 2000 or not _is_word(found, 2000):
        raise _malformed(url)
    if _origin(found) != _origin(url):
        raise LoginError(
            f"{url} names a {name} of another origin ({_plain(found, 200)})",
            "Sign in at the address that the gateway calls itself (its access URL).",
        )
    return found


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        # A link with the code in it has a query.
        return origin(url.partition("?")[0])
    except LoginError:
        return None


def _is_token(value: object) -> TypeGuard[str]:
    return _is_word(value, _LONGEST_TOKEN)


def _is_word(value: object, longest: int) -> TypeGuard[str]:
    """Visible ASCII: nothing that a header, a shell or a terminal could take for more."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return False
    return all("!" <= each <= "~" for each in value)


def _plain(value: object, longest: int) -> str:
    """Text from outside for a terminal: bounded, without control characters."""
    if not isinstance(value, str):
        return ""
    return "".join(each if each.isprintable() else " " for each in value[:longest]).strip()


def _seconds(value: object, default: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return default  # NaN isn't itself
    return float(min(max(value, least), most))


def _may_pass(answer: Answer) -> bool:
    return answer.status == 429 or answer.status >= 500


def _declined(answer: Answer) -> LoginError:
    return LoginError(
        _said(answer) or "the sign-in was declined",
        "The page in the browser says why; else ask who runs the gateway.",
    )


def _refused(answer: Answer) -> LoginError:
    said = _said(answer) or _plain(answer.error, 60) or "no reason given"
    return LoginError(f"the gateway refused: {said} (status {answer.status})")


def _said(answer: Answer) -> str:
    return _plain(answer.data.get("error_description"), 300).rstrip(".")


def _malformed(url: str) -> LoginError:
    return LoginError(f"{url} gave an answer that isn't one of a sign-in")
