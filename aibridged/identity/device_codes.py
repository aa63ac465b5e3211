"""Store of device codes (RFC 8628): a device waits while its user signs in with a browser.

The device keeps the device code, of which only the SHA-256 is stored; its user types or compares
the user code. Everything here blocks: the daemon calls it off its event loop.
"""

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aibridged.clock import Clock
from aibridged.config.secret import Secret
from aibridged.identity import audit
from aibridged.identity.grants import Identity
from aibridged.identity.sign_in import Kind, Pair
from aibridged.identity.sign_ins import CREATE, SignInStore
from aibridged.identity.tables import MAX_CLIENT, device_codes, transaction, users
from aibridged.identity.token_format import random_id

LIFETIME_S = 600
INTERVAL_S = 5
"""Seconds between polls; one that comes sooner makes it longer by as much."""
MAX_INTERVAL_S = LIFETIME_S

MAX_ATTEMPTS = 10
"""How often a user code is accepted in the browser, over all pages."""
MAX_PENDING = 10_000
MAX_PENDING_OF_ADDRESS = 100

# Polls are timed by the device, and the network delays them differently.
_JITTER_S = 1.0

# Consonants only, so that there are no words, and none that look like others (RFC 8628, 6.1).
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_USER_CODE = re.compile(rf"[{_ALPHABET}]{{8}}")
_SEPARATORS = re.compile(r"[\s.\-_–—]+")
_MAX_TYPED = 64
_DEVICE_CODE = re.compile(r"[A-Za-z0-9_-]{43}")
_DRAWS = 5


class Status(StrEnum):
    """How far a device's sign-in is."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    USED = "used"


class Answer(Enum):
    """Why a poll gets no tokens."""

    PENDING = auto()
    SLOW_DOWN = auto()
    DENIED = auto()
    EXPIRED = auto()
    UNKNOWN = auto()
    """There is no such code, or it was used."""


class TooManyPendingError(Exception):
    """Too many devices wait: of this address, or altogether."""


class _ClashError(Exception):
    """A user code that another device has."""


class DeviceCode(msgspec.Struct, frozen=True):
    """A new device code, with the user code that belongs to it."""

    secret: Secret
    user_code: str


class Waiting(msgspec.Struct, frozen=True):
    """A device that waits: what it is, the network that it is in, and since when it waits."""

    user_code: str
    client: str
    address: str
    created_at: datetime


def user_code_of(typed: str) -> str | None:
    """The user code that somebody typed, in whatever case and spacing; None if it is none."""
    if len(typed) > _MAX_TYPED:
        return None
    letters = _SEPARATORS.sub("", typed).upper()
    return _spaced(letters) if _USER_CODE.fullmatch(letters) else None


class DeviceCodes:
    """Device codes. Every method may raise StoreUnavailableError."""

    def __init__(self, engine: sa.Engine, clock: Clock, sign_ins: SignInStore) -> None:
        self._engine = engine
        self._now = clock.wall
        self._sign_ins = sign_ins

    def create(self, client: str, address: str) -> DeviceCode:
        """Create the codes for a device that wants to sign in.

        Raises:
            TooManyPendingError: there are too many that wait.
        """
        self._check_room(address)
        now = self._now()
        secret = secrets.token_urlsafe(32)
        row = {
            "secret_sha256": _digest(secret),
            "status": Status.PENDING,
            "client": client[:MAX_CLIENT],
            "address": address,
            "created_at": now,
            "expires_at": now + timedelta(seconds=LIFETIME_S),
            "interval_s": INTERVAL_S,
            "attempts": 0,
        }
        for _ in range(_DRAWS):
            user_code = _spaced("".join(secrets.choice(_ALPHABET) for _ in range(8)))
            if self._insert({**row, "user_code": user_code}):
                return DeviceCode(Secret(secret), user_code)
        raise TooManyPendingError

    def look(self, user_code: str) -> Waiting | None:
        """The device that shows this code, and counts the attempt; None if none waits with it."""
        counted = (
            device_codes.update()
            .where(self._waits(user_code), device_codes.c.attempts < MAX_ATTEMPTS)
            .values(attempts=device_codes.c.attempts + 1)
            .returning(
                device_codes.c.user_code,
                device_codes.c.client,
                device_codes.c.address,
                device_codes.c.created_at,
            )
        )
        found = sa.select(device_codes.c.status).where(self._waits(user_code))
        with transaction(self._engine) as connection:
            # A guess is no reason to wait for the database's lock.
            if connection.execute(found).first() is None:
                return None
        with transaction(self._engine) as connection:
            row = connection.execute(counted).one_or_none()
        return None if row is None else Waiting(**row._mapping)

    def approve(self, user_code: str, user_id: str, identity: Identity, lifetime: float) -> bool:
        """Sign the device in, for `lifetime` seconds at first; False if it no longer waits."""
        sign_in_id = random_id()
        approved = (
            device_codes.update()
            .where(self._waits(user_code))
            .values(status=Status.APPROVED, sign_in_id=sign_in_id)
            .returning(device_codes.c.client, device_codes.c.address)
        )
        with transaction(self._engine) as connection:
            row = connection.execute(approved).one_or_none()
            if row is None:
                return False
            self._sign_ins.insert(
                connection, sign_in_id, user_id, identity, Kind.DEVICE, row.client, lifetime
            )
            named = sa.select(users.c.username).where(users.c.id == user_id)
            username = connection.execute(named).scalar_one()
            audit.record(
                connection,
                at=self._now(),
                actor=username,
                action=CREATE,
                target=user_id,
                after={
                    "id": sign_in_id,
                    "kind": Kind.DEVICE.value,
                    "client": row.client,
                    "address": row.address,
                },
            )
        return True

    def deny(self, user_code: str) -> bool:
        """Refuse the device; False if it no longer waits."""
        denied = device_codes.update().where(self._waits(user_code)).values(status=Status.DENIED)
        with transaction(self._engine) as connection:
            return bool(connection.execute(denied).rowcount)

    def poll(self, device_code: str) -> Pair | Answer:
        """The first tokens of an approved device, once; or why there are none."""
        if _DEVICE_CODE.fullmatch(device_code) is None:
            return Answer.UNKNOWN
        digest, now = _digest(device_code), self._now()
        asked = device_codes.c.secret_sha256 == digest
        with transaction(self._engine) as connection:
            statement = sa.select(device_codes).where(asked)
            row = connection.execute(statement).one_or_none()
        if row is None or row.status == Status.USED:
            return Answer.UNKNOWN
        if row.status == Status.DENIED:
            return Answer.DENIED
        if row.expires_at <= now:
            return Answer.EXPIRED
        if row.status == Status.APPROVED:
            return self._redeem(digest, row.sign_in_id)
        interval, is_early = row.interval_s, False
        if row.polled_at is not None:
            is_early = (now - row.polled_at).total_seconds() < interval - _JITTER_S
        if is_early:
            interval = min(interval + INTERVAL_S, MAX_INTERVAL_S)
        with transaction(self._engine) as connection:
            connection.execute(
                device_codes.update().where(asked).values(polled_at=now, interval_s=interval)
            )
        return Answer.SLOW_DOWN if is_early else Answer.PENDING

    def _insert(self, row: dict[str, object]) -> bool:
        """Insert a code; False if another device has the same user code."""
        try:
            with transaction(self._engine) as connection:
                try:
                    connection.execute(device_codes.insert().values(row))
                except IntegrityError:
                    raise _ClashError from None
        except _ClashError:
            return False
        return True

    def _redeem(self, digest: bytes, sign_in_id: str) -> Pair | Answer:
        used = (
            device_codes.update()
            .where(device_codes.c.secret_sha256 == digest, device_codes.c.status == Status.APPROVED)
            .values(status=Status.USED)
        )
        with transaction(self._engine) as connection:
            if not connection.execute(used).rowcount:
                return Answer.UNKNOWN
            # If it fails, the code can be redeemed again.
            return self._sign_ins.issue(connection, sign_in_id) or Answer.DENIED

    def _check_room(self, address: str) -> None:
        pending = sa.and_(
            device_codes.c.expires_at > self._now(), device_codes.c.status == Status.PENDING
        )
        is_theirs = sa.case((device_codes.c.address == address, 1))
        counts = sa.select(sa.func.count(), sa.func.count(is_theirs)).where(pending)
        with transaction(self._engine) as connection:
            in_all, theirs = connection.execute(counts).one()
        if in_all >= MAX_PENDING or theirs >= MAX_PENDING_OF_ADDRESS:
            raise TooManyPendingError

    def _waits(self, user_code: str) -> sa.ColumnElement[bool]:
        return sa.and_(
            device_codes.c.user_code == user_code,
            device_codes.c.status == Status.PENDING,
            device_codes.c.expires_at > self._now(),
        )


def _digest(device_code: str) -> bytes:
    return hashlib.sha256(device_code.encode()).digest()


def _spaced(letters: str) -> str:
    return f"{letters[:4]}-{letters[4:]}"
