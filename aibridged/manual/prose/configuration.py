"""What `aibridged.yaml(5)` says beyond the table of settings."""

from collections.abc import Mapping

from aibridged.manual.prose import Example, Part

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
      key_file: /run/credentials/aibridged.service/anthropic-key
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

RELOADING: tuple[Part, ...] = ()

SECRETS: tuple[Part, ...] = (
    "Keys and passwords are not kept in this file."
    " Each has a variable, and a second one, with _FILE at its end, that names a file holding it;"
    " a line break at the end of that file doesn't count."
    " Under systemd such a file is a credential.",
)

PROVIDERS: tuple[Part, ...] = (
    "Without a list there are two providers, anthropic and openai, with the keys and URLs of the"
    " settings below. With a list, aibridge.providers, there are those that it names;"
    " the settings below, where they are given, add theirs.",
)

PROVIDER_FIELDS: Mapping[str, str] = {
    "type": "Whose API it speaks: `anthropic` or `openai`.",
    "name": "Its name, and the path that it is served under: /NAME."
    " Lower-case letters, digits and single dashes; its type where it is left out.",
    "base_url": "Where its requests go: its type's default where it is left out.",
    "key_file": "A file that holds the organisation's key."
    " Without a key it serves callers who bring their own, or a server that needs none.",
    "key": "The key itself. Better is `key_file`, which keeps it out of this file.",
}

PROVIDERS_IN_VARIABLES: tuple[Part, ...] = (
    Example(
        "The same list in variables, numbered from 0 without a gap:",
        """\
CODER_AIBRIDGE_PROVIDER_0_TYPE=openai
CODER_AIBRIDGE_PROVIDER_0_NAME=local
CODER_AIBRIDGE_PROVIDER_0_BASE_URL=http://127.0.0.1:11434/v1
CODER_AIBRIDGE_PROVIDER_0_KEY_FILE=/etc/aibridged/local-key
""",
    ),
)

VALUES: Mapping[str, str] = {
    "BOOL": "`true`, `t` or `1`; `false`, `f` or `0`."
    " As a flag: `--verbose`, `--verbose=false`, `--no-verbose`.",
    "BYTES": "A number of bytes, or one with a unit: `1048576`, `512KiB`, `32MiB`, `1GiB`.",
    "DIR": "A directory; `~` is the home directory.",
    "DURATION": "Numbers with units, such as `500ms`, `10s`, `1m30s`, `12h` or `60d`; or `0`."
    " A number other than 0 without a unit is refused.",
    "HOST:PORT": "An address to listen on: `127.0.0.1:4001`, `[::1]:4001`,"
    " or `:4001` for every interface.",
    "INT": "A whole number.",
    "KEY": "A secret: visible ASCII, without spaces.",
    "LIST": "In the file a YAML list; as a flag or variable, items with commas between them."
    " A flag may be given several times instead.",
    "PATH": "A file.",
    "URL": "An http or https URL, without a user, a password, a query or a fragment.",
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
