"""What `aibridged(1)` says beyond the list of commands."""

from tools.manual.prose import Example, Prose

OVERVIEW = Prose(
    about=(
        "It stands between coding agents (Claude Code, Codex, OpenCode, Cursor, Zed and others)"
        " and the AI providers, Anthropic, OpenAI and whatever speaks their APIs."
        " It keeps the organisation's provider keys, so that no laptop has to;"
        " limits how many requests run at once and how many each caller may send;"
        " stops asking a provider that is overloaded;"
        " and keeps the record of who asked what of which model,"
        " which tools it called and what it cost in tokens."
        " Nothing goes to a provider before it is recorded."
        " Everything else is relayed byte for byte, streams included.",
        Example(
            "To start it, give it a key and run it.",
            """\
$ export CODER_AIBRIDGE_ANTHROPIC_KEY_FILE=~/anthropic-key
$ aibridged serve
""",
        ),
        "It listens on http://127.0.0.1:4001."
        " Callers need a token of the gateway's own, which the first start in a terminal makes.",
        Example(
            "Everybody else gets theirs so:",
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
        " what `aibridge` is called there may also be written `ai-gateway`."
        " A flag outranks a variable, a variable the file, the file the default."
        " `aibridged check-config` shows what is in force.",
    ),
    examples=(
        Example(
            "Who used how many tokens in the last week, and by model:",
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
        "~/.local/state/aibridged/spool.jsonl": "What could not be written to the database yet."
        " The next start replays it.",
    },
    see_also=("aibridged.yaml(5)", "aibridged-metrics(7)"),
)

REFUSALS = (
    "What the gateway itself refuses is answered with an error that all SDKs understand:"
    " a status, a reason in the header X-Aibridge-Reason, and Retry-After where waiting helps."
    " A provider's own errors are relayed as they came, without that header.",
)

SIGNALS = {
    "SIGTERM": "Stop: take nothing new, let running requests end within `--shutdown-timeout`,"
    " and exit. A second one ends the daemon at once.",
    "SIGINT": "The same.",
    "SIGHUP": "Reload: read the settings again, with the files that hold keys and the certificate,"
    " while requests go on. See RELOADING in `aibridged.yaml(5)`.",
    "SIGUSR1": "Open the log files again, after they were rotated.",
}
