"""Applies settings to the running daemon."""

from aibridged.config.options import Settings
from aibridged.config.reloading import CannotReloadError
from aibridged.daemon.gateway import Gateway
from aibridged.daemon.runtime import log_as
from aibridged.observe.logging import CannotLogError
from aibridged.transport.listeners import CannotListenError


def put_in_force(gateway: Gateway, settings: Settings) -> None:
    """Apply settings that need no restart to the gateway and the logging, to both or to neither.

    Raises:
        CannotReloadError: to neither, for the reason in the message.
    """
    before = gateway.settings
    try:
        log_as(settings)
    except CannotLogError as error:
        raise CannotReloadError(str(error)) from None
    try:
        gateway.reconfigure(settings)
    except CannotListenError as error:
        log_as(before)
        raise CannotReloadError(str(error)) from None
