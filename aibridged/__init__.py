"""A standalone AI gateway daemon between coding agents and AI providers."""

__version__ = "0.2.0"
