"""What is running, by provider, model and route."""

from aibridged.observe.running import Running

ONE, OTHER = ("openai", "m", "/v1/responses"), ("openai", "n", "/v1/responses")


def test_each_is_counted_until_it_ends():
    running = Running()
    running.began(ONE)
    running.began(OTHER)
    running.began(ONE)
    assert running.counts == {ONE: 2, OTHER: 1}
    running.ended(ONE)
    running.ended(OTHER)
    assert running.counts == {ONE: 1}, "names that callers invent don't stay"
