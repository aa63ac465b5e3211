"""What the database tells of the policies: groups without members, and globs that match nothing."""

from collections.abc import Iterator
from dataclasses import replace
from shlex import quote

from aibridged.clock import SystemClock
from aibridged.config.globs import matcher
from aibridged.config.options import Settings
from aibridged.config.resolution import Resolution
from aibridged.core.policies import named_groups
from aibridged.fake_provider.rest_resources import ANTHROPIC_MODELS, OPENAI_MODELS
from aibridged.identity.base import AuthUnavailableError
from aibridged.identity.memberships import Memberships
from aibridged.records.cancel_scope import QueryFailedError
from aibridged.records.database import DatabaseError, Engine
from aibridged.records.open_database import read_database
from aibridged.records.query import Query
from aibridged.records.query_results import Names
from aibridged.records.viewer import NO_TEXTS

_MAX_MODELS = 10_000


def with_policy_findings(resolution: Resolution) -> Resolution:
    """Add hints about the policies; none where the database can't be read."""
    settings = resolution.settings
    if settings is None or not settings.enabled or not settings.policies:
        return resolution
    try:
        engine = read_database(settings)
    except DatabaseError:
        return resolution
    try:
        found = [*_findings(settings, engine)]
    except (DatabaseError, AuthUnavailableError, QueryFailedError):
        found = []
    finally:
        engine.dispose()
    return replace(resolution, warnings=[*resolution.warnings, *found])


def _findings(settings: Settings, engine: Engine) -> Iterator[str]:
    memberships = Memberships(engine)
    members = memberships.with_members() if settings.auth == "token" else None
    missing = memberships.missing(named_groups(settings.policies)) if members is not None else set()
    recorded = Query(engine, SystemClock(), NO_TEXTS).models(Names("", _MAX_MODELS))
    known = [*recorded, *ANTHROPIC_MODELS, *OPENAI_MODELS]
    for number, policy in enumerate(settings.policies, 1):
        for group in policy.groups or ():
            if group in missing and not settings.oidc_issuer_url:  # signing in makes them
                yield (
                    f"Policy {number}: there is no group {group}, so nobody is in it: "
                    f"`aibridged groups create {quote(group)}`."
                )
            elif members is not None and group not in members:
                yield f"Policy {number}: nobody is in the group {group}."
        targets = (target for _, target in policy.budget.models) if policy.budget else ()
        for target in dict.fromkeys(targets):
            if recorded and target not in known:
                yield (
                    f"Policy {number}: its budget switches to {target}, which is no model on "
                    "record so far; check its spelling."
                )
        for glob in policy.models or ():
            # Without a record nothing is known.
            if recorded and not any(map(matcher([glob]), known)):
                yield (
                    f"Policy {number}: {glob} matches no model on record so far; check its "
                    "spelling."
                )
