"""The gateway's key for a provider, where the provider refuses it, or where there is none.

Callers can mend neither, so the operator is told in the log. Of a missing key the caller is told,
too, instead of the provider's complaint about a key that the caller never sent.
"""

from collections.abc import Mapping
from typing import NamedTuple

from loguru import logger

from aibridged.clock import Clock
from aibridged.core.auth import CredentialKind
from aibridged.errors import PROVIDER_KEY_MISSING, GatewayError
from aibridged.pipeline.context import RequestContext

_LOG_EVERY_S = 60.0
RECENT_S = 600.0
"""How long a refusal is told as what is wrong now."""


class KeyRefusal(NamedTuple):
    """That a provider refused the gateway's key: its hint, and the setting that holds it."""

    hint: str
    status: int
    setting: str
    at: float


class KeyRefusals:
    """Logs at intervals, for each provider, that it refuses the gateway's key."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        # By provider: the configuration bounds them.
        self._quiet_until: dict[str, float] = {}
        self._latest: dict[str, KeyRefusal] = {}

    def latest(self) -> Mapping[str, KeyRefusal]:
        """By provider, refusals of the last minutes."""
        since = self._monotonic() - RECENT_S
        return {name: each for name, each in self._latest.items() if each.at >= since}

    def check(self, context: RequestContext, status: int) -> None:
        """Look into a refusal by the provider.

        Raises:
            GatewayError: the gateway has no key for this provider, and the caller sent none.
        """
        provider, credential = context.route.provider, context.credential
        if credential.kind is not CredentialKind.CENTRALIZED:
            return
        if credential.value is not None:
            self._warn(context, status)
        elif provider.takes_key_for(context.route.endpoint):
            raise GatewayError(
                PROVIDER_KEY_MISSING,
                f"The gateway has no key for the provider {provider.name}, which refuses requests "
                f"without one: the operator has to set {provider.key_setting}. With a key of your "
                "own, send it as Authorization: Bearer, and the gateway token as X-Coder-Token.",
            )

    def _warn(self, context: RequestContext, status: int) -> None:
        provider = context.route.provider
        now = self._monotonic()
        refusal = KeyRefusal(context.credential.hint, status, provider.key_setting, now)
        self._latest[provider.name] = refusal
        if now < self._quiet_until.get(provider.name, now):
            return
        self._quiet_until[provider.name] = now + _LOG_EVERY_S
        logger.warning(
            "Provider {} refuses the gateway's key {} with status {}: check {} and what it may do",
            provider.name,
            context.credential.hint,
            status,
            provider.key_setting,
        )
