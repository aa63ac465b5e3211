"""Facts are in the journal when a recorder has taken them, prompts within a turn of the loop."""

import asyncio

import pytest

from aibridged.records.journal import Journal
from aibridged.records.journaled import JournaledRecorder
from aibridged.records.stats import RecorderStats


class Made(JournaledRecorder):
    """One that commits nothing."""

    def __init__(self, journal):
        super().__init__(journal, RecorderStats(), "The database")
        self._loop = asyncio.get_running_loop()

    def record(self, *facts, together=True):
        return self._takes(facts, together=together)

    def close(self):
        self._closed = True

    def give_up(self):
        self._leave_to_journal()


@pytest.fixture
async def recorder(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", area_bytes=4096)
    journal.open()
    yield Made(journal)
    journal.close()


async def test_a_prompt_is_written_with_the_others_of_its_turn(recorder, new_facts):
    prompt, usage, call, end = new_facts("one")
    assert recorder.record(prompt)
    assert recorder.record(new_facts("two")[0])
    assert recorder.journal_bytes == 0
    await asyncio.sleep(0)
    both = recorder.journal_bytes
    assert both > 0
    assert recorder.record(prompt, together=False)
    assert both < recorder.journal_bytes < 2 * both
    before = recorder.journal_bytes
    assert recorder.record(usage, call, end)
    assert recorder.journal_bytes > before


async def test_what_comes_after_the_end_is_lost_and_counted(recorder, new_facts, messages):
    prompt, *others = new_facts("one")
    recorder.record(prompt)
    recorder.close()
    await asyncio.sleep(0)
    assert recorder.journal_bytes == 0, "its journal may be another recorder's by now"
    assert not recorder.record(*others)
    assert recorder.stats.records_lost == 3
    assert "3 records arrived after the recorder was closed" in messages()


async def test_what_the_journal_has_no_room_for_is_lost_where_nobody_commits_it(
    recorder, new_facts, messages
):
    while not recorder.unjournaled:
        recorder.record(*new_facts("one"), together=False)
    recorder.give_up()
    assert recorder.stats.records_lost == recorder.stats.lost_at_end == recorder.unjournaled == 4
    assert "The database does not answer" in messages()
    assert "but for 4 records, which are lost" in messages()
