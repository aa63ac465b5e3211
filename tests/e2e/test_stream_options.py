"""Providers that refuse to be asked for a stream's usage, which their client never asked for."""

import gzip
import json

import msgspec
import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import FakeProvider, Script

CHAT = "/openai/v1/chat/completions"
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
FORBIDDEN = b'{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}'
UNRECOGNIZED = b'{"error":{"message":"Unrecognized request argument supplied: stream_options"}}'
REFUSALS = {
    "422": Script(status=422, body=FORBIDDEN),
    "422 without a word": Script(status=422, body=b"{}"),
    "400": Script(status=400, body=UNRECOGNIZED),
    "400 in gzip": Script(status=400, body=UNRECOGNIZED, gzip=True),
    "400 in brotli": Script(status=400, body=b"\x0b", headers=(("content-encoding", "br"),)),
}
OTHER = Script(status=400, body=b'{"error":{"message":"The context is too long."}}')


class Choosy(FakeProvider):
    """Refuses `stream_options` as `refusal` says, unless `model` is another one."""

    def __init__(self):
        super().__init__(choose=self._choice)
        self.refusal = REFUSALS["422"]
        self.model = None
        self.blocking = False

    def _choice(self, received):
        asked = received.json()
        its_model = self.model in (None, asked["model"])
        if its_model and "stream_options" in asked:
            return self.refusal
        return Script(body=b'{"choices":[]}') if self.blocking else None


@pytest.fixture
async def fake():
    provider = Choosy()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
def post(client):
    async def post(gateway, body=BODY, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        async with client.post(gateway.url + CHAT, data=data, headers=headers) as response:
            return response.status, await response.read()

    return post


def asked(fake):
    """Of each request, whether it had the field."""
    return ["stream_options" in request.json() for request in fake.requests]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_the_request_is_sent_again_as_it_came_and_usage_is_unknown(
    recording, fake, post, refusal
):
    fake.refusal = REFUSALS[refusal]
    gateway = await recording.start()
    for _ in range(2):
        status, stream = await post(gateway)
        assert status == 200
        assert stream.endswith(b"data: [DONE]\n\n")
    assert asked(fake) == [True, False, False]
    assert fake.requests[1].body == json.dumps(BODY).encode()
    rows = await recording.rows()
    assert [row["aibridge_token_usages"] for row in rows] == [[], []]
    assert [row["interception"]["usage_partial"] for row in rows] == [True, True]
    assert [row["interception"]["outcome"] for row in rows] == ["completed"] * 2


@pytest.mark.parametrize(
    "sent",
    [
        b'{ "model" : "m","stream":true, "stream_options" : null ,"messages":[] }',
        b'{"model":"m","stream_options":{"include_usage":false,"x":1e2},"stream":true}',
        b'{"messages":[{"role":"user","content":"%b"}],"model":"m","stream":true}'
        % (b"x" * 99_999),
    ],
    ids=["null", "options of its own", "large"],
)
async def test_it_is_the_clients_to_the_last_byte(start_gateway, fake, post, sent):
    gateway = await start_gateway()
    fake.play(Script(status=422, body=FORBIDDEN))
    assert (await post(gateway, sent))[0] in (200, 422)
    assert fake.requests[1].body == sent
    fake.play(Script(status=422, body=FORBIDDEN))
    await post(gateway, gzip.compress(sent.replace(b'"m"', b'"n"')), **{"Content-Encoding": "gzip"})
    assert fake.requests[-1].body == sent.replace(b'"m"', b'"n"')


async def test_other_refusals_are_relayed_and_nothing_is_concluded(start_gateway, fake, post):
    gateway = await start_gateway()
    fake.refusal = None
    fake.play(OTHER, msgspec.structs.replace(OTHER, gzip=True))
    assert await post(gateway) == (400, OTHER.body)
    status, body = await post(gateway)
    assert (status, gzip.decompress(body)) == (400, OTHER.body)
    assert (await post(gateway))[0] == 200
    assert asked(fake) == [True] * 3


async def test_nothing_is_concluded_where_it_was_read_as_no_stream(start_gateway, fake, post):
    """Servers differ in what counts where a field is there twice, in another case."""
    gateway = await start_gateway()
    fake.blocking = True
    for _ in range(2):
        assert (await post(gateway, {**BODY, "Stream": False}))[0] == 200
    assert asked(fake) == [True, False, True, False]


async def test_a_request_that_is_wrong_in_itself_says_so(start_gateway, fake, post):
    """422 without a word is sent again, and what comes then is the client's."""
    gateway = await start_gateway()
    fake.refusal = None
    fake.play(Script(status=422, body=b"{}"), Script(status=422, body=b'{"detail":"no model m"}'))
    assert await post(gateway) == (422, b'{"detail":"no model m"}')
    assert (await post(gateway))[0] == 200
    assert asked(fake) == [True, False, True]


async def test_another_model_is_asked_all_the_same_and_after_a_day_the_same_one(
    start_gateway, fake, post, clock
):
    fake.model = "m"
    gateway = await start_gateway()
    assert (await post(gateway))[0] == 200
    assert (await post(gateway, {**BODY, "model": "n"}))[0] == 200
    assert asked(fake) == [True, False, True]
    clock.advance(86_399)
    assert (await post(gateway))[0] == 200
    clock.advance(1)
    assert (await post(gateway))[0] == 200
    assert asked(fake)[3:] == [False, True, False]


async def test_a_client_that_asks_itself_is_told(start_gateway, fake, post):
    gateway = await start_gateway()
    body = {**BODY, "stream_options": {"include_usage": True}}
    assert await post(gateway, body) == (422, FORBIDDEN)
    assert fake.seen == 1


@pytest.mark.parametrize(
    ("mode", "status", "expected"),
    [("always", 422, [True]), ("never", 200, [False])],
)
async def test_a_setting_per_provider(start_gateway, fake, post, mode, status, expected):
    url = f"{fake.base_url}/v1"
    provider = ProviderSettings("openai", "openai", Secret("k"), url, stream_options=mode)
    gateway = await start_gateway(providers=(provider,))
    assert (await post(gateway))[0] == status
    assert asked(fake) == expected


async def test_the_breaker_counts_no_refusal(start_gateway, fake, post):
    gateway = await start_gateway(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
    assert (await post(gateway))[0] == 200
    assert (await post(gateway))[0] == 200


async def test_a_refusal_that_does_not_end_is_not_waited_for(
    start_gateway, fake, post, monkeypatch
):
    monkeypatch.setattr("aibridged.pipeline.stream_options._ERROR_S", 0.05)
    gateway = await start_gateway(upstream_idle_timeout=0.2)
    fake.play(Script(status=400, stream=(b'{"error":', b"x"), stall_after=1))
    with pytest.raises(Exception, match=r"payload|Connection|chunk"):
        await post(gateway)
    assert asked(fake) == [True]
