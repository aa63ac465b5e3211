"""All list settings."""

from aibridged.config.entries import EntryList
from aibridged.config.mcp_servers import MCP_SERVERS
from aibridged.config.policies import POLICIES
from aibridged.config.prices import PRICES
from aibridged.config.providers import PROVIDERS
from aibridged.config.telemetry import TELEMETRY

LISTS: tuple[EntryList, ...] = (PROVIDERS, MCP_SERVERS, POLICIES, TELEMETRY, PRICES)
