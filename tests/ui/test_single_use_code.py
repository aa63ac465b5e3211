"""A code opens the page once, within a minute, and only by itself."""

import pytest

from aibridged.config.secret import Secret
from aibridged.ui.single_use_code import FILE, LIFETIME_S, offer, spend

TOKEN = "aib_token"


@pytest.fixture
def code(tmp_path, clock) -> str:
    return offer(tmp_path, Secret(TOKEN), clock)


def test_it_is_good_once(tmp_path, clock, code):
    assert spend(tmp_path, code, clock) == TOKEN
    assert spend(tmp_path, code, clock) is None


def test_there_is_one_attempt(tmp_path, clock, code):
    assert spend(tmp_path, "ü", clock) is None
    assert spend(tmp_path, code, clock) is None
    assert not (tmp_path / FILE).exists()


def test_it_lives_a_minute(tmp_path, clock, code):
    clock.advance(LIFETIME_S)
    assert spend(tmp_path, code, clock) is None


def test_the_next_one_takes_its_place(tmp_path, clock, code):
    other = offer(tmp_path, Secret("aib_other"), clock)
    assert spend(tmp_path, other, clock) == "aib_other"
    assert spend(tmp_path, code, clock) is None


def test_only_its_user_can_read_it(tmp_path, clock, code):
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"code": 1}', b"x" * 10_000])
def test_a_broken_file_is_no_code(tmp_path, clock, content):
    (tmp_path / FILE).write_bytes(content)
    assert spend(tmp_path, "", clock) is None


def test_links_are_not_followed(tmp_path, clock, code):
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    assert spend(tmp_path, code, clock) is None
