"""`aibridged prices`, as a person would use it."""

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aibridged.cli.prices import prices
from aibridged.cli.table import width
from aibridged.prices.table import FILE, store
from tests.cli.conftest import TERMINALS

GOLDEN = Path(__file__).parent / "golden" / "tables"
Invoke = Callable[..., Result]
SETTINGS = """\
aibridge:
  prices:
    - {provider: anthropic, model: claude-opus-4-8, input: 4.5, output: 22.5}
    - {provider: anthropic, model: our-own, input: 0, output: 0}
"""


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    monkeypatch.setenv("CODER_CONFIG_PATH", str(tmp_path / "settings.yaml"))
    return lambda *args: CliRunner().invoke(prices(), [*args, "--state-dir", str(tmp_path)])


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Serves a content at a URL; the command has a loop of its own, so this one has a thread."""
    servers = []

    def serve(content: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None: ...

        server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/data.json"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_list_has_own_rates_where_there_are_some(invoke: Invoke) -> None:
    result = invoke("list", "--provider", "anthropic", "--model", "*o*-4-8", "--wide")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:4] == ["MODEL", "PROVIDER", "INPUT", "OUTPUT"]
    [opus] = [line for line in lines if line[0] == "claude-opus-4-8"]
    assert opus[:7] == ["claude-opus-4-8", "anthropic", "4.50", "22.50", "0.45", "5.625", "9.00"]
    assert opus[-1] == "own"
    assert invoke("list", "--model", "our-*").stdout.split("\n")[1].split()[:4] == [
        "our-own",
        "anthropic",
        "0.00",
        "0.00",
    ]


def test_the_list_in_json_has_amounts_as_texts(invoke: Invoke) -> None:
    result = invoke("list", "--provider", "openai", "--model", "gpt-5.4", "-o", "json")
    [found] = json.loads(result.stdout)
    assert found["input"] == "2.5"
    assert found["thousand_web_searches"] == "10"
    assert found["cache_write_1h"] is None


def test_each_table_is_listed_once(invoke: Invoke) -> None:
    """Three plans of Copilot have the same prices."""
    found = json.loads(invoke("list", "-o", "json").stdout)
    assert {each["provider"] for each in found} == {"anthropic", "openai", "copilot"}


def test_a_model_is_shown_with_its_tiers_and_who_says_so(invoke: Invoke) -> None:
    text = invoke("show", "gpt-5.4", "--provider", "openai").stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:4] == [
        "gpt-5.4 at openai",
        "TIER TOKENS INPUT OUTPUT CACHED",
        "standard any 2.50 15.00 0.25",
        "standard >272,000 5.00 22.50 0.50",
    ]
    assert "flex >272,000 2.50 11.25 0.25" in lines
    assert "A thousand web searches: $10.00." in lines
    assert lines[-1].startswith("By gpt-5.4 of openai in genai-prices ")
    assert "newest change 20" in lines[-1]
    own = invoke("show", "claude-opus-4-8", "--provider", "anthropic").stdout
    assert "By aibridge.prices[0] of the settings, over claude-opus-4-8 of anthropic in" in own
    alone = invoke("show", "our-own").stdout
    assert alone.splitlines()[-1] == "By aibridge.prices[1] of the settings."


def test_a_model_in_json(invoke: Invoke) -> None:
    [found] = json.loads(
        invoke("show", "claude-opus-4-8", "--provider", "anthropic", "-o", "json").stdout
    )
    assert (found["own_rate"], found["table_model"]) == (0, "claude-opus-4-8")
    assert found["table_version"].startswith("genai-prices ")
    tiers = [(each["tier"], each["input"], each["is_derived"]) for each in found["prices"]]
    assert tiers == [("standard", "4.5", False), ("batch", "2.25", True), ("fast", "9", True)]


def test_guesses_are_told(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODER_AIBRIDGE_PROVIDER_0_TYPE", "openai")
    monkeypatch.setenv("CODER_AIBRIDGE_PROVIDER_0_NAME", "local")
    monkeypatch.setenv("CODER_AIBRIDGE_PROVIDER_0_BASE_URL", "http://127.0.0.1:8000/v1")
    monkeypatch.delenv("CODER_CONFIG_PATH")
    assert "The table doesn't know the provider's address" in invoke("show", "gpt-5.4").stdout


def test_what_has_no_price_ends_with_1(invoke: Invoke) -> None:
    result = invoke("show", "gpt\x1b[31m", "--provider", "openai")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "gpt�[31m has no price at openai. See `aibridged prices list`, or set one in "
        "aibridge.prices.\n"
    )
    assert invoke("list", "--model", "nothing").stderr == "No model with a price matches.\n"
    assert "there is no provider 'x'; there are anthropic" in str(
        CliRunner().invoke(prices(), ["list", "--provider", "x"], standalone_mode=False).exception
    )


def test_a_table_is_fetched_and_used(
    invoke: Invoke,
    serve: Callable[[bytes], str],
    published: Callable[..., bytes],
    tmp_path: Path,
) -> None:
    url = serve(published(models=1200, variants=1))
    first = invoke("update", "--url", url)
    assert first.exit_code == 0, first.stderr
    assert first.stdout.startswith("Fetched genai-prices sha256:")
    assert "newest change 2099-01-01, fetched 20" in first.stdout
    assert first.stdout.endswith("with 1,200 models.\n")
    assert invoke("update", "--url", url).stdout.startswith("There is no newer table than genai-")
    again = json.loads(invoke("update", "--url", url, "-o", "json").stdout)
    assert (again["new"], again["models"]) == (False, 1200)
    assert "claude-new-7 at anthropic" in invoke("show", "claude-new-7").stdout
    (tmp_path / FILE).write_text("{}")
    broken = invoke("show", "claude-opus-4-8", "--provider", "anthropic")
    assert "4.50" in broken.stdout
    assert "is no table of prices: the installed table is used." in broken.stderr


def test_a_table_that_is_not_taken_is_told(invoke: Invoke, serve: Callable[[bytes], str]) -> None:
    result = invoke("update", "--url", serve(b"[]"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "The table has no providers. The one in use stays.\n"


def test_a_state_directory_that_is_not_there_is_told(
    serve: Callable[[bytes], str], published: Callable[..., bytes], tmp_path: Path
) -> None:
    url = serve(published(models=1200, variants=1))
    args = ["update", "--url", url, "--state-dir", str(tmp_path / "none")]
    result = CliRunner().invoke(prices(), args)
    assert result.exit_code == 1
    assert f"{tmp_path / 'none'} can't be written: No such file or directory" in result.stderr


@pytest.mark.parametrize("command", ["prices list", "prices show a-model-with-a-long-name-1"])
@pytest.mark.parametrize("columns", TERMINALS)
def test_a_table_is_as_it_was_reviewed(
    on_terminal: Callable[..., str],
    published: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    command: str,
) -> None:
    """To accept a change: AIBRIDGED_WRITE_GOLDEN=1 pytest tests/cli/test_prices.py."""
    tiered = {"base": 2.5, "tiers": [{"start": 272000, "price": 5}]}
    prices = {
        "input_mtok": tiered,
        "output_mtok": 15,
        "cache_read_mtok": 0.0875,
        "cache_write_mtok": 3.125,
        "cache_write_1h_mtok": 5,
        "web_searches_kcount": 10,
    }
    text = published(prices).replace(b"claude-new", b"a-model-with-a-long-name")
    long = b"us.anthropic.claude-opus-with-the-longest-of-all-names-20260101-v1:0"
    store(
        tmp_path,
        text.replace(b"a-model-with-a-long-name-2", long),
        datetime(2026, 1, 31, tzinfo=UTC),
    )
    settings = tmp_path / "settings.yaml"
    settings.write_text("aibridge: {prices: [{provider: anthropic, model: '*-1', input: 2.25}]}")
    args = [*command.split(), "--state-dir", str(tmp_path), "-c", str(settings)]
    shown = on_terminal(columns, *args)
    assert max(map(width, shown.splitlines())) <= columns
    path = GOLDEN / f"{'-'.join(command.split()[:2])}.{columns}.txt"
    if os.environ.get("AIBRIDGED_WRITE_GOLDEN"):
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")
