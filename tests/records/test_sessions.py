"""Sessions in a list: on SQLite and on PostgreSQL."""

from datetime import timedelta

from aibridged.records.answers import Filter

ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"


def test_sessions_are_told_apart_by_their_owner(query, add, clock):
    add(client_session_id="same", initiator_id=ANN, username="ann")
    clock.advance(5)
    add(client_session_id="same", initiator_id=BOB, username="bob")
    clock.advance(5)
    add(client_session_id="same", initiator_id=ANN, username="ann")
    latest, other = query.sessions(Filter())
    assert (latest.session_id, latest.username, latest.interceptions) == ("same", "ann", 2)
    assert latest.last_at - latest.started_at == timedelta(seconds=10)
    assert (other.username, other.interceptions) == ("bob", 1)
    assert len(list(query.session("same"))) == 3
    assert len(list(query.session("same", BOB))) == 1


def test_a_session_tells_what_its_interceptions_come_to(query, add, clock):
    add(client_session_id="s", model="small", input=1, output=2, read=3, call="call_1")
    clock.advance(10)
    add(client_session_id="s", model="big", provider_name="azure", tool_result_ids=("call_1",))
    clock.advance(10)
    last = clock.wall()
    add(client_session_id="s", model="big", input=0, output=0)
    add(client_session_id="other")
    session = next(each for each in query.sessions(Filter()) if each.session_id == "s")
    assert (session.interceptions, session.threads) == (3, 2)
    assert session.providers == ["anthropic", "azure"]
    assert session.models == ["big", "small"]
    assert session.last_prompt == "prompt of big"
    assert (session.input_tokens, session.output_tokens) == (11, 7)
    assert (session.cache_read_input_tokens, session.cache_write_input_tokens) == (3, 0)
    assert session.ended_at == session.last_at == last
    assert query.count_sessions(Filter()) == 2


def test_a_session_goes_on_while_one_of_its_interceptions_is_open(query, add):
    add(client_session_id="s")
    add(client_session_id="s", ended=False)
    assert next(query.sessions(Filter())).ended_at is None


def test_a_session_without_tokens_or_prompts(query, store, new_start):
    store.write([new_start(client_session_id="s")], [])
    (session,) = query.sessions(Filter())
    assert (session.last_prompt, session.input_tokens, session.threads) == (None, 0, 1)


def test_what_does_not_match_does_not_count(query, add):
    add(client_session_id="s", model="a", input=1)
    add(client_session_id="s", model="b", input=10)
    add(client_session_id="t", model="b")
    (session,) = query.sessions(Filter(model="a"))
    assert (session.interceptions, session.models, session.input_tokens) == (1, ["a"], 1)
    assert query.count_sessions(Filter(model="a")) == 1
    assert list(query.sessions(Filter(model="a", owner=BOB))) == []
