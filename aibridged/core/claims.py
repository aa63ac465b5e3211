"""The person whom an identity provider's claims describe, and whether they may sign in."""

from dataclasses import dataclass


class SignInRefusedError(Exception):
    """Somebody may not sign in; `sentence` tells them why, and what helps."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Person:
    """A person as an identity provider vouches for them: `issuer` and `subject` identify them.

    `groups` are sorted names after mapping and filter; None: the provider has no say in groups.
    `is_admin` is None where it has no say in that.
    """

    issuer: str
    subject: str
    username: str
    name: str
    email: str | None
    groups: tuple[str, ...] | None
    is_admin: bool | None
