"""What `aibridged.yaml(5)` says beyond the table of settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from aibridged.config.providers import COPILOT_PLANS
from tools.manual.prose import Example, Part

_PLANS = ", ".join(f"{plan.name} ({plan.base_url})" for plan in COPILOT_PLANS)

ABOUT: tuple[Part, ...] = (
    "`aibridged serve` and the other commands read their settings from flags, from environment"
    " variables and from one YAML file, set by `--config` or CODER_CONFIG_PATH. There is no "
    "default file, and every setting has a default.",
    "Flags override variables, variables override the file, and the file overrides "
    "the defaults. An empty variable counts as unset."
    " `aibridged check-config` shows each setting with its source, and all mistakes "
    "at once: unknown keys (with the closest match), invalid values, and conflicting "
    "settings.",
    Example(
        "Most files are short:",
        """\
aibridge:
  rate_limit: 5
  circuit_breaker_enabled: true
  providers:
    - type: anthropic
      key_file: /run/credentials/aibridged.service/aibridged_my-key
    - type: openai
      name: local
      base_url: http://127.0.0.1:11434/v1
networking:
  http:
    httpAddress: :4001
""",
    ),
    "Below, keys are written in dotted form:"
    " networking.http.httpAddress is the key httpAddress in the group http of the group"
    " networking. The names are those of `coder server`;"
    " the group ai_gateway is an alias of aibridge.",
)

RELOADING: tuple[Part, ...] = (
    "On SIGHUP (`systemctl reload aibridged`, or `kill -HUP`) the daemon reloads "
    "this file and the files with secrets, without interrupting requests. Settings "
    "that require a restart are marked below; the log names those that changed. If "
    "the file has a mistake, nothing changes: the old settings stay in effect, and "
    "the log says what is wrong and where.",
)

SECRETS: tuple[Part, ...] = (
    "Keys and passwords are not allowed in this file. Each has a variable, and a "
    "second one with the suffix _FILE for the path of a file that contains it; "
    "surrounding whitespace is ignored. If neither is set, the daemon looks for a "
    "systemd credential: each file in /etc/aibridged/credentials is one, and the "
    "service sees it as"
    " /run/credentials/aibridged.service/aibridged_NAME.",
)


@dataclass(frozen=True)
class ListProse:
    """What a list of entries is for, what its fields mean, and an example in variables."""

    about: str
    fields: Mapping[str, str]
    variables: str


# By the key of the list.
LISTS: Mapping[str, ListProse] = {
    "providers": ListProse(
        about="By default, the providers are anthropic and openai, with the keys and URLs of "
        "the settings below, and GitHub Copilot's plans:"
        f" {_PLANS}. This list replaces them; the settings below, if set, add theirs.",
        fields={
            "type": "API type: `anthropic`, `openai` or `copilot`.",
            "name": "Name, and first segment of its path. Lower-case letters, digits and single "
            "dashes; defaults to the type.",
            "key": "The organisation's API key. Prefer key_file, which keeps it out of this "
            "file. Without a key, users bring their own (BYOK), or the server requires none. "
            "Not allowed for GitHub Copilot, whose users bring their own.",
            "key_file": "Path of a file that contains the key.",
            "base_url": "Base URL; defaults to that of the type.",
            "keepalive_timeout": "Time that an idle connection to this provider is kept, in place "
            "of --aibridge-upstream-keepalive-timeout; 0 is not at all.",
            "stream_options": "Whether the usage of Chat Completions streams is asked for, for the "
            "record, where the client doesn't ask: auto (the default) until the provider refuses "
            "the field, always, or never.",
        },
        variables="""\
CODER_AIBRIDGE_PROVIDER_0_TYPE=openai
CODER_AIBRIDGE_PROVIDER_0_NAME=local
CODER_AIBRIDGE_PROVIDER_0_BASE_URL=http://127.0.0.1:11434/v1
CODER_AIBRIDGE_PROVIDER_0_KEY_FILE=/etc/aibridged/local-key
""",
    ),
    "mcp_servers": ListProse(
        about="Servers whose tools are offered to the models; the gateway runs the tools that "
        "a model calls. Tools are named bmcp_ID_TOOL.",
        fields={
            "id": "Short name, part of the names of its tools.",
            "url": "Streamable HTTP endpoint.",
            "token": "Bearer token for the server. Prefer token_file, which keeps it out of this "
            "file.",
            "token_file": "Path of a file that contains the token.",
            "headers": "Additional request headers, as a mapping.",
            "tool_allow_regex": "Allowlist: only tools whose names match are offered.",
            "tool_deny_regex": "Denylist: takes precedence over the allowlist.",
            "user_credentials": "Whether users' own tokens replace the server's: `none`, "
            "`optional`, or `required` (tools are only offered to users with a token).",
        },
        variables="""\
CODER_AIBRIDGE_MCP_SERVER_0_ID=docs
CODER_AIBRIDGE_MCP_SERVER_0_URL=https://mcp.example.com/mcp
CODER_AIBRIDGE_MCP_SERVER_0_TOKEN_FILE=/etc/aibridged/docs-token
CODER_AIBRIDGE_MCP_SERVER_0_TOOL_ALLOW_REGEX=^(search|read)_
""",
    ),
    "policies": ListProse(
        about="What people may use, by their groups: the first policy that has one of them counts. "
        "Without policies everything is granted; with them, nothing to those whom none fits. A "
        "field that is left out restricts nothing, and an empty list grants nothing.",
        fields={
            "groups": "Groups that it is for; without this field it is for everybody, and has to "
            "be the last one.",
            "models": "Names of models: `*` stands for any text, `?` for any character.",
            "providers": "Names of providers.",
            "allow_byok": "Whether keys of their own are allowed, where --aibridge-allow-byok "
            "allows them; default `true`.",
            "rate_limit": "Maximum number of requests per second per person, beside "
            "--aibridge-rate-limit.",
            "max_concurrency": "Maximum number of concurrent requests per person.",
            "mcp_servers": "Ids of the MCP servers whose tools are offered.",
            "claude_code": "Managed settings for Claude Code, which asks for them when it has "
            "signed in.",
            "session": "When a session of an agent has run away, and the `action` then: `warn` "
            "(default) or `end`. Limits are `max_cost` (dollars), `max_requests`, "
            "`repeated_calls` (default 30), `compactions` (default 4) and `tokens_per_minute`; 0 "
            "switches one of the last three off.",
            "budget": "What is done before a spend limit is reached, by the share that is used: "
            "from `warn_at` on a header warns, and from `switch_at` on another model is asked by "
            "`models`, a mapping from globs to models.",
        },
        variables="""\
CODER_AIBRIDGE_POLICY_0_GROUPS=contractors
CODER_AIBRIDGE_POLICY_0_MODELS=claude-haiku-*,gpt-5.4-nano
CODER_AIBRIDGE_POLICY_0_CLAUDE_CODE={"model":"haiku"}
CODER_AIBRIDGE_POLICY_1_MODELS=*
""",
    ),
    "prices": ListProse(
        about="What models cost by contract, in place of the table of public prices that "
        "`aibridged prices list` shows. The first entry that fits the provider and the model, and "
        "has begun, counts. A rate that it leaves out is the table's, times its multiplier; those "
        "of the cache keep their proportion to the input's.",
        fields={
            "provider": "Name of a provider; all, if it is left out.",
            "model": "Names of models: `*` stands for any text, `?` for any character; all, if it "
            "is left out.",
            "input": "Dollars per million tokens that a model is given, without the cache's.",
            "output": "Dollars per million tokens that it generates, reasoning included.",
            "cache_read": "Dollars per million tokens read from the cache.",
            "cache_write_5m": "Dollars per million tokens written to the cache, for 5 minutes or "
            "where there is one kind.",
            "cache_write_1h": "Dollars per million tokens written to the cache for an hour.",
            "web_search": "Dollars per thousand searches by the provider's tool.",
            "multiplier": "Factor for the table's rates.",
            "from": "Day from which the entry counts, in UTC.",
        },
        variables="""\
CODER_AIBRIDGE_PRICE_0_PROVIDER=anthropic
CODER_AIBRIDGE_PRICE_0_MODEL=claude-opus-4-8*
CODER_AIBRIDGE_PRICE_0_INPUT=4.5
CODER_AIBRIDGE_PRICE_0_OUTPUT=22.5
CODER_AIBRIDGE_PRICE_1_PROVIDER=openai
CODER_AIBRIDGE_PRICE_1_MULTIPLIER=0.85
""",
    ),
    "telemetry": ListProse(
        about="OTLP receivers to which telemetry is relayed that agents send to the gateway's "
        "/v1/metrics, /v1/logs and /v1/traces, with the user's identity as resource attributes.",
        fields={
            "url": "Base URL; the path of the signal is appended.",
            "headers": "Request headers, such as a key, as a mapping. Prefer headers_file, which "
            "keeps them out of this file.",
            "headers_file": "Path of a file that contains the headers, one `Name: value` a line.",
            "signals": "Which of metrics, logs and traces are relayed; defaults to all.",
        },
        variables="""\
CODER_AIBRIDGE_TELEMETRY_0_URL=https://otlp.example.com
CODER_AIBRIDGE_TELEMETRY_0_HEADERS_FILE=/etc/aibridged/otlp-headers
CODER_AIBRIDGE_TELEMETRY_0_SIGNALS=metrics,logs
""",
    ),
}

VALUES: Mapping[str, str] = {
    "BOOL": "`true`, `t` or `1`; `false`, `f` or `0`."
    " As a flag: `--verbose`, `--verbose=false`, `--no-verbose`.",
    "BYTES": "A number of bytes, or one with a unit: `1048576`, `512KiB`, `32MiB`, `1GiB`.",
    "DATE": "A day, such as `2026-01-31`.",
    "DIR": "A directory; `~` is the home directory.",
    "DOLLARS": "An amount such as `2.50` or `0.0875`, with at most 9 decimals.",
    "DURATION": "Numbers with units, such as `500ms`, `10s`, `1m30s`, `12h` or `60d`; or `0`."
    " A number other than 0 requires a unit.",
    "GLOB": "A name in which `*` stands for any text, and `?` for any character.",
    "HOST:PORT": "An address to listen on: `127.0.0.1:4001`, `[::1]:4001`,"
    " or `:4001` for every interface.",
    "HEADERS": "In the file, a mapping of names to values;"
    " in a variable `X-Team: core, X-Stage: live`.",
    "ID": "Lower-case letters, digits and single dashes.",
    "INT": "An integer.",
    "JSON": "In the file, a mapping; as a flag or variable, a JSON object such as"
    ' `{"name": "value"}`.',
    "KEY": "A secret: visible ASCII, without spaces.",
    "LIST": "In the file, a YAML list; as a flag or variable, comma-separated items. A flag "
    "may also be repeated.",
    "MAPPING": "In the file, a mapping of values of any type; in a variable, a JSON object.",
    "NAME": "Lower-case letters, digits and single dashes.",
    "NUMBER": "A number such as `0.85`, with at most 9 decimals.",
    "PATH": "A file.",
    "REGEX": "A Python regular expression.",
    "TEXT": "Any text.",
    "URL": "An http or https URL, without a user, a password, a query or a fragment,"
    " unless stated otherwise.",
}

FILES: Mapping[str, str] = {
    "/etc/aibridged/aibridged.yaml": "The conventional path, used by the packaged service.",
}

SEE_ALSO = (
    "aibridged(1)",
    "aibridged-check-config(1)",
    "aibridged-sample-config(1)",
    "aibridged-serve(1)",
)
