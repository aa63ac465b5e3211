"""Device codes: how they are polled, and guessed at."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from aibridged.identity import device_codes as module
from aibridged.identity.device_codes import (
    INTERVAL_S,
    LIFETIME_S,
    MAX_ATTEMPTS,
    MAX_INTERVAL_S,
    Answer,
    TooManyPendingError,
    user_code_of,
)
from aibridged.identity.sign_in import Pair
from aibridged.identity.sign_ins import UNUSED_S
from aibridged.identity.tables import audit
from aibridged.identity.tables import device_codes as table


@pytest.fixture
def code(codes):
    return codes.create("claude-code/2.1.197", "10.0.0.1")


@pytest.fixture
def approve(codes, store, identity):
    def approve(code):
        (ann,) = store.list_users()
        return codes.approve(code.user_code, ann.id, identity, UNUSED_S)

    return approve


@pytest.fixture
def poll(codes):
    return lambda code: codes.poll(code.secret.reveal())


def test_codes_are_new_and_long_enough(codes):
    made = [codes.create("", "10.0.0.1") for _ in range(20)]
    for code in made:
        assert user_code_of(code.user_code) == code.user_code
        assert len(code.secret.reveal()) == 43  # 256 bits in base64
        assert code.secret.reveal() not in repr(code)
    assert len({code.user_code for code in made} | {code.secret for code in made}) == 40


def test_the_device_code_is_not_stored(code, engine):
    with engine.begin() as connection:
        (row,) = connection.execute(sa.select(table)).all()
    assert code.secret.reveal() not in repr(row)


@pytest.mark.parametrize(
    "typed", ["BCDF-GHJK", "bcdf-ghjk", " bcdfghjk ", "BCDF GHJK", "b.c_d–f—ghjk"]
)
def test_a_code_is_read_however_it_is_typed(typed):
    assert user_code_of(typed) == "BCDF-GHJK"


@pytest.mark.parametrize(
    "typed",
    ["", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-FGHJ", "BCDF-GHJ1", "ＢCDF-GHJK", "B" * 8 + " " * 57],
)
def test_what_is_no_code(typed):
    assert user_code_of(typed) is None


def test_a_device_waits_until_it_is_approved_and_gets_its_tokens_once(
    code, poll, approve, clock, store, engine
):
    assert poll(code) is Answer.PENDING
    assert approve(code)
    pair = poll(code)
    assert store.authenticate(pair.bearer.reveal()).username == "ann"
    assert poll(code) is Answer.UNKNOWN
    assert not approve(code)
    with engine.begin() as connection:
        *_, row = connection.execute(sa.select(audit).order_by(audit.c.id)).all()
    [ann] = store.list_users()
    assert (row.actor, row.action, row.target) == ("ann", "sign_in.create", ann.id)
    assert row.after["client"] == "claude-code/2.1.197"
    assert row.after["address"] == "10.0.0.1"


def test_one_that_polls_too_often_is_slowed_down_for_good(code, poll, clock):
    assert poll(code) is Answer.PENDING
    assert poll(code) is Answer.SLOW_DOWN
    clock.advance(INTERVAL_S + 1)
    assert poll(code) is Answer.SLOW_DOWN
    clock.advance(3 * INTERVAL_S)
    assert poll(code) is Answer.PENDING
    clock.advance(3 * INTERVAL_S)
    assert poll(code) is Answer.PENDING
    clock.advance(2 * INTERVAL_S + 3)
    assert poll(code) is Answer.SLOW_DOWN


def test_the_interval_has_an_end(code, poll, engine):
    for _ in range(MAX_INTERVAL_S // INTERVAL_S + 2):
        poll(code)
    with engine.begin() as connection:
        assert connection.execute(sa.select(table.c.interval_s)).scalar() == MAX_INTERVAL_S


def test_a_poll_that_the_network_hurried_is_in_time(code, poll, clock):
    assert poll(code) is Answer.PENDING
    clock.advance(INTERVAL_S - 0.9)
    assert poll(code) is Answer.PENDING


def test_an_approved_device_is_not_slowed_down(code, poll, approve):
    poll(code)
    approve(code)
    assert isinstance(poll(code), Pair)


def test_a_denied_device_is_told(code, codes, poll, approve):
    assert codes.deny(code.user_code)
    assert not codes.deny(code.user_code)
    assert not approve(code)
    assert poll(code) is Answer.DENIED
    assert poll(code) is Answer.DENIED


def test_a_code_expires(code, codes, poll, approve, clock):
    clock.advance(LIFETIME_S)
    assert poll(code) is Answer.EXPIRED
    assert codes.look(code.user_code) is None
    assert not approve(code)
    assert not codes.deny(code.user_code)


def test_tokens_are_not_fetched_after_the_code_has_expired(code, poll, approve, clock):
    approve(code)
    clock.advance(LIFETIME_S)
    assert poll(code) is Answer.EXPIRED


def test_an_unknown_device_code(codes):
    for text in ("", "x", "x" * 43, "x" * 44, "é" * 43):
        assert codes.poll(text) is Answer.UNKNOWN


def test_two_polls_at_once_get_the_tokens_once(code, codes, approve):
    approve(code)
    with ThreadPoolExecutor(4) as threads:
        answers = [*threads.map(codes.poll, [code.secret.reveal()] * 4)]
    assert sum(isinstance(answer, Pair) for answer in answers) == 1


def test_a_code_is_looked_up_ten_times(code, codes):
    for _ in range(MAX_ATTEMPTS):
        waiting = codes.look(code.user_code)
        assert (waiting.client, waiting.address) == ("claude-code/2.1.197", "10.0.0.1")
    assert codes.look(code.user_code) is None


def test_a_code_that_nobody_has(codes, code):
    assert codes.look("BBBB-BBBB") is None


def test_an_address_has_a_share_of_the_devices_that_wait(codes, monkeypatch, clock, approve):
    monkeypatch.setattr(module, "MAX_PENDING", 5)
    monkeypatch.setattr(module, "MAX_PENDING_OF_ADDRESS", 3)
    mine = [codes.create("", "10.0.0.1") for _ in range(3)]
    with pytest.raises(TooManyPendingError):
        codes.create("", "10.0.0.1")
    for _ in range(2):
        codes.create("", "10.0.0.2")
    with pytest.raises(TooManyPendingError):
        codes.create("", "10.0.0.3")
    approve(mine[0])
    codes.create("", "10.0.0.1")
    clock.advance(LIFETIME_S)
    codes.create("", "10.0.0.3")


def test_user_codes_that_clash_are_drawn_again(codes, monkeypatch):
    letters = iter("BBBBBBBB" * 2 + "CCCCCCCC")
    monkeypatch.setattr(module.secrets, "choice", lambda _: next(letters))
    assert codes.create("", "").user_code == "BBBB-BBBB"
    assert codes.create("", "").user_code == "CCCC-CCCC"
