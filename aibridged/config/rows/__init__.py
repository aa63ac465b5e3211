"""Rows of the table of settings, one file for a few groups."""
