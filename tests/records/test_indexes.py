"""The indexes are as declared: those of the migrations, compared by name, columns and order."""

import sqlalchemy as sa

from aibridged.records.indexes import INDEXES


def test_the_indexes_are_those_of_the_migrations(database):
    made = sa.inspect(database.engine).get_indexes("aibridge_interceptions")
    assert {each["name"]: each["column_names"] for each in made} == {
        index.name: [column.name for column in index.columns] for index in INDEXES
    }
