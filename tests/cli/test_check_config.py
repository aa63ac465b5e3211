"""`aibridged check-config` as a process."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aibridged.cli import asked_for, build
from aibridged.config import load

Run = Callable[..., subprocess.CompletedProcess[str]]

CANARY = "sk-canary-0123456789-abcdefghijklmnopqrstuvwxyz"


def test_good_settings_with_their_sources(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("ai_gateway:\n  rate_limit: 3\n  max_concurrency: 4\n")
    environ = {"CODER_AIBRIDGE_MAX_CONCURRENCY": "5", "CODER_AIBRIDGE_OPENAI_KEY": CANARY}
    shown = run("check-config", "-c", str(file), "--shutdown-timeout", "90s", environ=environ)
    assert (shown.returncode, shown.stderr) == (0, "")
    for lines in (
        f"  rate_limit                         3\n      from {file}:2\n",
        "  max_concurrency                    5\n      from CODER_AIBRIDGE_MAX_CONCURRENCY\n",
        "  shutdown_timeout                   1m30s\n      from --shutdown-timeout\n",
        "  openai_key                         sk-c…wxyz\n      from CODER_AIBRIDGE_OPENAI_KEY\n",
        "  http_write_timeout                 5m                            default\n",
    ):
        assert lines in shown.stdout


def test_the_same_as_json(run: Run) -> None:
    shown = run("check-config", "--output=json", environ={"CODER_AIBRIDGE_OPENAI_KEY": CANARY})
    data = json.loads(shown.stdout)
    assert (shown.returncode, data["valid"], data["mistakes"]) == (0, True, [])
    assert data["providers"][1]["key"] == "sk-c…wxyz"


def test_mistakes_exit_1_and_serve_uses_the_same_words(run: Run) -> None:
    environ = {"CODER_AIBRIDGE_RATE_LIMIT": "lots", "CODER_AIBRIDGE_ENABLD": "1"}
    words = """\
CODER_AIBRIDGE_RATE_LIMIT: 'lots' is not an integer.
  → Correct or remove it: the default is 0.

CODER_AIBRIDGE_ENABLD: unknown variable.
  → Did you mean CODER_AIBRIDGE_ENABLED?

2 mistakes: nothing can be served.
"""
    checked = run("check-config", environ=environ)
    served = run("serve", environ=environ)
    assert (checked.returncode, served.returncode) == (1, 1)
    assert checked.stdout.endswith("\n\n" + words)
    assert (served.stdout, served.stderr) == ("", words)


@pytest.mark.parametrize(
    "args", [["--nonsense"], ["positional"], ["--output", "xml"], ["--config"]]
)
def test_wrong_usage_exits_2(args: list[str], run: Run) -> None:
    assert run("check-config", *args).returncode == 2


WAYS_TO_LEAK = [
    ([], {"CODER_AIBRIDGE_OPENAI_KEY": CANARY}, ""),
    ([], {"CODER_AIBRIDGE_OPENAI_KEY": f"{CANARY} {CANARY}"}, ""),
    ([], {"CODER_AIBRIDGE_OPENAI_KEY": CANARY, "CODER_AI_GATEWAY_OPENAI_KEY": CANARY + "2"}, ""),
    ([], {"CODER_AIBRIDGE_OPENAI_KY": CANARY}, ""),
    ([], {"CODER_AIBRIDGE_OPENAI_BASE_URL": f"http://user:{CANARY}@x/"}, ""),
    ([], {"CODER_AIBRIDGE_OPENAI_BASE_URL": f"http://x/?key={CANARY}"}, ""),
    ([], {"CODER_AIBRIDGE_PROVIDER_0_TYPE": "openai", "CODER_AIBRIDGE_PROVIDER_0_KEY": CANARY}, ""),
    (["--aibridge-openai-key", CANARY], {}, ""),
    ([f"--ai-gateway-anthropic-key={CANARY}"], {}, ""),
    ([f"--aibridge-openai-ky={CANARY}"], {}, ""),
    ([], {}, f"aibridge:\n  openai_key: {CANARY}\n"),
    ([], {}, f"aibridge:\n  openai_kye: {CANARY}\n"),
    ([], {}, f"aibridge:\n  providers:\n  - type: openai\n    key: {CANARY}\n"),
    ([], {}, f"aibridge:\n  providers:\n  - type: openai\n    key: {CANARY}  - x: y: z\n"),
    ([], {}, f"aibridge: *{CANARY}\n"),
    ([], {}, f"aibridge: '{CANARY}\n"),
]


@pytest.mark.parametrize(("args", "environ", "yaml"), WAYS_TO_LEAK)
def test_no_secret_is_ever_printed(
    args: list[str], environ: dict[str, str], yaml: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml)
    for command in (["check-config"], ["check-config", "--output=json"]):
        shown = CliRunner().invoke(
            build(asked_for(command)),
            [*command, *args],
            env=environ | {"CODER_CONFIG_PATH": str(file)},
        )
        assert shown.output
        assert CANARY not in shown.output
        assert isinstance(shown.exception, SystemExit | None)


def test_no_secret_is_in_what_is_passed_around() -> None:
    resolution = load.resolve({}, {"CODER_AIBRIDGE_OPENAI_KEY": CANARY})
    assert resolution.settings is not None
    assert CANARY not in repr(resolution)
