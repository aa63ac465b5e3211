"""First start: creates an admin with a token, or logs how to."""

import getpass

from loguru import logger

from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import IdentityError, nearest_username

_FALLBACK_USERNAME = "admin"
_TOKEN_NAME = "first"

_INTRODUCTION = """\
First start: created the admin {username}.
The token below {end} and is shown only once.
"""
_CLAUDE_CODE = """
Claude Code, in a shell:

    export ANTHROPIC_BASE_URL={base_url}
    export ANTHROPIC_AUTH_TOKEN={token}
"""
_CODEX = """
Codex, in ~/.codex/config.toml:

    model_provider = "aibridge"

    [model_providers.aibridge]
    name = "AI Bridge"
    base_url = "{base_url}"
    env_key = "AIBRIDGE_TOKEN"
    wire_api = "responses"
    supports_websockets = false

and in a shell:

    export AIBRIDGE_TOKEN={token}
"""
_BARE_TOKEN = """
    {token}
"""
_PAGE = """
The web page, where this token signs in: {url}
"""
_MORE = """
For other users: `aibridged users create USERNAME`, then
`aibridged tokens create --user USERNAME`.
"""


def first_run(
    store: TokenStore,
    *,
    terminal: bool,
    anthropic_base_url: str | None,
    openai_base_url: str | None,
    lifetime: float | None = None,
    can_sign_up: bool = False,
    page_url: str | None = None,
) -> str | None:
    """Create the first user and a token if there has never been one; returns a text for a terminal.

    The text contains the token: it goes to the terminal and never into a log. Without a terminal
    nothing is created, and the log says which commands to run. The URLs are the base URLs of the
    clients, or None where the gateway has no such provider. The token is valid for `lifetime`
    seconds, None for ever. `page_url` is where the web page is, if it is served. Where people
    `can_sign_up` by signing in, there is nothing to run.

    Raises:
        StoreUnavailableError: the database failed.
    """
    if not store.is_empty():
        return None
    if not terminal:
        if can_sign_up:
            logger.info("There are no users yet: each person becomes one by signing in")
            return None
        logger.warning(
            "There are no users yet, so the gateway can't be used. Create one with "
            "`aibridged users create USERNAME` and a token with "
            "`aibridged tokens create --user USERNAME`"
        )
        return None
    try:
        user = store.create_user(_own_username(), is_admin=True)
    except IdentityError:
        return None  # another daemon on the same database was first, and has shown its token
    info, secret = store.create_token(user.username, name=_TOKEN_NAME, lifetime=lifetime)
    token, at = secret.reveal(), info.expires_at
    end = "never expires" if at is None else f"expires on {at:%Y-%m-%d %H:%M:%S} UTC"
    parts = [_INTRODUCTION.format(username=user.username, end=end)]
    if anthropic_base_url is not None:
        parts.append(_CLAUDE_CODE.format(base_url=anthropic_base_url, token=token))
    if openai_base_url is not None:
        parts.append(_CODEX.format(base_url=openai_base_url, token=token))
    if len(parts) == 1:
        parts.append(_BARE_TOKEN.format(token=token))
    if page_url is not None:
        parts.append(_PAGE.format(url=page_url))
    return "".join([*parts, _MORE])


def _own_username() -> str:
    try:
        return nearest_username(getpass.getuser()) or _FALLBACK_USERNAME
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return _FALLBACK_USERNAME
