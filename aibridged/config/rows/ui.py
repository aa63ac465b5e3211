"""Settings of the web page."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

from dataclasses import dataclass

from aibridged.config import kinds
from aibridged.config.declare import Group, option
from aibridged.config.kinds import Address


@dataclass(frozen=True, init=False, repr=False, eq=False)
class UiRows:
    """Rows of `options.Settings`."""

    ui_enabled: str = option(
        "aibridge-ui-enabled",
        yaml="aibridge.ui_enabled",
        kind=kinds.UI_ENABLED,
        default="auto",
        group=Group.LISTENING,
        help="Web page under /ui; auto is where the gateway listens on loopback alone.",
        restart=True,
    )
    ui_address: Address | None = option(
        "aibridge-ui-address",
        yaml="aibridge.ui_address",
        kind=kinds.OPTIONAL_ADDRESS,
        default="",
        group=Group.LISTENING,
        help="Listen address of the web page alone, which the gateway's then doesn't serve.",
        restart=True,
    )
