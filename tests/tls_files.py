"""A certificate for localhost, which signs itself, and its key."""

from pathlib import Path

_DIRECTORY = Path(__file__).parent / "config" / "tls"

CERT = _DIRECTORY / "localhost-cert.pem"
KEY = _DIRECTORY / "localhost-key.pem"
