"""Validation of requests as a whole; the real APIs respond 400 to invalid ones.

It checks what a gateway that adds to a conversation could get wrong: every tool call has a result,
results have calls, roles and items are in order, thoughts come back unchanged, and no field is made
up. `check` raises InvalidRequestError.
"""
