"""What `aibridged.yaml(5)` says beyond the table of settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from aibridged.config.providers import COPILOT_PLANS
from tools.manual.prose import Example, Part

_PLANS = ", ".join(f"{plan.name} ({plan.base_url})" for plan in COPILOT_PLANS)

ABOUT: tuple[Part, ...] = (
    "`aibridged serve` and the other commands read their settings from flags, from environment"
    " variables and from one YAML file, which `--config` or CODER_CONFIG_PATH names."
    " No file is read unless it is named, and every setting has a default.",
    "A flag outranks a variable, a variable the file, the file the default."
    " A variable that is empty is as good as unset."
    " `aibridged check-config` shows each setting with its source, and all mistakes at once:"
    " unknown keys, with the nearest that is known, values that can't be read,"
    " and settings that don't go together.",
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
    "Below, a key is written with dots between its groups:"
    " networking.http.httpAddress is the key httpAddress in the group http of the group"
    " networking. The names are those of `coder server`;"
    " the group aibridge may also be called ai_gateway.",
)

RELOADING: tuple[Part, ...] = (
    "At SIGHUP the daemon reads this file again, and the files that hold secrets, while requests"
    " go on: `systemctl reload aibridged`, or `kill -HUP`."
    " Where a setting needs a restart, it says so below, and a changed value waits for the restart;"
    " the log names it."
    " A file with a mistake changes nothing: the old settings stay in force,"
    " and the log says what is wrong and where.",
)

SECRETS: tuple[Part, ...] = (
    "Keys and passwords are not kept in this file."
    " Each has a variable, and a second one, with _FILE at its end, that names a file holding it;"
    " blanks and line breaks around it don't count."
    " Where neither is set, the daemon looks among the credentials that systemd hands over:"
    " each file in /etc/aibridged/credentials is one, and the service sees it as"
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
        about="Without this list there are the providers anthropic and openai, with the keys and"
        " URLs of the settings below, and GitHub Copilot's plans:"
        f" {_PLANS}. With it, there are those that it names;"
        " of the settings below, those that are given add theirs.",
        fields={
            "type": "Whose API it speaks: `anthropic`, `openai` or `copilot`.",
            "name": "Its name, and the path that it is served under."
            " Lower-case letters, digits and single dashes; its type where it is left out.",
            "key": "The organisation's key for it. Better is key_file,"
            " which keeps it out of this file."
            " Without a key it serves callers who bring their own, or a server that needs none."
            " GitHub Copilot's is never given here: its users bring their own.",
            "key_file": "A file that holds the key.",
            "base_url": "Where its requests go: its type's default where it is left out.",
        },
        variables="""\
CODER_AIBRIDGE_PROVIDER_0_TYPE=openai
CODER_AIBRIDGE_PROVIDER_0_NAME=local
CODER_AIBRIDGE_PROVIDER_0_BASE_URL=http://127.0.0.1:11434/v1
CODER_AIBRIDGE_PROVIDER_0_KEY_FILE=/etc/aibridged/local-key
""",
    ),
    "mcp_servers": ListProse(
        about="Servers whose tools the models are offered; the gateway runs what a model chooses."
        " A tool is called bmcp_ID_TOOL there.",
        fields={
            "id": "A short name, which the names of its tools hold.",
            "url": "Its streamable HTTP endpoint.",
            "token": "What the gateway shows it, as a bearer token. Better is token_file,"
            " which keeps it out of this file.",
            "token_file": "A file that holds the token.",
            "headers": "Further headers for it, as a mapping.",
            "tool_allow_regex": "Which tools are offered: those in whose names this is found.",
            "tool_deny_regex": "Which are not; this wins.",
            "user_credentials": "Whether a user's own token takes the place of the server's:"
            " `none`, `optional`, or `required`, where nobody else is offered the tools.",
        },
        variables="""\
CODER_AIBRIDGE_MCP_SERVER_0_ID=docs
CODER_AIBRIDGE_MCP_SERVER_0_URL=https://mcp.example.com/mcp
CODER_AIBRIDGE_MCP_SERVER_0_TOKEN_FILE=/etc/aibridged/docs-token
CODER_AIBRIDGE_MCP_SERVER_0_TOOL_ALLOW_REGEX=^(search|read)_
""",
    ),
}

VALUES: Mapping[str, str] = {
    "BOOL": "`true`, `t` or `1`; `false`, `f` or `0`."
    " As a flag: `--verbose`, `--verbose=false`, `--no-verbose`.",
    "BYTES": "A number of bytes, or one with a unit: `1048576`, `512KiB`, `32MiB`, `1GiB`.",
    "DIR": "A directory; `~` is the home directory.",
    "DURATION": "Numbers with units, such as `500ms`, `10s`, `1m30s`, `12h` or `60d`; or `0`."
    " A number other than 0 without a unit is refused.",
    "HOST:PORT": "An address to listen on: `127.0.0.1:4001`, `[::1]:4001`,"
    " or `:4001` for every interface.",
    "HEADERS": "In the file a mapping of names to values;"
    " in a variable `X-Team: core, X-Stage: live`.",
    "ID": "Lower-case letters, digits and single dashes.",
    "INT": "A whole number.",
    "KEY": "A secret: visible ASCII, without spaces.",
    "LIST": "In the file a YAML list; as a flag or variable, items with commas between them."
    " A flag may be given several times instead.",
    "NAME": "Lower-case letters, digits and single dashes.",
    "PATH": "A file.",
    "REGEX": "A regular expression of Python's.",
    "URL": "An http or https URL, without a user, a password, a query or a fragment,"
    " where nothing else is said.",
}

FILES: Mapping[str, str] = {
    "/etc/aibridged/aibridged.yaml": "The customary place, which the packaged service reads.",
}

SEE_ALSO = (
    "aibridged(1)",
    "aibridged-check-config(1)",
    "aibridged-sample-config(1)",
    "aibridged-serve(1)",
)
