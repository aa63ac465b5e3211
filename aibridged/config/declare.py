"""Declaration of a setting: one call gives flag, variable, YAML key, kind, default and help."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from aibridged.config import kinds
from aibridged.config.kinds import Kind

T = TypeVar("T")


class Group(StrEnum):
    """The headings under which settings are shown, in this order."""

    GATEWAY = "Gateway"
    PROVIDERS = "Providers"
    LIMITS = "Limits"
    BREAKER = "Circuit breaker"
    MCP = "MCP tools"
    BUDGETS = "Budgets"
    IDENTITY = "Identity"
    RECORDS = "Records"
    SIGN_IN = "Sign-in"
    LISTENING = "Server"
    AI_PROXY = "AI Proxy"
    LOGGING = "Logs and metrics"


@dataclass(frozen=True)
class Option:
    """One row of the table: everything about a setting but its value.

    `alias_env` is the variable of Coder's standalone gateway, where that has another name.
    `fallback_env` is a system-wide variable that applies where nothing else is set. `restart` says
    that a change needs a restart: a reload leaves the value as it was.
    """

    name: str
    flag: str
    env: str
    yaml: str | None
    kind: Kind[Any]
    default: str
    group: Group
    help: str
    alias_env: str | None = None
    fallback_env: str | None = None
    restart: bool = False

    @property
    def secret(self) -> bool:
        return self.kind in (kinds.SECRET, kinds.SECRET_URL, kinds.REDIS_URL, kinds.WEBHOOK_URL)

    @property
    def credential(self) -> str:
        """The name of a secret among systemd's credentials."""
        return self.flag.removeprefix("--").removeprefix("aibridge-")

    @property
    def flags(self) -> tuple[str, ...]:
        """The flag, and the alias with the feature's newer name, if there is one."""
        return _with_alias(self.flag, "--aibridge-", "--ai-gateway-")

    @property
    def envs(self) -> tuple[str, ...]:
        names = _with_alias(self.env, "CODER_AIBRIDGE_", "CODER_AI_GATEWAY_")
        return names if self.alias_env is None else (*names, self.alias_env)

    @property
    def yamls(self) -> tuple[str, ...]:
        if self.yaml is None:
            return ()
        if self.group is Group.AI_PROXY:
            return _with_alias(self.yaml, "aibridgeproxy.", "ai_gateway_proxy.")
        return _with_alias(self.yaml, "aibridge.", "ai_gateway.")


def _with_alias(name: str, prefix: str, alias: str) -> tuple[str, ...]:
    if name.startswith(prefix):
        return name, alias + name.removeprefix(prefix)
    return (name,)


def option(
    flag: str,
    *,
    yaml: str | None,
    kind: Kind[T],
    default: str,
    group: Group,
    help: str,
    env: str | None = None,
    alias_env: str | None = None,
    fallback_env: str | None = None,
    restart: bool = False,
) -> T:
    """Declare a setting; the variable is derived from the flag unless Coder names it otherwise.

    The default is written as an operator would write it.
    """
    row = Option(
        name="",
        flag=f"--{flag}",
        env=env or "CODER_" + flag.replace("-", "_").upper(),
        yaml=yaml,
        kind=kind,
        default=default,
        group=group,
        help=help,
        alias_env=alias_env,
        fallback_env=fallback_env,
        restart=restart,
    )
    return field(default=kind.parse(default), metadata={"option": row})
