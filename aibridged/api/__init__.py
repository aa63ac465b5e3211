"""REST API for querying the record, under /api/v2/aibridge/."""

from aibridged.api.handler import Api

__all__ = ["Api"]
