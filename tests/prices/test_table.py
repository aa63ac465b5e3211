"""Which table counts, and which is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from aibridged.prices import table
from aibridged.prices.table import (
    FILE,
    TableError,
    current_table,
    installed_table,
    is_older,
    read_table,
    store,
)

Published = Callable[..., bytes]
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_the_installed_table_has_the_librarys_version_and_its_newest_change() -> None:
    found = installed_table()
    assert found.version == f"genai-prices {version('genai-prices')}"
    assert found.newest_change is not None
    assert found.newest_change >= date(2026, 11, 9)
    assert found.fetched_at is None
    assert found.models > 2000
    assert found.tiers > 200


def test_a_table_that_was_stored_is_used_if_it_is_newer(
    published: Published, tmp_path: Path
) -> None:
    assert current_table(tmp_path) == (installed_table(), None)
    store(tmp_path, published(), AT)
    found, problem = current_table(tmp_path)
    assert (found.fetched_at, found.newest_change, problem) == (AT, date(2099, 1, 1), None)
    assert found.version.startswith("genai-prices sha256:")
    store(tmp_path, published(start="2020-01-01"), AT)
    assert current_table(tmp_path) == (installed_table(), None)


def test_a_table_without_dates_is_older_than_one_with_them(published: Published) -> None:
    without = read_table(published(variants=0), AT)
    assert without.newest_change is None
    assert is_older(without, installed_table())
    assert not is_older(without, without)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"providers":[]}', b"\xff" * 9, b"[" * 9999])
def test_a_file_that_is_no_table_is_told_and_the_installed_one_is_used(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / FILE).write_bytes(content)
    found, problem = current_table(tmp_path)
    assert found == installed_table()
    assert problem == f"{tmp_path / FILE} is no table of prices: the installed table is used"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    assert "can't be read (it is not a regular file)" in str(current_table(tmp_path)[1])


def test_a_table_is_stored_whole_or_not_at_all(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, published(models=1), AT)
    before = (tmp_path / FILE).read_bytes()
    assert oct((tmp_path / FILE).stat().st_mode & 0o777) == "0o600"

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table, "flush", full)
    with pytest.raises(OSError, match="No space"):
        store(tmp_path, published(models=2), AT)
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).read_bytes() == before


def changed(content: bytes, path: str, value: Any) -> bytes:
    providers = json.loads(content)
    *above, last = path.split(".")
    at = providers[0]
    for name in above:
        at = at[int(name) if name.isdecimal() else name]
    at[last] = value
    return json.dumps(providers).encode()


def test_no_symbolic_link_is_followed(published: Published, tmp_path: Path) -> None:
    """Root may fetch for a daemon that has a user of its own."""
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / f"{FILE}.part").symlink_to(other)
    store(tmp_path, published(), AT)
    assert other.read_text() == "precious"
    (tmp_path / FILE).rename(other)
    (tmp_path / FILE).symlink_to(other)
    assert "it is a symbolic link" in str(current_table(tmp_path)[1])


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("models.0.prices.input_mtok", -1, "has a price of 'claude-new-0' that can't be right"),
        ("models.0.prices.input_mtok", 1_000_001, "has a price of 'claude-new-0' that"),
        ("models.0.prices.input_mtok", "Infinity", "is no table of prices"),
        ("models.1.prices.input_mtok", {"base": 1, "tiers": [{"start": 1, "price": -1}]}, "-new-1"),
        ("models.0.price_variants.0.prices", {"output_mtok": -1}, "has a price of 'claude-new-0'"),
        ("models.0.prices.input_mtok", "dear", "is no table of prices"),
        ("models.0.match", {"regex": "("}, "has an expression that can't be compiled"),
        ("models.0.match", {"or": [{"regex": "a" * 257}]}, "has an expression longer than 256"),
        ("api_pattern", "[", "has an expression that can't be compiled"),
        ("models.0.match", {"sounds_like": "x"}, "is no table of prices"),
        ("models", 7, "is no table of prices"),
    ],
)
def test_a_table_with_what_cannot_be_right_is_refused(
    published: Published, path: str, value: Any, why: str
) -> None:
    read_table(published(), AT)
    with pytest.raises(TableError) as caught:
        read_table(changed(published(), path, value), AT)
    assert why in str(caught.value)


@pytest.mark.parametrize("content", [b"[]", b"null", b"[NaN]", b"[" * 100_000, b"<html>"])
def test_what_is_no_list_of_providers_is_refused(content: bytes) -> None:
    with pytest.raises(TableError):
        read_table(content, AT)


def test_a_price_has_its_decimals_and_not_a_floats(published: Published) -> None:
    found = read_table(published({"input_mtok": 0.1, "output_mtok": 0.0875}), AT)
    assert str(vars(found.providers[0].models[0].prices)["input_mtok"]) == "0.1"


def test_the_library_is_imported_by_nothing_but_the_use_of_a_table() -> None:
    """It takes 0.2 s and 30 MB."""
    code = (
        "import sys; from aibridged.cli import build; build(); "
        "import aibridged.prices.book, aibridged.prices.update; "
        "sys.exit('genai_prices' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
