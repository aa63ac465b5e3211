"""Limits that hold for all workers of one machine, in memory that they share."""
