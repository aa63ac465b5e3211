"""Responses that were recorded before the revision stay their makers'."""

import sqlalchemy as sa
from alembic import command

from aibridged.records import migrations, schema
from aibridged.records.database import database_url, make_engine

_INTERCEPTION = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "initiator_id": "ann",
    "provider": "openai",
    "provider_name": "gpt",
    "model": "m",
    "client": "Unknown",
    "credential_kind": "centralized",
    "credential_hint": "",
    "recorder_id": 1,
}


def _upgraded(engine, revision):
    with engine.begin() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_what_is_recorded_keeps_its_maker(empty, tmp_path, clock):
    engine = make_engine(database_url(tmp_path, empty[1]))
    _upgraded(engine, "0005")
    usages = [f"01890a5d-ac96-774b-bcce-b302099a805{number}" for number in range(4)]
    with engine.begin() as connection:
        interception = sa.insert(schema.interceptions)
        connection.execute(interception, {**_INTERCEPTION, "started_at": clock.wall()})
        for id, response in zip(
            usages, ("resp_1", "resp_1", "msg_1", "resp_" + "x" * 300), strict=True
        ):
            counts = dict.fromkeys(schema.TOKEN_COUNTS, 1)
            connection.execute(
                sa.insert(schema.token_usages),
                {
                    "id": id,
                    "interception_id": _INTERCEPTION["id"],
                    "provider_response_id": response,
                    "created_at": clock.wall(),
                    **counts,
                },
            )
    _upgraded(engine, "head")
    with engine.begin() as connection:
        [row] = connection.execute(sa.select(schema.stored_objects)).mappings()
    assert dict(row) == {
        "provider_name": "gpt",
        "object_id": "resp_1",
        "initiator_id": "ann",
        "interception_id": _INTERCEPTION["id"],
        "is_background": False,
        "created_at": clock.wall(),
        "continuation": None,
    }
