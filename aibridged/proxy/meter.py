"""What the AI Proxy tells whoever counts."""

from typing import Protocol


class Meter(Protocol):
    """`kind` is mitm or tunneled; a status of 0 is a request that got no answer."""

    def connected(self, kind: str) -> None: ...
    def request_began(self, provider: str) -> None: ...
    def request_ended(self, provider: str, status: int) -> None: ...


class NoMeter:
    """Counts nothing."""

    def connected(self, kind: str) -> None:
        """Nothing."""

    def request_began(self, provider: str) -> None:
        """Nothing."""

    def request_ended(self, provider: str, status: int) -> None:
        """Nothing."""
