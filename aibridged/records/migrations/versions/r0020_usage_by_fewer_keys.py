"""Usage by the day and month by fewer keys, of which there are fewer rows."""

from itertools import product

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_TIME = sa.DateTime(timezone=True)
_USER, _PROVIDER = ("initiator_id", "username"), ("provider", "provider_name")
_KEYS = {
    "client": (*_PROVIDER, "client"),
    "model": (*_PROVIDER, "model"),
    "user": _USER,
    "user_model": (*_USER, *_PROVIDER, "model"),
}
_TYPES = {"initiator_id": sa.String(36), "username": sa.Text(), "client": sa.String(64)}
_COUNTS = ("interceptions", "failed")
_SUMS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "cost_nanos",
    "priced",
    "estimated",
    "unpriced",
)


def upgrade() -> None:
    """Make the tables, empty: the daemon fills them, and until then reads the others."""
    for span, (by, keys) in product(("days", "months"), _KEYS.items()):
        of_model = [f"model_{count}" for count in _COUNTS] if "model" in keys else ()
        op.create_table(
            f"aibridged_usage_{span}_by_{by}",
            sa.Column("starts_at", _TIME, primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True),
            *(
                sa.Column(key, _TYPES.get(key, sa.String(256)), nullable=key == "username")
                for key in keys
            ),
            *(
                sa.Column(each, sa.BigInteger, nullable=False)
                for each in (*of_model, *_COUNTS, *_SUMS)
            ),
            sqlite_with_rowid=False,
        )
