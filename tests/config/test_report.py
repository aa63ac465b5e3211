"""What an operator reads: exact words, 80 columns, no secret."""

import json
from collections.abc import Callable

from aibridged.config import report
from aibridged.config.resolution import Mistake, Resolution, Source, Value

Resolve = Callable[..., Resolution]


def test_values_mistakes_and_warnings_as_text() -> None:
    resolution = Resolution(
        settings=None,
        values=[
            Value("rate_limit", "Limits", "5", 5, Source("file", "a.yaml:3")),
            Value("max_concurrency", "Limits", "0", 0, Source("default")),
            Value("log_json", "Logging", "", None, Source("default")),
        ],
        warnings=[
            "A long warning that needs to be wrapped since it goes over eighty columns, yes."
        ],
        mistakes=[
            Mistake("CODER_X", "this is wrong", "Mend it."),
            Mistake("a.yaml:3 y", "this is wrong too", "Mend it, but take care, " + "so " * 20),
        ],
    )
    assert (
        report.as_text(resolution)
        == """\
Limits
  rate_limit                         5
      from a.yaml:3
  max_concurrency                    0                             default

Logging
  log_json                           -                             default

Warning: A long warning that needs to be wrapped since it goes over eighty
  columns, yes.

CODER_X: this is wrong.
  → Mend it.

a.yaml:3 y: this is wrong too.
  → Mend it, but take care, so so so so so so so so so so so so so so so so so
    so so so

2 mistakes: nothing can be served."""
    )


def test_the_routes_are_shown_where_there_is_no_mistake(resolve: Resolve) -> None:
    key = "sk-abcdefghijklmnopqrstuvwxyz"
    text = report.as_text(resolve(environ={"CODER_AIBRIDGE_OPENAI_KEY": key}))
    assert text.endswith("""\
Routes
  /anthropic           anthropic, https://api.anthropic.com, no key
  /openai              openai, https://api.openai.com/v1, key sk-a…wxyz
  /copilot             copilot, https://api.individual.githubcopilot.com, no key
  /copilot-business    copilot, https://api.business.githubcopilot.com, no key
  /copilot-enterprise  copilot, https://api.enterprise.githubcopilot.com, no key

Outgoing requests
  directly: anthropic, openai, copilot, copilot-business, copilot-enterprise""")
    assert key not in text


def test_nothing_is_wider_than_a_terminal(resolve: Resolve) -> None:
    assert max(map(len, report.as_text(resolve()).splitlines())) <= 80


def test_data_is_json(resolve: Resolve) -> None:
    good = report.as_data(resolve({"--aibridge-rate-limit": "5"}))
    assert json.loads(json.dumps(good)) == good
    assert good["valid"] is True
    assert good["mistakes"] == []
    assert {
        "name": "rate_limit",
        "value": 5,
        "source": {"kind": "flag", "name": "--aibridge-rate-limit"},
    } in good["settings"]
    assert good["providers"][0] == {
        "route": "/anthropic",
        "type": "anthropic",
        "base_url": "https://api.anthropic.com",
        "key": None,
        "proxy": None,
    }
    bad = report.as_data(resolve({"--aibridge-rate-limit": "x"}))
    assert bad["valid"] is False
    assert bad["providers"] == []
    assert bad["mistakes"] == [
        {
            "where": "--aibridge-rate-limit",
            "what": "'x' is not an integer",
            "remedy": "Correct or remove it: the default is 0.",
        }
    ]
