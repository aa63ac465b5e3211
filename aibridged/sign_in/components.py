"""What the endpoints share: stores, the identity provider, limits, and the words for outcomes."""

from collections.abc import Callable
from dataclasses import dataclass

from yarl import URL

from aibridged.clock import Clock
from aibridged.core.claims import Person
from aibridged.core.guesses import Guesses
from aibridged.identity.device_codes import DeviceCodes
from aibridged.identity.grants import Grants
from aibridged.identity.lookups import Lookups
from aibridged.identity.off_loop import OffLoop
from aibridged.identity.sign_ins import SignInStore
from aibridged.identity.users import User
from aibridged.oidc.base import IdentityProvider
from aibridged.sign_in.cookies import Cookies
from aibridged.tasks import Tasks

PLACES = 64
"""Requests that are served at a time; half of them per address."""

GUESSES, GUESS_PERIOD_S = 20, 600.0
"""Wrong user codes of an address, or of a signed-in user, within the period."""
REFRESHES, REFRESH_PERIOD_S = 60, 600.0
"""Refreshes of a sign-in within the period."""


@dataclass(frozen=True, slots=True)
class Components:
    """What the endpoints share. `base` is the gateway's own URL, as its users have it.

    `admit` makes a person a user, or updates the one they are; only for signing in may it create
    one. `session_s` is how long a browser stays signed in, in seconds. `count` counts outcomes.
    """

    base: URL
    provider: IdentityProvider
    provider_name: str
    session_s: float
    clock: Clock
    off_loop: OffLoop
    codes: DeviceCodes
    sign_ins: SignInStore
    grants: Grants
    cookies: Cookies
    admit: Callable[[Person, bool], User]
    places: Lookups
    guesses: Guesses
    refreshes: Guesses
    tasks: Tasks
    count: Callable[[str], None]

    def url(self, path: str) -> str:
        """The URL of one of the endpoints."""
        return f"{str(self.base).rstrip('/')}{path}"

    def path(self, path: str) -> str:
        """The path of one of the endpoints, as browsers have it."""
        return f"{self.base.path.rstrip('/')}{path}"
