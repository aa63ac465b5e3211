"""Applies settings and system limits to the client connection limits."""

from loguru import logger

from aibridged.config.options import Settings
from aibridged.core.room import Room, requests_that_fit
from aibridged.observe import descriptors


def limit_idle(room: Room, settings: Settings) -> None:
    """Bound the idle connections as the settings say."""
    room.limit_idle(
        settings.max_idle_connections,
        settings.max_idle_connections_per_address,
        settings.proxy_trusted_origins,
    )


def fit(room: Room, settings: Settings) -> None:
    """Make as many places as descriptors are left, once all that is always open is open."""
    room.places, room.surplus = requests_that_fit(descriptors.limit(), descriptors.in_use())
    limit_idle(room, settings)


def announce_room(room: Room) -> None:
    """Say how many requests fit."""
    logger.info(
        "The limit of {} file descriptors allows {} concurrent requests",
        descriptors.limit(),
        room.places,
    )
