"""The files of a certificate and its key; test_check.py and test_check_ai_proxy.py try the rest."""

from pathlib import Path

import pytest

from aibridged.config.tls_files import holds_ca


@pytest.mark.parametrize(
    ("name", "holds"), [("ca-cert.pem", True), ("ca-key.pem", False), ("absent.pem", False)]
)
def test_whether_a_file_holds_a_ca(name: str, holds: bool) -> None:
    assert holds_ca(Path(__file__).parent / "tls" / name) is holds
