"""A CA for the tests of the AI Proxy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aibridged.proxy.authority import Authority, load_authority, make_authority

MADE = datetime(2025, 12, 31, tzinfo=UTC)


@pytest.fixture
def ca_files(tmp_path) -> tuple[Path, Path]:
    """The certificate and the key of a CA that is good for ten years, as `init-ca` makes them."""
    certificate, key = make_authority("Test CA", MADE, timedelta(days=3650), [])
    cert_file, key_file = tmp_path / "ca.pem", tmp_path / "ca.key"
    cert_file.write_bytes(certificate)
    key_file.write_bytes(key)
    return cert_file, key_file


@pytest.fixture
def authority(ca_files, clock) -> Authority:
    return load_authority(*ca_files, clock.wall())
