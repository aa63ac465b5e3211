"""Limits of MCP servers: timeouts, sizes and numbers of tools."""

import msgspec

from aibridged.config.options import Settings

_OPENING_BYTES = 1024 * 1024
_RESPONSE_BYTES = 4 * 1024 * 1024
_SLACK_S = 5.0


class Limits(msgspec.Struct, frozen=True):
    """Seconds and bytes. `opening_bytes`: all that a server sends until its tools are listed."""

    init_timeout: float
    call_timeout: float
    result_bytes: int
    max_tools: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The limits in the settings."""
        return cls(
            settings.mcp_init_timeout,
            settings.mcp_call_timeout,
            settings.mcp_result_bytes,
            settings.mcp_max_tools,
        )

    @property
    def opening_bytes(self) -> int:
        return _OPENING_BYTES

    @property
    def response_bytes(self) -> int:
        """Size limit of a response: twice that of the result that is passed on, and at least 4 MiB.

        So an image, which is replaced by a line of description, still fits.
        """
        return max(_RESPONSE_BYTES, 2 * self.result_bytes)

    @property
    def response_seconds(self) -> float:
        """Deadline of a response that no request waits for any more."""
        return max(self.init_timeout, self.call_timeout) + _SLACK_S
