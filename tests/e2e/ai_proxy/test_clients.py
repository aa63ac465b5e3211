"""Real clients, given nothing but HTTPS_PROXY and the CA."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from aibridged.records import schema
from aibridged.records.database import database_url, make_engine

ANTHROPIC_SDK = """
import anthropic
client = anthropic.Anthropic(max_retries=0)
asked = dict(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
print(client.messages.create(**asked).content[0].text)
with client.messages.stream(**asked) as stream:
    print("".join(stream.text_stream))
"""
OPENAI_SDK = """
import openai
client = openai.OpenAI(max_retries=0)
print(client.responses.create(model="m", input="hi").output_text)
asked = dict(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
print("".join(each.choices[0].delta.content or "" for each in
              client.chat.completions.create(**asked) if each.choices))
"""
NODE = """
const own = process.env.UNDICI;
if (own) {
  const { setGlobalDispatcher, EnvHttpProxyAgent } = require(own);
  setGlobalDispatcher(new EnvHttpProxyAgent());
}
const ask = async (stream) => {
  const answer = await fetch('https://api.anthropic.com/v1/messages', {
    method: 'POST',
    headers: { 'x-api-key': process.env.ANTHROPIC_API_KEY, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'm', max_tokens: 9, stream, messages: [{ role: 'user', content: 'hi' }],
    }),
  });
  const text = await answer.text();
  if (!stream) return console.log(JSON.parse(text).content[0].text);
  const deltas = text.split('\\n').filter((line) => line.includes('text_delta'));
  console.log(deltas.map((line) => JSON.parse(line.slice(6)).delta.text).join(''));
};
ask(false).then(() => ask(true));
"""
SAID = "Hello from the fake provider. You said: hi"


@pytest.fixture
def run_client(proxied) -> Callable:
    """Runs a program with the variables that a client needs, and no others of the kind."""

    async def run(*command: str, **variables: str) -> str:
        trust = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        environ = {
            "PATH": os.environ["PATH"],
            "HTTPS_PROXY": proxied.url,
            "ANTHROPIC_API_KEY": "sk-ant-own",
            "OPENAI_API_KEY": "sk-own",
            **dict.fromkeys(trust, str(proxied.ca)),
            **variables,
        }
        process = await asyncio.create_subprocess_exec(
            *command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out.decode()

    return run


async def records(proxied) -> list[dict]:
    """Who asked and with whose key, once all is recorded."""
    users = proxied.gateway._composition.resources.tokens.list_users()
    names = {user.id: user.username for user in users}
    await proxied.gateway.stop()
    engine = make_engine(database_url(proxied.gateway.settings.state_dir), busy_timeout=1)
    with engine.begin() as connection:
        rows = connection.execute(sa.select(schema.interceptions)).mappings().all()
    engine.dispose()
    return [
        (names[row["initiator_id"]], row["provider_name"], row["credential_kind"]) for row in rows
    ]


def check_nowhere(fake, token: str) -> None:
    for each in fake.requests:
        everything = b"".join(name + value for name, value in each.raw_headers) + each.body
        assert token.encode() not in everything + each.raw_path.encode()


async def test_curl(proxied, fake, run_client, program):
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    out = await run_client(
        program("curl"),
        "--silent",
        "--show-error",
        "--fail",
        "https://api.anthropic.com/v1/messages",
        "--header",
        "X-Api-Key: sk-ant-own",
        "--json",
        json.dumps(asked),
    )
    assert json.loads(out)["content"][0]["text"] == SAID
    assert fake.requests[0].header("X-Api-Key") == "sk-ant-own"
    check_nowhere(fake, proxied.token)
    assert await records(proxied) == [("alice", "anthropic", "byok")]


@pytest.mark.parametrize(
    ("program_text", "provider", "key"),
    [(ANTHROPIC_SDK, "anthropic", "sk-ant-own"), (OPENAI_SDK, "openai", "sk-own")],
    ids=["anthropic", "openai"],
)
async def test_the_official_sdks(proxied, fake, run_client, program_text, provider, key):
    out = await run_client(sys.executable, "-c", program_text)
    assert out.splitlines() == [SAID, SAID]
    for each in fake.requests:
        # Versions of Anthropic's differ in which header they send it in.
        assert {each.header("X-Api-Key"), each.header("Authorization")} & {key, f"Bearer {key}"}
    check_nowhere(fake, proxied.token)
    assert await records(proxied) == [("alice", provider, "byok")] * 2


async def test_an_sdk_that_insists_on_a_key_may_have_the_token_for_one(proxied, fake, run_client):
    out = await run_client(sys.executable, "-c", ANTHROPIC_SDK, ANTHROPIC_API_KEY=proxied.token)
    assert out.splitlines() == [SAID, SAID]
    assert {each.header("X-Api-Key") for each in fake.requests} == {"sk-ant-organisation"}
    check_nowhere(fake, proxied.token)
    assert await records(proxied) == [("alice", "anthropic", "centralized")] * 2


async def test_fetch_of_node(proxied, fake, run_client, node):
    program, variables = node
    out = await run_client(program, "-e", NODE, **variables)
    assert out.splitlines() == [SAID, SAID]
    assert {each.header("X-Api-Key") for each in fake.requests} == {"sk-ant-own"}
    check_nowhere(fake, proxied.token)
    assert await records(proxied) == [("alice", "anthropic", "byok")] * 2


@pytest.fixture
def node(program) -> tuple[str, dict[str, str]]:
    """Node, and what makes its fetch heed HTTPS_PROXY: itself since 22.21, before that undici."""
    found = program("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    major, minor, _ = (int(part) for part in version.stdout.strip().lstrip("v").split("."))
    if (major, minor) >= (24, 5) or (major == 22 and minor >= 21):
        return found, {"NODE_USE_ENV_PROXY": "1"}
    if undici := os.environ.get("AIBRIDGED_UNDICI"):
        return found, {"UNDICI": undici}
    reason = f"NOT TESTED: fetch of node {major}.{minor} needs undici (AIBRIDGED_UNDICI=path)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


async def test_curl_through_a_proxy_with_tls(start_proxied, own_pair, program, tmp_path):
    proxied = await start_proxied(proxy_tls_cert_file=own_pair[0], proxy_tls_key_file=own_pair[1])
    process = await asyncio.create_subprocess_exec(
        program("curl"),
        "--silent",
        "--show-error",
        "--fail",
        "--proxy",
        proxied.url,
        "--proxy-insecure",
        "--cacert",
        str(proxied.ca),
        "https://api.openai.com/v1/models",
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert json.loads(out)["object"] == "list"
