"""Names of tools as the model sees them: bmcp_ID_TOOL."""

import hashlib
import re

MAX_NAME = 64
"""Characters that the providers allow in a tool's name."""

_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_-]", re.ASCII)
_DIGEST = 8  # hexadecimal digits


def model_name(server_id: str, tool: str) -> str:
    """The tool's name for the model: `bmcp_<server>_<tool>`, matching `^[a-zA-Z0-9_-]{1,64}$`.

    A name that isn't allowed, or too long, is changed and cut, and gets a digest of the original,
    so that no two collide. As a server's id has no underscore, neither do two servers' names.
    """
    name = f"bmcp_{server_id}_{_NOT_ALLOWED.sub('_', tool)}"
    if len(name) <= MAX_NAME and name.endswith(f"_{tool}"):
        return name
    digest = hashlib.sha256(tool.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGEST]
    return f"{name[: MAX_NAME - 1 - _DIGEST]}_{digest}"
