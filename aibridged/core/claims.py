"""The person whom an identity provider's claims describe, and whether they may sign in.

Claims are of OpenID Connect Core 1.0, section 5.1; the settings' meanings are those of `coder
server`. The provider's signature has been verified by then, but nothing else of the values.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

MAX_SUBJECT = 255
"""Characters, by the specification."""
MAX_GROUP = 128
"""Characters of a group's name."""
MAX_GROUPS = 1000
"""Of one person."""
MAX_CLAIMED_GROUPS = 10_000
"""In a claim, before the filter."""
MAX_EMAIL = 254
ADMIN_ROLE = "owner"
"""The role of administrators, as `coder server` calls it."""

_IN_NONE = (
    "You are in none of the groups that may sign in here. Ask an administrator to add you to one."
)
_LISTED = 10
# The one domain whose addresses are accounts of their own at Google.
_GMAIL = "gmail.com"


class SignInRefusedError(Exception):
    """A person may not sign in; `sentence` tells them why, and what helps.

    For the log, `who` is what the provider calls them, and `claimed` what counted against them.
    """

    def __init__(self, sentence: str, claimed: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.claimed = claimed
        self.who = ""


class Person(msgspec.Struct, frozen=True):
    """A person as an identity provider vouches for them: `issuer` and `subject` identify them.

    `username` is what the provider calls them, of any characters. `groups` are sorted names after
    mapping and filter; None: the provider has no say in groups. `is_admin` is None where it has no
    say in that.
    """

    issuer: str
    subject: str
    username: str
    name: str
    email: str | None
    groups: tuple[str, ...] | None
    is_admin: bool | None


class ClaimRules(msgspec.Struct, frozen=True):
    """Which claims count, and who may sign in. An empty field is none.

    With `hosted_domain`, an address of one of the `email_domains` only counts together with the
    claim `hd`: at Google, an account may have a company's address without belonging to it.
    """

    username_field: str = "preferred_username"
    name_field: str = "name"
    email_field: str = "email"
    email_domains: frozenset[str] = frozenset()
    ignore_email_verified: bool = False
    hosted_domain: bool = False
    group_field: str = ""
    group_mapping: Mapping[str, str] = msgspec.field(default_factory=dict)
    allowed_groups: frozenset[str] = frozenset()
    group_filter: re.Pattern[str] = re.compile(".*")
    role_field: str = ""
    role_mapping: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)


def person(claims: Mapping[str, Any], issuer: str, rules: ClaimRules) -> Person:
    """The person of these claims.

    Raises:
        SignInRefusedError: they may not sign in, or a claim isn't what it should be.
    """
    try:
        return _person(claims, issuer, rules)
    except SignInRefusedError as error:
        names = (_text(claims, name) for name in (rules.email_field, rules.username_field, "sub"))
        error.who = next(filter(None, names), "")[:MAX_EMAIL]
        raise


def _person(claims: Mapping[str, Any], issuer: str, rules: ClaimRules) -> Person:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not _fits(subject):
        raise SignInRefusedError(
            "The identity provider did not say who you are: the claim sub is missing or not valid. "
            "Tell an administrator of the gateway."
        )
    email = _email(claims, rules)
    username = _text(claims, rules.username_field) or email or ""
    # Some providers have an address there.
    username = username.partition("@")[0] or subject
    return Person(
        issuer=issuer,
        subject=subject,
        username=username,
        name=_text(claims, rules.name_field) or username,
        email=email,
        groups=_groups(claims, rules),
        is_admin=_is_admin(claims, rules),
    )


def merged(
    id_token: Mapping[str, Any], userinfo: Mapping[str, Any], email_field: str
) -> dict[str, Any]:
    """The claims of both, those of the userinfo endpoint first; who somebody is says the ID token.

    Raises:
        SignInRefusedError: they are about two persons (OpenID Connect Core, section 5.3.2).
    """
    if userinfo.get("sub") != id_token.get("sub"):
        raise SignInRefusedError(
            "The identity provider described another person at its userinfo endpoint. Sign in "
            "again; if that does not help, tell an administrator of the gateway."
        )
    claims = {**id_token, **userinfo}
    told_apart = userinfo.get(email_field, id_token.get(email_field)) != id_token.get(email_field)
    if told_apart and "email_verified" not in userinfo:
        # What the ID token says is of another address.
        claims.pop("email_verified", None)
    return claims


def _email(claims: Mapping[str, Any], rules: ClaimRules) -> str | None:
    email = _text(claims, rules.email_field)
    if len(email) > MAX_EMAIL or re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        email = ""
    verified = claims.get("email_verified")
    is_verified = verified is True or verified == "true"
    if email and verified is not None and not is_verified and not rules.ignore_email_verified:
        raise SignInRefusedError(
            "Your email address is not verified at the identity provider. Verify it there, and "
            "sign in again."
        )
    if rules.email_domains:
        _check_domain(email, claims, rules, is_verified=is_verified)
    return email or None


def _check_domain(
    email: str, claims: Mapping[str, Any], rules: ClaimRules, *, is_verified: bool
) -> None:
    allowed = ", ".join(sorted(rules.email_domains))
    domain = email.rpartition("@")[2].lower()
    if domain not in rules.email_domains:
        raise SignInRefusedError(
            f"Only email addresses of {allowed} may sign in here. Sign in with another account."
        )
    if not is_verified and not rules.ignore_email_verified:
        raise SignInRefusedError(
            "The identity provider does not say that your email address is verified, and only "
            f"verified ones of {allowed} may sign in here. Tell an administrator of the gateway."
        )
    hosted = claims.get("hd")
    if rules.hosted_domain and domain != _GMAIL and str(hosted).lower() != domain:
        raise SignInRefusedError(
            f"Your account does not belong to the organization of {domain}: it only has an address "
            "of it. Sign in with the account that your organization manages."
        )


def _groups(claims: Mapping[str, Any], rules: ClaimRules) -> tuple[str, ...] | None:
    if not rules.group_field:
        if rules.allowed_groups:
            raise SignInRefusedError(_IN_NONE)
        return None
    if _are_elsewhere(claims, rules.group_field):
        raise SignInRefusedError(
            "You are in more groups than the identity provider sends. An administrator can have it "
            "send only those that are assigned to the gateway."
        )
    claimed = _strings(claims, rules.group_field)
    names = {rules.group_mapping.get(name, name) for name in claimed} - {""}
    if rules.allowed_groups and not names & rules.allowed_groups:
        raise SignInRefusedError(_IN_NONE, f"{rules.group_field}: {listed(names) or 'no groups'}")
    found = sorted(name for name in names if rules.group_filter.search(name))
    for name in found:
        if len(name) > MAX_GROUP or not _fits(name):
            raise SignInRefusedError(
                f"You are in a group whose name is longer than {MAX_GROUP} characters or not "
                "printable. An administrator can map it to another (--oidc-group-mapping) or leave "
                "it out (--oidc-group-regex-filter)."
            )
    if len(found) > MAX_GROUPS:
        raise SignInRefusedError(
            f"You are in more than {MAX_GROUPS} groups. An administrator can leave some out "
            "(--oidc-group-regex-filter)."
        )
    return tuple(found)


def _are_elsewhere(claims: Mapping[str, Any], name: str) -> bool:
    """Whether the claim is a distributed one (section 5.6.2), as Entra's is beyond 200 groups."""
    elsewhere = claims.get("_claim_names")
    return name not in claims and isinstance(elsewhere, Mapping) and name in elsewhere


def _is_admin(claims: Mapping[str, Any], rules: ClaimRules) -> bool | None:
    if not rules.role_field:
        return None
    roles = _strings(claims, rules.role_field)
    return any(ADMIN_ROLE in rules.role_mapping.get(role, (role,)) for role in roles)


def _strings(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    """A claim that is a list of strings, or one; without it, none."""
    value = claims.get(name)
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise SignInRefusedError(
            f"The identity provider's claim {name} is not a list of names. Tell an administrator "
            "of the gateway."
        )
    if len(value) > MAX_CLAIMED_GROUPS:
        raise SignInRefusedError(
            f"The identity provider's claim {name} has more than {MAX_CLAIMED_GROUPS} names. An "
            "administrator can have it send fewer."
        )
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is a line of text; "" without it."""
    value = claims.get(name) if name else None
    return value.strip() if isinstance(value, str) and _fits(value) else ""


def _fits(text: str) -> bool:
    """Whether a database can store the text, and a terminal show it."""
    return text.isprintable()


def listed(names: Iterable[str]) -> str:
    """Names for the log: the first few, each cut."""
    found = sorted(filter(_fits, names))
    shown = ", ".join(name[:MAX_GROUP] for name in found[:_LISTED])
    return f"{shown} and {len(found) - _LISTED} more" if len(found) > _LISTED else shown
