import asyncio
import io
import os
import stat
import threading

import aiohttp
import pytest

from aibridged.config.options import ProviderSettings
from aibridged.config.secret import Secret
from aibridged.fake_provider import Script
from aibridged.pipeline import dump_writer
from aibridged.pipeline.dump import BODY_LIMIT
from aibridged.pipeline.dump_writer import DumpWriter

PATH = "/anthropic/v1/messages"
BODY = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
CANARY = "canary-token-5f1c"


async def dumped(gateway, folder):
    """The pairs of files, oldest first: (request, response); the last may still be written."""
    await gateway.stop()
    names = sorted(path.name.removesuffix(".req.txt") for path in folder.glob("*.req.txt"))
    return [
        ((folder / f"{name}.req.txt").read_bytes(), (folder / f"{name}.resp.txt").read_bytes())
        for name in names
    ]


async def test_a_pair_of_private_files_a_request_in_a_folder_a_provider(
    start_gateway, fake, client, tmp_path
):
    gateway = await start_gateway(dump_dir=tmp_path / "dumps", shutdown_timeout=5.0)
    async with client.post(
        f"{gateway.url}{PATH}?beta=true", data=BODY, headers={"X-Api-Key": CANARY}
    ) as response:
        body = await response.read()
    folder = tmp_path / "dumps" / "anthropic"
    [(request, reply)] = await dumped(gateway, folder)
    assert request.startswith(b"POST /v1/messages?beta=true HTTP/1.1\n")
    assert b"\nX-Api-Key: [redacted]\n" in request
    assert request.endswith(b"\n\n" + BODY)
    assert reply.startswith(b"HTTP/1.1 200 OK\n")
    assert reply.endswith(b"\n\n" + body)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_secrets_are_blanked_wherever_they_stand(start_gateway, fake, client, tmp_path):
    gateway = await start_gateway(dump_dir=tmp_path, shutdown_timeout=5.0)
    fake.play(
        Script(
            body=f"you sent {CANARY} and sk-ant-organisation and sk-own".encode(),
            headers=(("X-Echo", CANARY), ("Set-Cookie", "a=b")),
        )
    )
    async with client.post(
        gateway.url + PATH,
        data=f'{{"model":"{CANARY}"}}',
        headers={"X-Coder-Token": CANARY, "Authorization": "Bearer sk-own"},
    ) as response:
        assert CANARY in await response.text()  # the relay itself changes nothing
    for pair in await dumped(gateway, tmp_path / "anthropic"):
        for text in pair:
            for secret in (CANARY, "sk-own", "a=b"):
                assert secret.encode() not in text


SECRET = "s3cr3t-of-someone"
OTHERS = (
    "Api-Key", "x-goog-api-key", "Ocp-Apim-Subscription-Key", "X-Auth-Token", "PRIVATE-TOKEN",
    "X-Amz-Security-Token", "X-Client-Secret", "Cf-Access-Jwt-Assertion", "X-Signature",
)  # fmt: skip


async def test_whatever_is_named_like_a_credential_is_blanked(
    start_gateway, fake, client, tmp_path
):
    """In either direction, in headers and in the parameters of URLs."""
    gateway = await start_gateway(dump_dir=tmp_path, shutdown_timeout=5.0)
    headers = dict.fromkeys(OTHERS, SECRET)
    location = f"https://storage.example/a?X-Amz-Signature={SECRET}&b=c"
    fake.play(Script(headers=(*headers.items(), ("Location", location), ("X-Kept", "yes"))))
    query = f"beta=true&key={SECRET}&api_key={SECRET}&%61ccess_token={SECRET}&sig={SECRET}"
    async with client.post(
        f"{gateway.url}{PATH}?{query}",
        data=BODY,
        headers={**headers, "Referer": f"https://example/?token={SECRET}", "X-Kept": "yes"},
    ) as response:
        assert response.headers["Location"] == location  # the relay itself changes nothing
    assert fake.requests[-1].all("Api-Key") == [SECRET]
    [(request, reply)] = await dumped(gateway, tmp_path / "anthropic")
    for text in (request, reply):
        assert SECRET.encode() not in text
        assert b"\nX-Kept: yes\n" in text
        for name in OTHERS:
            assert f"\n{name}: [redacted]\n".encode() in text
    assert request.startswith(b"POST /v1/messages?beta=true&key=[redacted]&api_key=[redacted]&")


async def test_every_folder_that_is_made_is_private_whatever_the_umask(
    start_gateway, client, tmp_path
):
    gateway = await start_gateway(dump_dir=tmp_path / "a" / "b", shutdown_timeout=5.0)
    before = os.umask(0)
    try:
        async with client.post(gateway.url + PATH, data=BODY) as response:
            await response.read()
        await gateway.stop()
    finally:
        os.umask(before)
    for made in ("a", "a/b", "a/b/anthropic"):
        assert stat.S_IMODE((tmp_path / made).stat().st_mode) == 0o700


async def test_no_dump_goes_through_a_symbolic_link(start_gateway, client, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps" / "anthropic").symlink_to(tmp_path / "elsewhere")
    gateway = await start_gateway(dump_dir=tmp_path / "dumps", shutdown_timeout=5.0)
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 200
    await gateway.stop()
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_bodies_are_cut_at_the_limit_and_say_so(start_gateway, fake, client, tmp_path):
    gateway = await start_gateway(dump_dir=tmp_path, shutdown_timeout=5.0)
    large = BODY_LIMIT + 100
    fake.play(Script(stream=(b"y" * (large // 2),) * 2))
    async with client.post(gateway.url + PATH, data=io.BytesIO(BODY + b" " * large)) as response:
        assert len(await response.read()) == large // 2 * 2
    [(request, reply)] = await dumped(gateway, tmp_path / "anthropic")
    assert request.endswith(f"[{large + len(BODY)} bytes in all, cut here]\n".encode())
    assert reply.endswith(f"[{large // 2 * 2} bytes in all, cut here]\n".encode())
    assert b"\n\n" + b"y" * BODY_LIMIT + b"\n[" in reply


async def dumped_error(gateway, folder):
    """What the one request without a response has left: its dump, and the reason."""
    await gateway.stop()
    request, reason = sorted(folder.iterdir())
    assert request.name.endswith(".req.txt")
    assert reason.name.endswith(".req_error.txt")
    return request.read_bytes(), reason.read_text()


async def test_a_request_without_an_answer_leaves_the_reason(start_gateway, fake, client, tmp_path):
    gateway = await start_gateway(dump_dir=tmp_path, shutdown_timeout=5.0)
    fake.play(Script(close=True))
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 502
    request, reason = await dumped_error(gateway, tmp_path / "anthropic")
    assert request.startswith(b"POST")
    assert reason == "it closed the connection without a response\n"


async def test_a_provider_that_is_unreachable_leaves_the_reason(
    start_gateway, client, tmp_path, unused_tcp_port
):
    base = f"http://127.0.0.1:{unused_tcp_port}"
    gateway = await start_gateway(
        dump_dir=tmp_path,
        shutdown_timeout=5.0,
        providers=(ProviderSettings("anthropic", "anthropic", Secret("sk-organisation"), base),),
    )
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 502
    _, reason = await dumped_error(gateway, tmp_path / "anthropic")
    assert reason == "connection refused\n"


async def test_a_response_that_breaks_off_leaves_the_reason_beside_it(
    start_gateway, fake, client, tmp_path
):
    gateway = await start_gateway(dump_dir=tmp_path, shutdown_timeout=5.0)
    fake.play(Script(body=b"x" * 1000, cut_after=500))
    with pytest.raises(aiohttp.ClientError):
        async with client.post(gateway.url + PATH, data=BODY) as response:
            await response.read()
    folder = tmp_path / "anthropic"
    [(_, reply)] = await dumped(gateway, folder)
    assert reply.endswith(b"\n\n" + b"x" * 500)
    [reason] = folder.glob("*.req_error.txt")
    why = "it closed the connection within its response"
    assert reason.read_text() == f"The provider aborted its response: {why}\n"


@pytest.fixture
def stuck_disk(monkeypatch):
    """A disk on which nothing is written until the event is set."""
    works = threading.Event()
    write = dump_writer._write

    def stuck(path, files):
        works.wait(10)
        write(path, files)

    monkeypatch.setattr(dump_writer, "_write", stuck)
    return works


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_client_that_leaves_at_once_gets_the_outcome_that_it_was_told(
    recording, fake, raw, tmp_path, stuck_disk
):
    """However long the dump takes."""
    gateway = await recording.start(dump_dir=tmp_path)
    fake.play(Script(status=529))
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n\r\n"
    reader, writer = await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":"))
    writer.write(head.encode() + BODY)
    assert (await reader.read(1000)).startswith(b"HTTP/1.1 529")
    writer.transport.abort()
    await gateway.components.in_flight.idle()
    stuck_disk.set()
    [row] = await recording.rows()
    assert row["interception"]["outcome"] == "failed"
    assert row["interception"]["status_code"] == 529
    assert len(list((tmp_path / "anthropic").iterdir())) == 2


async def test_dumps_that_the_disk_does_not_take_are_dropped_beyond_a_bound(
    start_gateway, client, tmp_path, stuck_disk, monkeypatch
):
    monkeypatch.setattr(DumpWriter.__init__, "__defaults__", (5000,))
    gateway = await start_gateway(dump_dir=tmp_path, shutdown_timeout=5.0)
    for _ in range(10):
        async with client.post(gateway.url + PATH, data=BODY + b" " * 1000) as response:
            assert response.status == 200
    stuck_disk.set()
    await gateway.stop()
    written = len(list((tmp_path / "anthropic").glob("*.req.txt")))
    assert 0 < written < 5


async def test_a_folder_that_cannot_be_written_harms_no_request(
    start_gateway, fake, client, tmp_path
):
    (tmp_path / "file").touch()
    gateway = await start_gateway(dump_dir=tmp_path / "file", shutdown_timeout=5.0)
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 200
