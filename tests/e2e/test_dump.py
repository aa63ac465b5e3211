import io
import os
import stat

from aibridged.fake_provider import Script
from aibridged.pipeline.dump import BODY_LIMIT

PATH = "/anthropic/v1/messages"
BODY = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
CANARY = "canary-token-5f1c"


async def dumped(gateway, folder):
    """The pairs of files, oldest first: (request, response); the last may still be written."""
    await gateway.stop()
    names = sorted(name.removesuffix(".req.txt") for name in os.listdir(folder) if "req" in name)
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


async def test_a_request_without_an_answer_is_dumped_too(start_gateway, fake, client, tmp_path):
    gateway = await start_gateway(dump_dir=tmp_path, shutdown_timeout=5.0)
    fake.play(Script(close=True))
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 502
    [(request, reply)] = await dumped(gateway, tmp_path / "anthropic")
    assert request.startswith(b"POST")
    assert reply == b""


async def test_a_folder_that_cannot_be_written_harms_no_request(
    start_gateway, fake, client, tmp_path
):
    (tmp_path / "file").touch()
    gateway = await start_gateway(dump_dir=tmp_path / "file", shutdown_timeout=5.0)
    async with client.post(gateway.url + PATH, data=BODY) as response:
        assert response.status == 200
