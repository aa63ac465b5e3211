"""The manual and the shells' completions, made from the settings, the commands and some prose.

`python -m tools.manual` writes them into the source tree; a test keeps them fresh.
"""
