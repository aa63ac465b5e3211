"""JSON shapes of users, groups, tokens and policies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import asdict

from aibridged.api.budget_standings import Budget, share
from aibridged.api.shapes import Count, Dollars, Moment
from aibridged.config.options import PolicySettings
from aibridged.config.policy_limits import policy_fields
from aibridged.core.budgets import CENT, Period, Scope
from aibridged.core.money import exact_dollars
from aibridged.identity import users
from aibridged.identity.directory import GroupSummary, SignInInfo
from aibridged.records.query_results import Interception

MAX_NAMES = 1000
"""Users or groups that one request names."""
MAX_LIFETIME_S = 100 * 365 * 24 * 3600

Text = Annotated[str, Meta(max_length=1024)]
Names = Annotated[list[Text], Meta(max_length=MAX_NAMES)]
Lifetime = Annotated[int, Meta(ge=0, le=MAX_LIFETIME_S)]


class User(msgspec.Struct, kw_only=True):
    """A user. A robot is a pipeline or service, which can't sign in."""

    id: str
    username: str
    name: str
    email: str | None
    status: users.UserStatus
    is_admin: bool
    is_robot: bool
    groups: Sequence[str]
    created_at: Moment
    last_seen_at: Moment | None


class UserSummary(User, kw_only=True):
    """A user with what they have spent this month (in UTC) that counts towards spend limits."""

    spent_this_month: Dollars


class Users(msgspec.Struct, kw_only=True):
    """A page; `count` is the total over all pages, and `more` says whether there is a next page."""

    count: Count
    results: Sequence[UserSummary]
    more: bool


class SignIn(msgspec.Struct, kw_only=True):
    """A sign-in that goes on, of an agent (`device`) or a browser."""

    id: str
    kind: str
    client: str
    created_at: Moment
    checked_at: Moment
    expires_at: Moment


class UserDetails(UserSummary, kw_only=True):
    """A user with their sign-ins, the latest first."""

    sign_ins: Sequence[SignIn]


class NewUser(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The user to create."""

    username: Text
    name: Text = ""
    email: Text | None = None
    is_admin: bool = False
    is_robot: bool = False
    groups: Names = []


class UserChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change; what isn't given stays, and an empty `email` is none."""

    username: Text | None = None
    name: Text | None = None
    email: Text | None = None
    is_admin: bool | None = None
    groups: Names | None = None


class SignedOut(msgspec.Struct, kw_only=True):
    """How many sign-ins have ended."""

    username: str
    ended: Count


class GatewayToken(msgspec.Struct, kw_only=True):
    """A token without its secret. `status` is active, expired or revoked.

    `ends_soon` says that it ends within 7 days, and that no sign-in renews it. `sign_in_id` is that
    of the sign-in that issued it, if one did.
    """

    id: str
    username: str
    name: str
    status: str
    ends_soon: bool
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None
    sign_in_id: str | None


class GatewayTokens(msgspec.Struct, kw_only=True):
    """A user's tokens, the latest made first, and what a lifetime may be; null is unlimited."""

    results: Sequence[GatewayToken]
    default_lifetime_seconds: Count
    longest_lifetime_seconds: Count | None


class NewToken(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The token to create: a lifetime of null is the default one, and 0 is unlimited."""

    name: Text = ""
    lifetime_seconds: Lifetime | None = None


class CreatedToken(GatewayToken, kw_only=True):
    """A token with its secret, which can't be had again."""

    token: str

    def __repr__(self) -> str:
        return f"CreatedToken({self.id})"


class Renewal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """For how long a token is to last from now on: see `NewToken`."""

    lifetime_seconds: Lifetime | None = None


class UserGroup(msgspec.Struct, kw_only=True):
    """A group of users, and how many there are in it."""

    id: str
    name: str
    members: Count
    created_at: Moment


class UserGroups(msgspec.Struct, kw_only=True):
    """A page; `count` is the total over all pages, and `more` says whether there is a next page."""

    count: Count
    results: Sequence[UserGroup]
    more: bool


class NewGroup(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The group to create."""

    name: Text


class Members(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Usernames of members to add or to remove."""

    users: Annotated[list[Text], Meta(min_length=1, max_length=MAX_NAMES)]


class Policy(msgspec.Struct, kw_only=True):
    """What a policy grants; null restricts nothing, and an empty list grants nothing.

    Without `groups` it is for everybody. `session` and `budget` are as the settings have them, and
    `claude_code` are managed settings.
    """

    number: int
    groups: Sequence[str] | None
    models: Sequence[str] | None
    providers: Sequence[str] | None
    allow_byok: bool
    rate_limit: int | None
    max_concurrency: int | None
    mcp_servers: Sequence[str] | None
    claude_code: dict[str, Any] | None
    session: dict[str, Any] | None
    budget: dict[str, Any] | None


class Policies(msgspec.Struct, kw_only=True):
    """The policies in force, in the order in which they are tried; without any, all is granted."""

    results: Sequence[Policy]


class ConsideredPolicy(msgspec.Struct, kw_only=True):
    """Whether a policy is for a person; the first that is counts, and none behind it."""

    number: int
    fits: bool
    counts: bool
    reason: str


class PolicyExplanation(msgspec.Struct, kw_only=True):
    """Which policy counts for a person, and whether it grants a model.

    Without policies all is granted; where none fits, nothing is. `granted_by` is the glob that
    grants the model, null where none is needed.
    """

    username: str
    groups: Sequence[str]
    considered: Sequence[ConsideredPolicy]
    policy: Policy | None
    model: str | None
    model_granted: bool | None
    granted_by: str | None
    verdict: str


class PersonBudget(msgspec.Struct, kw_only=True):
    """A spend limit that counts for a person, or what they spend in a period without one.

    `name` is that of its group, user or token; `limit` null is unlimited. What is `used` was spent
    or is reserved by running requests, and `share` is the part of the limit that it is.
    """

    period: Period
    scope: Scope | None
    name: str | None
    limit: Dollars | None
    used: Dollars
    share: float | None
    resets_at: Moment


class Me(msgspec.Struct, kw_only=True):
    """The caller. `token_id` and `expires_at` are those of what they have signed in with.

    `gateway_url` is where agents reach the gateway, null where only its operator knows.
    `has_policies` says whether there are any: without, all is granted; with them, and where
    `policy` is null, nothing. `users_are` says where users are kept: here, coder or nowhere.
    """

    id: str
    username: str
    email: str | None
    is_admin: bool
    groups: Sequence[str]
    token_id: str | None
    expires_at: Moment | None
    users_are: str
    gateway_url: str | None
    has_policies: bool
    policy: Policy | None
    budgets: Sequence[PersonBudget]


class Refused(msgspec.Struct, kw_only=True):
    """Requests that were refused today for what a person may do, by the error's code."""

    reason: str
    message: str
    count: Count


class LatestRequest(msgspec.Struct, kw_only=True):
    """A request of the caller's own."""

    id: str
    started_at: Moment
    ended_at: Moment | None
    provider: str
    model: str
    client: str
    outcome: str | None
    status_code: int | None
    error_message: str | None


class Latest(msgspec.Struct, kw_only=True):
    """The caller's latest request, and what they were refused today, in UTC."""

    request: LatestRequest | None
    refused: Sequence[Refused]
    at: Moment


def user(found: users.User) -> User:
    """The shape of a user."""
    return User(**asdict(found))


def user_summary(found: users.User, spent_nanos: int) -> UserSummary:
    """The shape of a user, who has spent so much this month."""
    return UserSummary(**asdict(found), spent_this_month=exact_dollars(spent_nanos) or "0")


def user_details(
    found: users.User, spent_nanos: int, sign_ins: Sequence[SignInInfo]
) -> UserDetails:
    """The shape of a user with their sign-ins."""
    return UserDetails(
        **asdict(found),
        spent_this_month=exact_dollars(spent_nanos) or "0",
        sign_ins=[SignIn(**each._asdict()) for each in sign_ins],
    )


def token(found: users.TokenInfo, now: datetime) -> GatewayToken:
    """The shape of a token."""
    return GatewayToken(**_token(found, now))


def created_token(found: users.TokenInfo, now: datetime, secret: str) -> CreatedToken:
    """The shape of a token that was created just now."""
    return CreatedToken(**_token(found, now), token=secret)


def _token(found: users.TokenInfo, now: datetime) -> dict[str, Any]:
    return {**asdict(found), "status": found.status(now), "ends_soon": found.ends_soon(now)}


def group(found: GroupSummary) -> UserGroup:
    """The shape of a group."""
    return UserGroup(**found._asdict())


def latest_request(found: Interception) -> LatestRequest:
    """The shape of an interception, as far as it tells whether a client is set up well."""
    names = LatestRequest.__struct_fields__
    values = {name: getattr(found, name) for name in names if name != "provider"}
    return LatestRequest(**values, provider=found.provider_name)


def policy(number: int, settings: PolicySettings) -> Policy:
    """The shape of a policy."""
    return Policy(number=number, **policy_fields(settings))


def person_budget(found: Budget) -> PersonBudget:
    """The shape of what counts for a person."""
    limit = found.limit
    cents = None if limit is None else limit.cents
    return PersonBudget(
        period=found.period,
        scope=None if limit is None else limit.scope,
        name=found.name,
        limit=None if cents is None else exact_dollars(cents * CENT),
        used=exact_dollars(found.spent.used_nanos) or "0",
        share=share(limit, found.spent),
        resets_at=found.resets_at,
    )
