"""Queries for shell completion: fast, read-only, and of recent records only.

They use the drivers directly: loading SQLAlchemy takes longer than a completion may take. A missing
database isn't created, and none is locked.
"""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

_LOCK_TIMEOUT_S = 0.1
# Bounds the cost of a completion, however long the record is.
_LATELY = """(
    SELECT * FROM aibridge_interceptions WHERE ended_at IS NOT NULL
    ORDER BY started_at DESC LIMIT 1000
) AS lately"""

# Each returns names with their descriptions.
_QUESTIONS: Mapping[str, str] = {
    "users": "SELECT username, name FROM aibridged_users WHERE deleted_at IS NULL ORDER BY 1",
    "groups": "SELECT name, '' FROM aibridged_groups ORDER BY 1",
    "limits": """
        SELECT id, scope_type || ' ' || period FROM aibridged_spend_limits
        ORDER BY created_at DESC LIMIT 1000""",
    "tokens": """
        SELECT tokens.id, username || ' ' || tokens.name
        FROM aibridged_tokens AS tokens JOIN aibridged_users AS users ON users.id = user_id
        WHERE revoked_at IS NULL ORDER BY tokens.created_at DESC LIMIT 1000""",
    "initiators": f"SELECT DISTINCT coalesce(username, initiator_id), '' FROM {_LATELY} ORDER BY 1",
    "providers": f"SELECT DISTINCT provider_name, '' FROM {_LATELY} ORDER BY 1",
    "models": f"SELECT model, min(provider_name) FROM {_LATELY} GROUP BY 1 ORDER BY 1",
    "clients": f"SELECT DISTINCT client, '' FROM {_LATELY} ORDER BY 1",
    "sessions": f"""
        SELECT session_id, coalesce(max(username), max(initiator_id)) || ' ' || max(client)
        FROM {_LATELY} GROUP BY session_id ORDER BY max(started_at) DESC LIMIT 100""",
}


def names(kind: str, state_dir: Path, postgres_url: str | None = None) -> list[tuple[str, str]]:
    """The names of a kind, each with a description, which may be empty.

    Raises whatever the driver raises where the database is missing or unavailable.
    """
    question = _QUESTIONS[kind]
    if postgres_url is not None:
        import psycopg

        # A session that only reads would be refused where the URL asks for one that writes.
        read_only = "-c default_transaction_read_only=on"
        with psycopg.connect(postgres_url, options=read_only, target_session_attrs="any") as server:
            return [(name, about) for name, about in server.execute(question)]
    import sqlite3

    uri = f"file:{quote(str(state_dir / 'aibridged.db'))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT_S)) as file:
        return [(name, about) for name, about in file.execute(question)]
