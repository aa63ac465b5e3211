"""HTTP APIs: queries of the record, under /api/v2/aibridge/, and spend limits."""

from aibridged.api.handler import Api
from aibridged.api.spend_limits import SpendLimitApi

__all__ = ["Api", "SpendLimitApi"]
