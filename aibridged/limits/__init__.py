"""Limits that several processes share: on one machine, or by Redis on several."""
