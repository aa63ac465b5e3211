"""Sessions of browsers: cookies that only the gateway can make and read.

A session is that of a gateway token or of a sign-in at the identity provider, and ends with it, at
the next request. It ends by itself after `IDLE_S` without one, and `absolute_s` after it began.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from aibridged.clock import Clock
from aibridged.core.expiring import Kept

IDLE_S = 3600.0
MAX_ENDED = 10_000
"""Sessions that were signed out, and are remembered as such until they would have ended."""

MAX_SAID = 300
"""Characters of a notice."""

_NAME = "aibridged-page"
_MAX_VALUE = 3800  # browsers keep 4096 bytes, with the name and the attributes
_REFRESH_S = 60.0


class Session(msgspec.Struct, frozen=True):
    """What a browser keeps; times are those of the wall clock.

    Without a token and a sign-in it is that of the local actor.
    """

    id: str
    began: float
    seen: float
    token: str | None = None
    sign_in_id: str | None = None
    said: str = ""

    def __repr__(self) -> str:
        return "Session()"


class Sessions:
    """Makes and opens sessions; `key` are 32 bytes. For the event loop: it blocks on nothing.

    `ended` are those that were signed out, at most `MAX_ENDED` in one process.
    """

    def __init__(
        self, key: bytes, clock: Clock, absolute_s: float, ended: Kept, *, is_secure: bool
    ) -> None:
        self.is_secure = is_secure
        self.cookie_name = f"__Host-{_NAME}" if is_secure else _NAME
        self._absolute_s = absolute_s
        self._now = clock.wall
        self._sealer = Fernet(urlsafe_b64encode(key))
        self._csrf_key = hashlib.blake2b(key, person=b"csrf").digest()
        self._ended = ended

    def begin(self, *, token: str | None = None, sign_in_id: str | None = None) -> Session:
        """A session that begins now."""
        now = self._now().timestamp()
        return Session(secrets.token_urlsafe(18), now, now, token, sign_in_id)

    def open(self, cookies: Mapping[str, str]) -> Session | None:
        """The session of a browser; None if it has none, or it has ended."""
        value = cookies.get(self.cookie_name)
        if value is None or len(value) > _MAX_VALUE:
            return None
        try:
            plain = self._sealer.decrypt(value.encode())
            session = msgspec.json.decode(plain, type=Session)
        except (InvalidToken, ValueError):
            return None  # another key's, or made up
        is_idle = self._now().timestamp() - session.seen > IDLE_S
        return None if is_idle or self.is_over(session) else session

    def is_over(self, session: Session) -> bool:
        """Whether a session has ended, be it in use or not."""
        age = self._now().timestamp() - session.began
        return age > self._absolute_s or self._ended.get(session.id.encode()) is not None

    def continued(self, session: Session, said: str = "", *, is_new: bool = False) -> str | None:
        """The cookie that keeps the session from ending; None where it needs no other yet."""
        now = self._now().timestamp()
        if now - session.seen < _REFRESH_S and said == session.said and not is_new:
            return None
        if len(said) > MAX_SAID:
            said = f"{said[: MAX_SAID - 1]}…"
        return self.sealed(msgspec.structs.replace(session, seen=now, said=said))

    def sealed(self, session: Session) -> str:
        """The value of its cookie."""
        return self._sealer.encrypt(msgspec.json.encode(session)).decode()

    def end(self, session: Session) -> None:
        """Forget it: a copy of its cookie is worth nothing."""
        self._ended.put(session.id.encode(), 1.0, self._absolute_s)

    def csrf(self, session: Session) -> str:
        """What its forms have to say."""
        mac = hmac.new(self._csrf_key, session.id.encode(), hashlib.sha256)
        return urlsafe_b64encode(mac.digest()[:18]).decode()

    def is_csrf(self, session: Session, said: str) -> bool:
        """Whether a form is one of its own."""
        return hmac.compare_digest(self.csrf(session).encode(), said.encode())
