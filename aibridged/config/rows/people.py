"""Settings of authentication, identity and records."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass
from pathlib import Path

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.rates import UNPRICED, Unpriced
from aibridged.config.secret import Secret


@dataclass(frozen=True, init=False, repr=False, eq=False)
class PeopleRows:
    """Rows of `options.Settings`."""

    auth: str = option(
        "aibridge-auth",
        yaml="aibridge.auth",
        kind=kinds.AUTH,
        default="token",
        group=Group.IDENTITY,
        help="Authentication backend: token (own tokens), coder, or none (loopback only).",
        restart=True,
    )
    coder_url: str | None = option(
        "coder-url",
        yaml="aibridge.coder_url",
        kind=kinds.OPTIONAL_URL,
        default="",
        group=Group.IDENTITY,
        help="URL of the Coder deployment that verifies tokens, for --aibridge-auth coder.",
        env="CODER_URL",
        restart=True,
    )
    auth_cache_ttl: float = option(
        "aibridge-auth-cache-ttl",
        yaml="aibridge.auth_cache_ttl",
        kind=kinds.POSITIVE_DURATION,
        default="60s",
        group=Group.IDENTITY,
        help="Cache lifetime of a valid token.",
    )
    auth_cache_bad_ttl: float = option(
        "aibridge-auth-cache-bad-ttl",
        yaml="aibridge.auth_cache_bad_ttl",
        kind=kinds.POSITIVE_DURATION,
        default="10s",
        group=Group.IDENTITY,
        help="Cache lifetime of a rejected token.",
    )
    auth_cache_size: int = option(
        "aibridge-auth-cache-size",
        yaml="aibridge.auth_cache_size",
        kind=kinds.POSITIVE,
        default="10000",
        group=Group.IDENTITY,
        help="Maximum number of valid tokens in the cache, and of rejected ones.",
    )
    revocation_grace: float = option(
        "aibridge-revocation-grace",
        yaml="aibridge.revocation_grace",
        kind=kinds.GRACE,
        default="never",
        group=Group.IDENTITY,
        help="Grace period before running requests of a revoked token are cut off, or never.",
    )
    default_token_lifetime: float = option(
        "default-token-lifetime",
        yaml="defaultTokenLifetime",
        kind=kinds.POSITIVE_DURATION,
        default="30d",
        group=Group.IDENTITY,
        help="Lifetime of a token that is created without one.",
    )
    max_token_lifetime: float = option(
        "max-token-lifetime",
        yaml="networking.http.maxTokenLifetime",
        kind=kinds.POSITIVE_DURATION,
        default="876600h",
        group=Group.IDENTITY,
        help="Maximum lifetime of a token.",
    )
    pool_ttl: float = option(
        "aibridge-pool-ttl",
        yaml="aibridge.pool_ttl",
        kind=kinds.POSITIVE_DURATION,
        default="15m",
        group=Group.IDENTITY,
        help="Maximum lifetime of a cached bridge, including its MCP sessions.",
    )
    pool_max_items: int = option(
        "aibridge-pool-max-items",
        yaml="aibridge.pool_max_items",
        kind=kinds.POSITIVE,
        default="5000",
        group=Group.IDENTITY,
        help="Maximum number of cached bridges.",
    )
    state_dir: Path = option(
        "state-dir",
        yaml="aibridge.state_dir",
        kind=kinds.DIRECTORY,
        default="~/.local/state/aibridged",
        group=Group.RECORDS,
        help="Directory of the database and the spool (defaults to systemd's STATE_DIRECTORY).",
        fallback_env="STATE_DIRECTORY",
        restart=True,
    )
    postgres_url: Secret | None = option(
        "postgres-url",
        yaml=None,
        kind=kinds.SECRET_URL,
        default="",
        group=Group.RECORDS,
        help="URL of a PostgreSQL database for users, tokens and records, instead of SQLite.",
        env="CODER_PG_CONNECTION_URL",
        restart=True,
    )
    retention: float = option(
        "aibridge-retention",
        yaml="aibridge.retention",
        kind=kinds.DURATION,
        default="60d",
        group=Group.RECORDS,
        help="Retention period of interceptions; 0 is forever.",
    )
    prompt_fingerprints: bool = option(
        "aibridge-prompt-fingerprints",
        yaml="aibridge.prompt_fingerprints",
        kind=kinds.BOOL,
        default="false",
        group=Group.RECORDS,
        help="Keyed hashes of each request's blocks, which tell what broke the prompt cache.",
    )
    audit_retention: float = option(
        "aibridge-audit-retention",
        yaml="aibridge.audit_retention",
        kind=kinds.DURATION,
        default="365d",
        group=Group.RECORDS,
        help="Retention period of the audit log; 0 is forever.",
    )
    prompt_access: str = option(
        "aibridge-prompt-access",
        yaml="aibridge.prompt_access",
        kind=kinds.PROMPT_ACCESS,
        default="admins",
        group=Group.RECORDS,
        help="Access to the recorded texts of others: admins, with rows in the audit log, or own.",
    )
    unpriced: Unpriced = option(
        "aibridge-unpriced",
        yaml="aibridge.unpriced",
        kind=UNPRICED,
        default="",
        group=Group.RECORDS,
        help="Policy for models without a price: allow, deny, or a rate in dollars per million "
        "tokens (default: denied to users with a spend limit, allowed to others).",
    )
    max_stored_text: int = option(
        "aibridge-max-stored-text",
        yaml="aibridge.max_stored_text",
        kind=kinds.SIZE,
        default="256KiB",
        group=Group.RECORDS,
        help="Maximum stored size of a prompt, a tool call's arguments or a thought.",
    )
    structured_logging: bool = option(
        "aibridge-structured-logging",
        yaml="aibridge.structured_logging",
        kind=kinds.BOOL,
        default="false",
        group=Group.RECORDS,
        help="JSON log line for every record, including prompts, for a SIEM.",
        restart=True,
    )
