"""What goes on record of a request before it is sent, beside the start itself."""

from aibridged.pipeline.start_records import prompt_record, start_metadata
from aibridged.records.facts import InterceptionStart
from aibridged.records.schema import MAX_NAME
from aibridged.wire.facts import CutText


def test_metadata_of_a_start():
    assert start_metadata(None, None) == {}
    assert start_metadata("title", "m") == {"purpose": "title", "requested_model": "m"}
    assert len(start_metadata(None, "m" * 9 * MAX_NAME)["requested_model"]) == MAX_NAME


def test_a_prompt_is_of_the_time_of_its_start_and_says_that_it_was_cut(clock):
    start = InterceptionStart(
        id="i",
        initiator_id="u",
        provider="p",
        provider_name="p",
        model="m",
        started_at=clock.wall(),
    )
    record = prompt_record(start, CutText.of("hello", 9000, "ab"))
    assert (record.interception_id, record.created_at) == ("i", clock.wall())
    assert (record.prompt, record.metadata["length"]) == ("hello", 9000)
    assert type(record.prompt) is str
