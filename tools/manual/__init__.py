"""Generates the manual and the shell completions from the settings, the commands and prose.

`python -m tools.manual` writes them into the source tree; a test keeps them current.
"""
