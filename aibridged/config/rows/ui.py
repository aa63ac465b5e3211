"""Settings of the web page."""
# option() is this table's way to call dataclasses.field()

from dataclasses import dataclass

from aibridged.config import kinds
from aibridged.config.declare import Group, option


@dataclass(frozen=True)
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
