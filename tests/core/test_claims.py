"""Who somebody is by an identity provider's claims, and whether they may sign in."""

from aibridged.core.claims import SignInRefusedError


def test_a_refusal_says_why() -> None:
    assert SignInRefusedError("Because.").sentence == "Because."
