"""Cookies of the browser: encrypted, and bound to what they are for.

A browser that is on its way to the identity provider keeps the state of that itself, so that the
gateway remembers nothing for callers without a token. Everything here reads the key's file: the
daemon calls it off its event loop.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from aibridged.clock import Clock
from aibridged.config.secret import Secret
from aibridged.identity.credential_key import CredentialKey, CredentialKeyError

TRIP_S = 600
"""How long a browser may take at the identity provider."""
MAX_TRIPS = 4
"""Sign-ins that one browser has under way; the others are forgotten."""
ARRIVAL_S = 60
"""How long a browser may take from there to the web page."""
MAX_PAGE = 1024
"""Characters of the path of a page to come back to."""

_TRIP, _SESSION, _ARRIVAL = "aibridged-sign-in-", "aibridged-session", "aibridged-arrival"
_NAMED = 12
_MAX_VALUE = 2048
T = TypeVar("T", bound=msgspec.Struct)


class Trip(msgspec.Struct, frozen=True):
    """A browser's way to the identity provider and back, for the device with this user code.

    With a `page` it is for the web page, and leads to that path of it.
    """

    state: str
    nonce: str
    verifier: str
    user_code: str
    until: float
    page: str | None = None

    def __repr__(self) -> str:
        return f"Trip(user_code={self.user_code!r})"


class _Session(msgspec.Struct, frozen=True):
    sign_in_id: str


class _Arrival(msgspec.Struct, frozen=True):
    sign_in_id: str
    until: float


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to set; without a value it is to be forgotten."""

    name: str
    value: str = field(default="", repr=False)
    max_age: int = 0


class Cookies:
    """Seals and opens cookies. Over https their names keep other hosts from setting them."""

    def __init__(self, key: CredentialKey, clock: Clock, *, is_secure: bool) -> None:
        self.is_secure = is_secure
        self._key = key
        self._now = clock.wall
        self._prefix = "__Host-" if is_secure else ""

    def set_out(self, trip: Trip, sent: Mapping[str, str]) -> list[Cookie]:
        """The cookie of a trip that begins, and the end of those that are too many."""
        others = [name for name in sent if name.startswith(self._prefix + _TRIP)]
        surplus = others[: max(0, len(others) - MAX_TRIPS + 1)]
        value = self._seal(trip, _TRIP)
        return [Cookie(self._trip(trip.state), value, TRIP_S), *map(Cookie, surplus)]

    def trip(self, state: str, sent: Mapping[str, str]) -> Trip | None:
        """The trip that comes back with this state; None if this browser isn't on it."""
        trip = self._open(sent.get(self._trip(state)), _TRIP, Trip)
        if trip is None or trip.until <= self._now().timestamp():
            return None
        return trip if hmac.compare_digest(trip.state.encode(), state.encode()) else None

    def arrived(self, trip: Trip) -> Cookie:
        """The end of a trip."""
        return Cookie(self._trip(trip.state))

    def begin_session(self, sign_in_id: str, seconds: float) -> Cookie:
        """The cookie of a browser that is signed in from now on."""
        value = self._seal(_Session(sign_in_id), _SESSION)
        return Cookie(self._prefix + _SESSION, value, max(1, int(seconds)))

    def session(self, sent: Mapping[str, str]) -> str | None:
        """The sign-in that a browser says it has."""
        found = self._open(sent.get(self._prefix + _SESSION), _SESSION, _Session)
        return None if found is None else found.sign_in_id

    def end_session(self) -> Cookie:
        return Cookie(self._prefix + _SESSION)

    def arrive(self, sign_in_id: str) -> Cookie:
        """The cookie with which the web page learns who has signed in."""
        until = self._now().timestamp() + ARRIVAL_S
        return Cookie(
            self._prefix + _ARRIVAL, self._seal(_Arrival(sign_in_id, until), _ARRIVAL), ARRIVAL_S
        )

    def arrival(self, sent: Mapping[str, str]) -> str | None:
        """The sign-in with which a browser comes to the web page."""
        found = self._open(sent.get(self._prefix + _ARRIVAL), _ARRIVAL, _Arrival)
        return None if found is None or found.until <= self._now().timestamp() else found.sign_in_id

    def end_arrival(self) -> Cookie:
        return Cookie(self._prefix + _ARRIVAL)

    def _trip(self, state: str) -> str:
        return f"{self._prefix}{_TRIP}{state[:_NAMED]}"

    def _seal(self, content: msgspec.Struct, purpose: str) -> str:
        plain = Secret(msgspec.json.encode(content).decode())
        return urlsafe_b64encode(self._key.encrypt(plain, f"cookie {purpose}")).decode()

    def _open(self, value: str | None, purpose: str, kind: type[T]) -> T | None:
        if value is None or len(value) > _MAX_VALUE:
            return None
        try:
            plain = self._key.decrypt(urlsafe_b64decode(value.encode()), f"cookie {purpose}")
            return msgspec.json.decode(plain.reveal(), type=kind)
        except (CredentialKeyError, ValueError):
            return None  # another key's, or somebody's own


def new_trip(
    state: str,
    nonce: str,
    verifier: str,
    user_code: str,
    clock: Clock,
    *,
    page: str | None = None,
) -> Trip:
    """A trip that begins now."""
    return Trip(state, nonce, verifier, user_code, clock.wall().timestamp() + TRIP_S, page)
