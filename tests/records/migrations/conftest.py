"""Databases without any table."""

import pytest

from aibridged.records.database import database_url, make_engine


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request, tmp_path):
    """The URL of a database without any table."""
    if request.param == "sqlite":
        return str(tmp_path), None
    url = request.getfixturevalue("postgres_url")
    engine = make_engine(database_url(tmp_path, url))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return str(tmp_path), url
