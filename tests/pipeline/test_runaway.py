"""What a request and its response tell of a loop; tests/e2e/test_runaway.py has the whole stage."""

from aibridged.core.runaway import MAX_CALLS
from aibridged.pipeline.runaway import turn_of
from aibridged.wire.facts import RequestFacts, ResponseFacts, TokenUsage, ToolCall

BASH = ToolCall("c1", None, "Bash", '{"command":"make"}', server_side=False, complete=True)
WAIT = ToolCall("c2", None, "write_stdin", '{"session_id":1}', server_side=False, complete=True)
SEARCH = ToolCall("c3", None, "web_search", "{}", server_side=True, complete=True)
CUT = ToolCall("c4", None, "Bash", '{"command":"ma', server_side=False, complete=False)
ASKED = RequestFacts("m", tool_result_ids=("b1", "b2"))


def turn(*calls, asked=ASKED, complete=True, **more):
    answer = ResponseFacts(tool_calls=calls, complete=complete, **more)
    return turn_of(asked, answer, began=7.0, agent="a", cost=5)


def test_calls_and_what_they_answer():
    found = turn(BASH)
    assert (found.began, found.cost, found.agent) == (7.0, 5, hash("a"))
    assert found.answers == [hash("b1"), hash("b2")]
    assert found.calls == turn(BASH).calls
    assert found.calls[0].id == hash("c1")
    assert (found.steered, found.compacts, found.waits) == (False, False, False)


def test_the_same_call_with_other_arguments_is_another():
    other = ToolCall("c1", None, "Bash", '{"command":"ls"}', server_side=False, complete=True)
    renamed = ToolCall("c1", None, "Exec", BASH.arguments, server_side=False, complete=True)
    prints = {turn(call).calls[0].fingerprint for call in (BASH, other, renamed)}
    assert len(prints) == 3


def test_a_call_that_was_cut_is_like_no_other():
    assert turn(CUT).calls[0].fingerprint is None


def test_what_the_provider_runs_is_no_call_of_the_agents():
    assert turn(SEARCH).calls == []
    assert turn(BASH, SEARCH).calls == turn(BASH).calls


def test_only_what_waits_alone_is_waiting():
    assert turn(WAIT).waits
    assert not turn(WAIT, BASH).waits


def test_an_answer_that_broke_off_is_no_turn():
    found = turn(BASH, complete=False, usage=TokenUsage(input=3))
    assert (found.calls, found.answers, found.cost, found.tokens) == ((), (), 5, 3)


def test_a_persons_words_and_compactions():
    assert turn(asked=RequestFacts("m", prompt="hi")).steered
    assert turn(asked=RequestFacts("m", purpose="compaction")).compacts
    assert not turn(asked=RequestFacts("m", purpose="title")).compacts


def test_tokens_of_all_models_but_not_of_the_cache():
    advisor = TokenUsage(input=100, output=10, model="other")
    usage = TokenUsage(input=1, output=2, cache_read=4000, cache_write=8, additional=(advisor,))
    assert turn(usage=usage).tokens == 121


def test_the_results_that_are_looked_at_are_bounded():
    asked = RequestFacts("m", tool_result_ids=tuple(map(str, range(MAX_CALLS + 9))))
    assert turn(asked=asked).answers[-1] == hash(str(MAX_CALLS + 8))
    assert len(turn(asked=asked).answers) == MAX_CALLS
