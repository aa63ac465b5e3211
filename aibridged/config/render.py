"""Renders the table of settings as help, sample file and documentation."""

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

from aibridged.config.declare import Group, Option
from aibridged.config.kinds import items
from aibridged.config.options import OPTIONS

_WIDTH = 80
_SAMPLE_HEADER = """\
Settings of aibridged. Flags and environment variables override this file.
Start with `aibridged serve --config FILE`, or name it in CODER_CONFIG_PATH.
`aibridged check-config` shows what is in effect, and what is wrong.
Keys are not kept here: set CODER_AIBRIDGE_ANTHROPIC_KEY, or
CODER_AIBRIDGE_ANTHROPIC_KEY_FILE to a file that holds it.
"""
_SAMPLE_LISTS = """\
# The providers, in place of those that are there without a list:
# anthropic, openai, copilot, copilot-business and copilot-enterprise.
# Each is served under /NAME; its base_url is its type's default where it
# is left out. GitHub Copilot has no key here: its users bring their own.
# The same in variables: CODER_AIBRIDGE_PROVIDER_0_TYPE, _NAME, _KEY or
# _KEY_FILE, _BASE_URL.
#providers:
#  - type: openai
#    name: local
#    base_url: http://127.0.0.1:8000/v1
#    key_file: /run/credentials/aibridged.service/aibridged_local-key
#  - type: copilot
#    name: copilot-business
#    base_url: https://api.business.githubcopilot.com
# MCP servers whose tools the models are offered, as bmcp_ID_TOOL. The
# expressions are searched for in the tools' names; deny wins over allow.
# user_credentials: each user's own token (`aibridged users mcp-token`)
# is not asked for, goes before the server's, or is required. Variables:
# CODER_AIBRIDGE_MCP_SERVER_0_ID, _URL, _TOKEN or _TOKEN_FILE, _HEADERS,
# _TOOL_ALLOW_REGEX, _TOOL_DENY_REGEX, _USER_CREDENTIALS.
#mcp_servers:
#  - id: docs
#    url: https://mcp.example.com/mcp
#    token_file: /run/credentials/aibridged.service/aibridged_docs-token
#    headers: {X-Team: core}
#    tool_allow_regex: ^(search|read)_
#    tool_deny_regex: _private$
#    user_credentials: optional
# What people may use, by their groups: the first policy that has one of
# them counts, and one without groups is for everybody. Without policies
# everything is granted; with them, nothing to those whom none fits. A
# field that is left out restricts nothing. Variables:
# CODER_AIBRIDGE_POLICY_0_GROUPS, _MODELS, and so on.
#policies:
#  - groups: [contractors]
#    models: [claude-haiku-*, gpt-5.4-nano]
#    providers: [anthropic, openai]
#    allow_byok: false
#    rate_limit: 2
#    max_concurrency: 4
#    mcp_servers: [docs]
#    claude_code: {model: haiku}
#    session: {action: end, max_cost: 25}
#    budget: {warn_at: 80%}
#  - models: ["*"]
# Where telemetry that agents send (OTLP over HTTP) is relayed to: the
# path of the signal, such as /v1/metrics, is appended to the url.
# headers_file has lines like "Authorization: Bearer KEY". Variables:
# CODER_AIBRIDGE_TELEMETRY_0_URL, _HEADERS or _HEADERS_FILE, _SIGNALS.
#telemetry:
#  - url: https://otlp.example.com
#    headers_file: /run/credentials/aibridged.service/aibridged_otlp
#    signals: [metrics, logs]
# What models cost by contract, instead of the table that is installed
# (`aibridged prices list`): the first entry that fits and has begun
# counts. In dollars per million tokens, web_search per thousand
# searches. What an entry leaves out is the table's, times its
# multiplier; the cache keeps its proportion to the input. Variables:
# CODER_AIBRIDGE_PRICE_0_PROVIDER, _MODEL, _INPUT, and so on.
#prices:
#  - provider: anthropic
#    model: claude-opus-4-8*
#    input: 4.5
#    output: 22.5
#    cache_read: 0.45
#    cache_write_5m: 5.625
#    cache_write_1h: 9
#    web_search: 10
#    from: 2026-01-01
#  - provider: openai
#    multiplier: 0.85
"""


def grouped() -> Iterator[tuple[Group, list[Option]]]:
    """The settings by group, in the order of the table."""
    for group, options in groupby(OPTIONS, key=lambda option: option.group):
        yield group, list(options)


def facts(option: Option, *, of_daemon: bool = True) -> str:
    """Help's facts beside the sentence: the variable, the default, and if a restart is needed."""
    default = f"default {option.default}" if option.default else "not set"
    restart = "; requires a restart" if option.restart and of_daemon else ""
    return f"{option.env}, {default}{restart}"


def example_yaml(width: int) -> str:
    """The sample with every setting enabled, without its header."""
    _, _, settings = sample_yaml(width).partition("\n\n")
    return re.sub(r"^( *)#(?=\S|  )", r"\1", settings, flags=re.MULTILINE)


def sample_yaml(width: int = _WIDTH) -> str:
    """Every setting that a file can contain, commented out, with its default.

    A comment is `# text`, a setting `#key: value`: removing the one character enables it.
    """
    lines = ["# " + line for line in _SAMPLE_HEADER.splitlines()]
    rows = sorted(
        (option for option in OPTIONS if option.yaml), key=lambda option: _groups(option.yaml)
    )
    open_groups: list[str] = []
    for option in rows:
        *groups, key = (option.yaml or "").split(".")
        if groups != open_groups:
            lines += _close(open_groups)
            lines += _headings(open_groups, groups)
            open_groups = groups
        indent = "  " * len(groups)
        restart = " A change requires a restart." if option.restart else ""
        lines += _comment(f"{option.help} ({option.env}){restart}", indent, width)
        lines.append(f"{indent}#{key}: {_yaml_default(option)}")
    return "\n".join([*lines, *_close(open_groups), ""])


def markdown_table() -> str:
    """The settings for docs/settings.md: a setting's three names, its default, its help."""
    lines = ["| flag, variable, YAML key | default | what it does |", "| --- | --- | --- |"]
    for group, options in grouped():
        lines.append(f"| **{group}** | | |")
        for option in options:
            names = [option.flag, option.env, *([option.yaml] if option.yaml else [])]
            shown = "<br>".join(f"`{name}`" for name in names)
            default = f"`{option.default}`" if option.default else ""
            lines.append(f"| {shown} | {default} | {_escaped(option.help)} |")
    return "\n".join(lines) + "\n"


def _groups(yaml: str | None) -> list[str]:
    return (yaml or "").split(".")[:-1]


def _headings(before: list[str], groups: list[str]) -> Iterator[str]:
    """The lines that open the groups that aren't open yet."""
    common = 0
    while common < min(len(before), len(groups)) and before[common] == groups[common]:
        common += 1
    for depth, name in enumerate(groups[common:], start=common):
        if depth == 0:
            yield ""
        yield f"{'  ' * depth}{name}:"


def _close(groups: list[str]) -> list[str]:
    """Close the group; lists aren't rows of the table."""
    if groups != ["aibridge"]:
        return []
    return textwrap.indent(_SAMPLE_LISTS, "  ").splitlines()


def _comment(text: str, indent: str, width: int) -> list[str]:
    start = f"{indent}# "
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _yaml_default(option: Option) -> str:
    if option.kind.many:
        return f"[{', '.join(items(option.default))}]"
    return option.default or '""'


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
