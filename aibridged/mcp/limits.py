"""Limits of MCP servers: timeouts, sizes and numbers of tools."""

from dataclasses import dataclass

from aibridged.config.options import Settings

_OPENING_BYTES = 1024 * 1024
_RESPONSE_BYTES = 4 * 1024 * 1024
_SLACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes. `opening_bytes`: all that a server says until its tools are listed."""

    init_timeout: float
    call_timeout: float
    result_bytes: int
    max_tools: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """As the settings have them."""
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
        """How large an answer may be: twice the result that is passed on, and 4 MiB at least.

        An image that is described in a line comes whole.
        """
        return max(_RESPONSE_BYTES, 2 * self.result_bytes)

    @property
    def response_seconds(self) -> float:
        """How long an answer may take that nobody waits for any more."""
        return max(self.init_timeout, self.call_timeout) + _SLACK_S
