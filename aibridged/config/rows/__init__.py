"""Rows of the table of settings, a file for each few groups."""
