"""`aibridged db`, as an operator types it."""

import sqlite3

import pytest


@pytest.fixture
def state(tmp_path):
    return {"CODER_STATE_DIR": str(tmp_path / "state")}


def test_a_fresh_database_is_checked_upgraded_and_checked(run, state):
    (where,) = state.values()
    said = f"Using the database {where}/aibridged.db (CODER_STATE_DIR).\n"
    checked = run("db", "check", environ=state)
    assert (checked.returncode, checked.stdout) == (1, "")
    assert f"There is no database at {where}/aibridged.db" in checked.stderr
    upgraded = run("db", "upgrade", environ=state)
    assert (upgraded.returncode, upgraded.stderr) == (0, said)
    assert upgraded.stdout.startswith("Upgraded the schema from nothing to ")
    for command in ("upgrade", "check"):
        again = run("db", command, environ=state)
        assert (again.returncode, again.stderr) == (0, said)
        assert again.stdout.startswith("The schema is current: ")


def test_prune_deletes_what_is_older_than_it_is_told(run, state, tmp_path):
    run("db", "upgrade", environ=state)
    with sqlite3.connect(tmp_path / "state" / "aibridged.db") as database:
        columns = [
            (name, kind)
            for _, name, kind, required, default, _ in database.execute(
                "PRAGMA table_info(aibridge_interceptions)"
            )
            if required and default is None
        ]
        for number, year in enumerate((2001, 2002, 9999)):
            values = [
                f"{year}-01-01 00:00:00.000000" if name.endswith("_at") else str(number)
                for name, _ in columns
            ]
            names = [name for name, _ in columns]
            if "ended_at" not in names:
                names, values = [*names, "ended_at"], [*values, f"{year}-01-01 00:00:00.000000"]
            marks = ", ".join("?" for _ in values)
            database.execute(
                f"INSERT INTO aibridge_interceptions ({', '.join(names)}) VALUES ({marks})", values
            )
    database.close()
    pruned = run("db", "prune", "--older-than", "30d", environ=state)
    assert (pruned.returncode, pruned.stdout) == (0, "Pruned 2 interceptions.\n")
    assert run("db", "prune", environ=state).stdout == "Pruned 0 interceptions.\n"


def test_nothing_is_pruned_where_everything_is_kept(run, state):
    pruned = run(
        "db", "prune", "--aibridge-retention", "0", "--aibridge-audit-retention", "0", environ=state
    )
    assert pruned.returncode == 1
    assert "kept forever" in pruned.stderr


def test_mistakes_are_sentences(run, state, tmp_path):
    (tmp_path / "file").touch()
    elsewhere = run("db", "check", "--state-dir", str(tmp_path / "file" / "x"))
    assert elsewhere.returncode == 1
    assert "--state-dir" in elsewhere.stderr
    wrong = run("db", "prune", "--older-than", "soon", environ=state)
    assert wrong.returncode == 2
    assert "soon" in wrong.stderr
    unreachable = run("db", "check", environ={"CODER_PG_CONNECTION_URL": "mysql://x"} | state)
    assert unreachable.returncode == 1
    assert "postgres://" in unreachable.stderr
