"""Several PostgreSQL servers: how a URL names them, and which one is asked."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from aibridged.clock import SystemClock
from aibridged.records.database import database_url, make_engine
from aibridged.records.postgres_servers import Primary, read_url, servers_of


@pytest.mark.parametrize(
    ("written", "servers"),
    [
        ("u:p%40ss@a,b", ["a:5432", "b:5432"]),
        ("u:p%40ss@a:5433,b:5434", ["a:5433", "b:5434"]),
        ("u:p%40ss@a,b:5434", ["a:5432", "b:5434"]),
        ("u:p%40ss@[::1]:5433,[fd00::2]", ["::1:5433", "fd00::2:5432"]),
        ("u:p%40ss@a:5433", ["a:5433"]),
        ("a:5433,b", ["a:5433", "b:5432"]),
    ],
)
def test_they_are_named_as_in_libpqs_urls(written, servers):
    url = read_url(f"postgres://{written}/db?sslmode=require&target_session_attrs=any")
    assert servers_of(url) == servers
    user = ("u", "p@ss") if "@" in written else (None, None)
    assert (url.username, url.password, url.database) == (*user, "db")
    assert (url.query["sslmode"], url.query["target_session_attrs"]) == ("require", "any")


def test_a_password_may_contain_a_comma():
    url = read_url("postgres://u:p,w@a/db")
    assert (url.username, url.password, servers_of(url)) == ("u", "p,w", ["a:5432"])
    url = read_url("postgres://u:p,w:x@a,b/db")
    assert (url.username, url.password, servers_of(url)) == ("u", "p,w:x", ["a:5432", "b:5432"])


@pytest.mark.parametrize(
    ("parameters", "servers"),
    [
        ("host=a,b", ["a:5432", "b:5432"]),
        ("host=a,b&port=5433", ["a:5433", "b:5433"]),
        ("host=/run/a,/run/b&port=5433,5434", ["/run/a:5433", "/run/b:5434"]),
    ],
)
def test_or_by_parameters(parameters, servers):
    assert servers_of(read_url(f"postgres://u@/db?{parameters}")) == servers


@pytest.mark.parametrize("text", ["postgres://a:x,b:5433/db", "postgres://[::1,b/db"])
def test_what_names_none_is_refused(text):
    with pytest.raises(ValueError, match="names of servers"):
        read_url(text)


def test_the_one_that_answered_last_is_asked_first():
    asked, primary = [], "b"

    def connect(host, port, **others):
        asked.append((host, port, others))
        return SimpleNamespace(info=SimpleNamespace(host=primary, port=5433))

    servers = Primary()
    options = {"host": "a,b,c", "port": ",5433,5432", "user": "u"}
    servers.connect(connect, options)
    servers.connect(connect, options)
    primary = "?"
    servers.connect(connect, options)
    servers.connect(connect, options)
    in_order = ("a,b,c", "5432,5433,5432", {"user": "u"})
    the_last_first = ("b,a,c", "5433,5432,5432", {"user": "u"})
    assert asked == [in_order, the_last_first, the_last_first, in_order]


@pytest.mark.parametrize("options", [{"host": "a", "port": 5433}, {"user": "u"}])
def test_a_single_one_is_left_to_the_driver(options):
    assert Primary().connect(dict, options) == options


@pytest.mark.parametrize("parameters", ["", "&target_session_attrs=primary"])
def test_a_server_that_takes_no_writes_is_passed_over(
    parameters, postgres_server, postgres_standby
):
    hosts = f"{postgres_standby.directory},{postgres_server.directory}"
    engine = make_engine(
        database_url(Path(), f"postgres://postgres@/postgres?host={hosts}{parameters}")
    )
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT pg_is_in_recovery()")) is False


def test_one_that_is_gone_without_a_word_is_waited_for_once(postgres_server, postgres_standby):
    """By all that connect to these servers, and for as long as the URL says."""
    hosts = ",".join(str(each.directory) for each in (postgres_standby, *[postgres_server] * 2))
    url = database_url(Path(), f"postgres://postgres@/postgres?host={hosts}&connect_timeout=2")
    now, took = SystemClock().monotonic, []
    with postgres_standby.frozen():
        for _ in range(2):
            began = now()
            with make_engine(url).connect():
                took.append(now() - began)
    assert took[0] >= 2 > took[1]
