"""A device's side of signing in: each clause of the OAuth endpoints, over sockets."""

import asyncio
import re
from urllib.parse import urlsplit

from aibridged.sign_in import forms
from aibridged.sign_in.forms import MAX_BYTES

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
LETTERS = "[BCDFGHJKLMNPQRSTVWXZ]{4}"
OAUTH = ("/oauth/device_authorization", "/oauth/token", "/oauth/revoke")


def is_refused(reply, status, error):
    assert (reply.status, reply.json["error"]) == (status, error), reply.text
    assert set(reply.json) == {"error", "error_description"}
    assert reply.headers["Cache-Control"] == "no-store"


async def test_no_response_names_the_libraries(gateway, browser):
    for path in ("/device", "/oauth/callback", "/oauth/token", "/api/v2/users/me"):
        assert (await browser.get(path)).headers["Server"] == "aibridged", path


async def test_the_metadata_names_the_endpoints_on_one_origin(gateway):
    reply = await gateway.get("/.well-known/oauth-authorization-server")
    assert reply.status == 200
    found = reply.json
    assert found["issuer"] == gateway.url
    ends = [
        found.pop(f"{name}_endpoint") for name in ("device_authorization", "token", "revocation")
    ]
    assert ends == [gateway.url + path for path in OAUTH]
    assert found["grant_types_supported"] == [DEVICE_CODE, "refresh_token"]
    assert found["response_types_supported"] == []
    assert found["token_endpoint_auth_methods_supported"] == ["none"]
    assert found["gateway_protocol_version"] == 1
    assert "authorization_endpoint" not in found


async def test_a_device_gets_codes_without_saying_who_it_is(gateway):
    for form in (None, {"surface": "claude_code"}, {"client_id": "x", "scope": "y", "new": "z"}):
        reply = await gateway.post("/oauth/device_authorization", form)
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "no-store"
        codes = reply.json
        assert set(codes) == {
            "device_code",
            "user_code",
            "verification_uri",
            "verification_uri_complete",
            "expires_in",
            "interval",
        }
        assert len(codes["device_code"]) * 6 >= 256
        assert re.fullmatch(
            "[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"]
        )
        assert codes["verification_uri"] == f"{gateway.url}/device"
        complete = f"{gateway.url}/device?user_code={codes['user_code']}"
        assert codes["verification_uri_complete"] == complete
        assert (codes["expires_in"], codes["interval"]) == (600, 5)


async def test_a_device_waits_for_its_user_and_gets_tokens_once(gateway, browser, clock, fake):
    codes = await gateway.start()
    is_refused(await gateway.poll(codes), 400, "authorization_pending")
    is_refused(await gateway.poll(codes), 400, "slow_down")
    clock.advance(6)
    is_refused(await gateway.poll(codes), 400, "slow_down")
    clock.advance(15)
    is_refused(await gateway.poll(codes), 400, "authorization_pending")
    page = await browser.confirm(codes["user_code"], "ann")
    assert "You're signed in" in page.shown
    reply = await gateway.poll(codes)
    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "no-store"
    tokens = reply.json
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["email"] == "ann@example.com"
    assert (await gateway.models(tokens)).status == 200
    is_refused(await gateway.poll(codes), 400, "invalid_grant")


async def test_a_bearer_is_good_for_the_records_of_its_user(gateway, sign_in):
    tokens = await sign_in()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    reply = await gateway.get("/api/v2/aibridge/interceptions", headers=headers)
    assert reply.status == 200


async def test_a_refused_device_is_told(gateway, browser):
    codes = await gateway.start()
    page = await browser.answer(codes["user_code"], "no")
    assert "Device refused" in page.shown
    is_refused(await gateway.poll(codes), 400, "access_denied")


async def test_a_code_expires(gateway, clock):
    codes = await gateway.start()
    clock.advance(600)
    is_refused(await gateway.poll(codes), 400, "expired_token")


async def test_errors_are_oauths(gateway):
    token = "/oauth/token"
    for path, form, status, error in (
        (token, {}, 400, "invalid_request"),
        (token, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (token, {"grant_type": DEVICE_CODE}, 400, "invalid_request"),
        (token, {"grant_type": DEVICE_CODE, "device_code": "x"}, 400, "invalid_grant"),
        (token, {"grant_type": "refresh_token"}, 400, "invalid_request"),
        (token, {"grant_type": "refresh_token", "refresh_token": "x"}, 401, "invalid_grant"),
        ("/oauth/revoke", {}, 400, "invalid_request"),
        (token, {"grant_type": "x" * MAX_BYTES}, 413, "invalid_request"),
        ("/oauth/device_authorization", {"x": "x" * MAX_BYTES}, 413, "invalid_request"),
    ):
        reply = await gateway.post(path, form)
        is_refused(reply, status, error)
        assert reply.headers.get("X-Should-Retry") == ("false" if status == 401 else None)


async def test_a_form_that_trickles_in_is_given_up(gateway, monkeypatch):
    """However little of it comes at a time."""
    monkeypatch.setattr(forms, "READ_TIMEOUT_S", 0.1)
    for path, shape in (("/oauth/token", b'"error":"invalid_request"'), ("/device", b"<h1>")):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(gateway.url).port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 8000\r\n\r\n"
        writer.write(head.encode())

        async def trickle(writer=writer):
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.01)

        trickling = asyncio.get_running_loop().create_task(trickle())
        async with asyncio.timeout(5):
            assert b" 408 " in await reader.readline()
            assert shape in await reader.readuntil(shape)
        trickling.cancel()
        writer.close()


async def test_other_methods_are_told_which_one_is_right(gateway):
    for path in OAUTH:
        reply = await gateway.get(path)
        is_refused(reply, 405, "invalid_request")
        assert reply.headers["Allow"] == "POST"


async def test_everything_else_answers_as_anthropic_does(gateway):
    for path in ("/device", "/oauth/callback", "/.well-known/oauth-authorization-server"):
        reply = await gateway.post(path) if path != "/device" else await gateway.get("/oauth/x")
        assert reply.json["type"] == "error", path


async def test_revoking_either_token_signs_out_at_once(gateway, sign_in):
    for name, hint in (
        ("access_token", {}),
        ("refresh_token", {}),
        ("refresh_token", {"token_type_hint": "refresh_token"}),
    ):
        tokens = await sign_in()
        assert (await gateway.models(tokens)).status == 200  # it is remembered from now on
        reply = await gateway.post("/oauth/revoke", {"token": tokens[name], **hint})
        assert (reply.status, reply.json) == (200, {})
        is_refused(await gateway.refresh(tokens), 401, "invalid_grant")
        refused = await gateway.models(tokens)
        assert refused.status == 401
        assert refused.headers["X-Should-Retry"] == "false"
        again = await gateway.post("/oauth/revoke", {"token": tokens[name]})
        assert (again.status, again.json) == (200, {})


async def test_revoking_tells_nothing_about_a_token(gateway, sign_in, store):
    """Nor does it touch a token that signing in hasn't issued."""
    await sign_in()
    _, own = store.create_token("ann", name="laptop", lifetime=None)
    for token in (own.reveal(), "aib_0123456789_" + "x" * 43, "air_0123456789_" + "x" * 43, "x"):
        reply = await gateway.post("/oauth/revoke", {"token": token})
        assert (reply.status, reply.json) == (200, {})
    assert (await gateway.models({"access_token": own.reveal()})).status == 200


async def test_a_bearer_expires(gateway, sign_in, clock):
    tokens = await sign_in()
    clock.advance(3600)
    refused = await gateway.models(tokens)
    assert refused.status == 401
    assert refused.headers["X-Should-Retry"] == "false"


async def test_the_addresses_are_the_settings_whatever_the_request_says(gateway):
    headers = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com"}
    reply = await gateway.post("/oauth/device_authorization", headers=headers)
    assert reply.json["verification_uri"] == f"{gateway.url}/device"
    reply = await gateway.get("/.well-known/oauth-authorization-server", headers=headers)
    assert urlsplit(reply.json["token_endpoint"]).hostname == "127.0.0.1"


async def test_without_an_issuer_there_is_no_signing_in(signing_in):
    gateway = await signing_in(oidc_issuer_url="")
    for path in ("/device", "/.well-known/oauth-authorization-server"):
        assert (await gateway.get(path)).status == 404


async def test_no_secret_is_logged(gateway, browser, log):
    codes = await gateway.start()
    left = await browser.answer(codes["user_code"])
    back = await browser.at_provider(left.headers["Location"], "ann")
    await browser.get(back)
    tokens = (await gateway.poll(codes)).json
    tokens = {**tokens, **(await gateway.refresh(tokens)).json}
    await gateway.get(f"/device?user_code={tokens['refresh_token']}")
    await gateway.post("/oauth/revoke", {"token": tokens["refresh_token"]})
    text = "".join(log)
    assert "ann signed in" in text
    secrets = [codes["device_code"], codes["user_code"], tokens["access_token"]]
    secrets += [tokens["refresh_token"], *browser.cookies.values()]
    secrets += re.findall(r"(?:code|state)=([^&]+)", back)
    assert len(secrets) > 6
    for secret in secrets:
        # A token without its prefix and id; others may have a _ anywhere.
        assert (
            secret.rpartition("_")[2] if secret.startswith(("aib_", "air_")) else secret
        ) not in text
