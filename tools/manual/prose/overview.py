"""What `aibridged(1)` says beyond the list of commands."""

from tools.manual.prose import Example, Prose

OVERVIEW = Prose(
    about=(
        "It is a reverse proxy between coding agents (Claude Code, Codex, OpenCode, Cursor, Zed "
        "and others) and the AI providers, Anthropic, OpenAI and any server with a compatible API."
        " It keeps the organisation's provider keys off laptops; limits concurrency and "
        "the request rate of each user; protects overloaded providers with a circuit "
        "breaker; and records who asked which model what, which tools it called and how "
        "many tokens it used. No request goes to a provider before it is recorded. "
        "Everything is relayed byte for byte, including streams.",
        Example(
            "To start it, set a provider key and run it.",
            """\
$ export CODER_AIBRIDGE_ANTHROPIC_KEY_FILE=~/anthropic-key
$ aibridged serve
""",
        ),
        "It listens on http://127.0.0.1:4001."
        " Callers authenticate with a gateway token; the first start in a terminal creates one.",
        Example(
            "To create tokens for other users:",
            """\
$ aibridged users create alice
$ aibridged tokens create --user alice --name laptop
""",
        ),
        Example(
            "Point Claude Code at the gateway with that token:",
            """\
$ export ANTHROPIC_BASE_URL=http://127.0.0.1:4001/anthropic
$ export ANTHROPIC_AUTH_TOKEN=aib_...
$ claude
""",
        ),
        "To look around without a key, run `aibridged demo`.",
        "Flags, variables and YAML keys are those of AI Bridge in `coder server`;"
        " names with `ai-gateway` are aliases of those with `aibridge`."
        " Flags override variables, variables override the file, and the file overrides "
        "the defaults. `aibridged check-config` shows what is in effect.",
    ),
    examples=(
        Example(
            "Token usage of the last week, by user and by model:",
            """\
$ aibridged usage --started-after 7d
$ aibridged usage --started-after 7d --by model
""",
        ),
        Example(
            "Check a file before the daemon reads it:",
            "$ aibridged check-config --config /etc/aibridged/aibridged.yaml",
        ),
    ),
    files={
        "~/.local/state/aibridged/spool.jsonl": "Records not yet written to the database. They "
        "are replayed at the next start.",
    },
    see_also=("aibridged.yaml(5)", "aibridged-metrics(7)"),
)

REFUSALS = (
    "Requests that the gateway itself refuses get an error that all SDKs understand: "
    "a status, a reason in the header X-Aibridge-Reason, and Retry-After where "
    "retrying helps. A provider's own errors are relayed unchanged, without that "
    "header.",
)

SIGNALS = {
    "SIGTERM": "Graceful shutdown: stop accepting requests, drain running ones for up to "
    "`--shutdown-timeout`, and exit. A second signal ends the daemon at once.",
    "SIGINT": "The same.",
    "SIGHUP": "Reload the settings, including key files and the certificate, without "
    "interrupting requests. See RELOADING in `aibridged.yaml(5)`.",
    "SIGUSR1": "Reopen the log files after rotation.",
}
