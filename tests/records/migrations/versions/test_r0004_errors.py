"""The columns of errors are added to rows that are there already, which keep their values."""

import sqlalchemy as sa
from alembic import command

from aibridged.records import migrations
from aibridged.records.database import database_url, make_engine
from aibridged.records.schema import interceptions

ROW = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "initiator_id": "i",
    "provider": "openai",
    "provider_name": "openai",
    "model": "m",
    "client": "c",
    "credential_kind": "centralized",
    "credential_hint": "",
    "recorder_id": 1,
    "outcome": "failed",
    "started_at": "2026-01-01 00:00:00.000000",
}


def test_a_row_from_before_has_no_reason(tmp_path):
    engine = make_engine(database_url(tmp_path))
    with engine.begin() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        columns, marks = ", ".join(ROW), ", ".join(f":{name}" for name in ROW)
        connection.execute(
            sa.text(f"INSERT INTO aibridge_interceptions ({columns}) VALUES ({marks})"), ROW
        )
    migrations.upgrade(engine)
    with engine.begin() as connection:
        row = connection.execute(sa.select(interceptions)).one()
    assert (row.id, row.outcome, row.session_id) == (ROW["id"], "failed", ROW["id"])
    assert (row.error_type, row.error_source, row.error_code, row.error_message) == (None,) * 4
