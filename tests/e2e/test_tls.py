"""The gateway's own TLS."""

import ssl

import aiohttp
import pytest

from aibridged.daemon.gateway import CannotStartError
from tests.tls_files import CERT, KEY


async def test_https_is_served_with_the_certificate_and_http_1_1(start_gateway, fake):
    gateway = await start_gateway(tls_cert_file=CERT, tls_key_file=KEY)
    assert gateway.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=CERT)
    trusting.check_hostname = False
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    async with aiohttp.ClientSession() as client:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with client.post(
            f"{gateway.url}/anthropic/v1/messages", json={**body, "max_tokens": 1}, ssl=trusting
        ) as response:
            assert response.connection.transport.get_extra_info("ssl_object").version() >= "TLSv1.2"
            assert b"message_stop" in await response.read()


async def test_plain_http_is_not_answered_there(start_gateway):
    gateway = await start_gateway(tls_cert_file=CERT, tls_key_file=KEY)
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientError):
            await client.get(gateway.url.replace("https", "http"))


async def test_a_key_that_is_not_the_certificates_is_a_sentence(start_gateway, tmp_path):
    (tmp_path / "key.pem").write_text("not a key")
    with pytest.raises(CannotStartError, match="--tls-key-file"):
        await start_gateway(tls_cert_file=CERT, tls_key_file=tmp_path / "key.pem")
