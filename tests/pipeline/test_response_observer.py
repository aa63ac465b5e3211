"""What a response tells while it passes; tests/e2e looks at the rest through sockets."""

import json

from aibridged.pipeline.response_observer import ResponseObserver
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.facts import WireApi
from aibridged.wire.responses.reader import ResponsesReader

CREATED = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}


def test_the_id_is_told_though_its_event_comes_in_parts(clock):
    told = []
    response = UpstreamResponse(200, b"OK", [], source=None)
    reader = ResponsesReader()
    observer = ResponseObserver(
        WireApi.RESPONSES, response, clock, None, (), reader, on_id=told.append
    )
    event = b"event: response.created\ndata: %b\n\n" % json.dumps(CREATED).encode()
    for part in (event[:40], event[40:]):
        assert not observer.is_settled
        reader.feed(part)
        observer.progress()
    assert told == ["resp_1"]
    assert observer.is_settled
