"""A running daemon keeps the partitions of its PostgreSQL database."""

from datetime import UTC, datetime

import sqlalchemy as sa

from aibridged.clock import SystemClock
from aibridged.config.secret import Secret
from tests.waiting import until

DAY_S = 24 * 3600.0
PARENT = "aibridge_interceptions"


async def test_they_are_made_ahead_and_go_when_they_are_too_old(
    start_gateway, postgres_database, clock
):
    year = SystemClock().wall().year + 1
    clock.advance((datetime(year, 6, 10, tzinfo=UTC) - clock.wall()).total_seconds())
    inspect = sa.inspect
    assert f"{PARENT}_earlier" in inspect(postgres_database.engine).get_table_names()
    await start_gateway(
        postgres_url=Secret(postgres_database.url.render_as_string(hide_password=False)),
        state_dir=postgres_database.state_dir,
        retention=60 * DAY_S,
    )

    def is_done():
        names = set(inspect(postgres_database.engine).get_table_names())
        made = {f"{PARENT}_p{year}_06", f"{PARENT}_p{year}_07"} <= names
        return made and f"{PARENT}_earlier" not in names

    await until(is_done)
