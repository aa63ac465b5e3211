"""Asking over HTTP what was recorded, under /api/v2/aibridge/."""

from aibridged.api.handler import Api

__all__ = ["Api"]
