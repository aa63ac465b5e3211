"""What the pages of commands say beyond their help; by the command's name below `aibridged`."""

from collections.abc import Mapping

from aibridged.manual.prose import Example, Prose

EXIT_STATUS: Mapping[int, str] = {
    0: "It is done.",
    1: "It could not be done; a sentence on standard error says why.",
    2: "The command line is wrong: an unknown flag, or a value that can't be read.",
}

# By the setting that names where they are.
FILES: Mapping[str, Mapping[str, str]] = {
    "state_dir": {
        "~/.local/state/aibridged/aibridged.db": "Users, tokens and records,"
        " unless they are in PostgreSQL; `--state-dir` names another directory.",
    },
}

PROSE: Mapping[str, Prose] = {
    "serve": Prose(
        about=(
            "It runs in the foreground, logs to standard error and needs no other process."
            " Mistakes in the settings are all named at once, before anything is served.",
            Example(
                "With Anthropic's key in a file, on every interface:",
                """\
$ export CODER_AIBRIDGE_ANTHROPIC_KEY_FILE=~/anthropic-key
$ aibridged serve --http-address :4001
""",
            ),
            "Each provider is served under its name: /anthropic, /openai,"
            " or what a list of providers in `aibridged.yaml(5)` calls it."
            " GET /healthz says that the daemon lives, GET /readyz that it takes requests.",
            "Every setting is a flag, a variable and, but for secrets, a key in the file."
            " A secret given as a flag can be seen by all who list processes:"
            " use its variable, or a file that the variable with _FILE names.",
        ),
        examples=(
            Example(
                "With a file of settings:",
                """\
$ aibridged sample-config > aibridged.yaml
$ aibridged serve --config aibridged.yaml
""",
            ),
            Example(
                "For one person on one machine, who needs no tokens:",
                "$ aibridged serve --aibridge-auth none",
            ),
            Example(
                "For the users of a Coder deployment, with their own Coder tokens:",
                """\
$ aibridged serve --aibridge-auth coder \\
    --coder-url https://coder.example.com
""",
            ),
            Example(
                "With limits and the circuit breaker:",
                """\
$ aibridged serve --aibridge-max-concurrency 200 \\
    --aibridge-rate-limit 5 --aibridge-circuit-breaker-enabled
""",
            ),
        ),
        environment={
            "OTEL_*": "Where traces go, and of which requests: see `aibridged-metrics(7)`.",
            "CREDENTIALS_DIRECTORY": "Set by systemd: the directory with secrets."
            " See SECRETS in `aibridged.yaml(5)`.",
            "NOTIFY_SOCKET": "Set by systemd: who is told that the daemon serves, reloads, stops"
            " or, with WATCHDOG_USEC, that its event loop turns.",
            "LISTEN_FDS": "Set by systemd: the sockets to listen on, in place of"
            " `--http-address`. LISTEN_FDNAMES calls them http, metrics or proxy.",
        },
        exit_status={
            0: "It was told to stop, and did; or `--aibridge-enabled` is false.",
            1: "The settings hold mistakes, the address is taken, or records can't be kept.",
        },
        files={
            "~/.local/state/aibridged/spool.jsonl": "What could not be written to the database"
            " yet. The next start replays it.",
        },
        see_also=("aibridged-metrics(7)",),
    ),
    "check-config": Prose(
        about=(
            "The settings are read exactly as `aibridged-serve(1)` reads them."
            " Secrets are not shown, only where they came from.",
        ),
        examples=(
            Example(
                "Before a restart:",
                "$ aibridged check-config --config /etc/aibridged/aibridged.yaml",
            ),
            Example(
                "In a script, where each value came from:",
                "$ aibridged check-config --output json | jq '.settings'",
            ),
        ),
        exit_status={0: "The daemon would start.", 1: "There are mistakes; each is named."},
    ),
    "healthcheck": Prose(
        about=(
            "For the probes of containers: `curl` isn't needed, and the address is where the"
            " settings say. Mistakes elsewhere in the settings don't matter to it.",
        ),
        examples=(
            Example(
                "In a Dockerfile:",
                'HEALTHCHECK CMD ["aibridged", "healthcheck"]',
            ),
            Example(
                "Wait until it serves:",
                "$ until aibridged healthcheck --ready; do sleep 1; done",
            ),
        ),
        exit_status={
            0: "The daemon is well.",
            1: "It is not, or nobody answers within 3 seconds; a line says which.",
        },
        see_also=("aibridged-serve(1)",),
    ),
    "sample-config": Prose(
        about=(
            "Every setting is commented out: take away a # to change one."
            " Secrets are not kept in the file.",
        ),
        examples=(
            Example(
                "To begin with:",
                """\
$ aibridged sample-config > aibridged.yaml
$ aibridged serve --config aibridged.yaml
""",
            ),
        ),
        see_also=("aibridged.yaml(5)",),
    ),
    "usage": Prose(
        about=(
            "Input that the provider read from its cache, or wrote to it, is counted apart"
            " from the other input. HIT is the cached share of all input.",
        ),
        examples=(
            Example("By user, since ever:", "$ aibridged usage"),
            Example(
                "One user's models in January:",
                """\
$ aibridged usage --by model --initiator alice \\
    --started-after 2026-01-01T00:00:00Z \\
    --started-before 2026-02-01T00:00:00Z
""",
            ),
            Example(
                "By day, for a spreadsheet:",
                "$ aibridged usage --by day --output csv > usage.csv",
            ),
        ),
        see_also=("aibridged-interceptions(1)", "aibridged-sessions(1)"),
    ),
    "tail": Prose(
        about=(
            "An interception is shown when it has ended, since its tokens are known then."
            " END is the status that the client got, or a word: left (the client went away),"
            " fail (the stream broke) or cut (the daemon died).",
        ),
        examples=(
            Example("From now on:", "$ aibridged tail"),
            Example(
                "The last ten minutes and on, for a program:",
                "$ aibridged tail --since 10m --output jsonl | jq .model",
            ),
        ),
        see_also=("aibridged-interceptions(1)",),
    ),
    "demo": Prose(
        about=("It needs no key and no network, and leaves nothing behind.",),
        examples=(
            Example(
                "With the SDKs that it drives:",
                """\
$ pip install 'aibridged[demo]'
$ aibridged demo
""",
            ),
        ),
        see_also=("aibridged-fake-provider(1)",),
    ),
    "fake-provider": Prose(
        examples=(
            Example(
                "A gateway in front of it:",
                """\
$ aibridged fake-provider --address 127.0.0.1:4010 &
$ aibridged serve \\
    --aibridge-anthropic-base-url http://127.0.0.1:4010 \\
    --aibridge-openai-base-url http://127.0.0.1:4010/v1
""",
            ),
            Example(
                "Overload for the next five requests:",
                """\
$ curl -d '{"status": 529, "times": 5}' \\
    http://127.0.0.1:4010/__fake/script
""",
            ),
        ),
        see_also=("aibridged-demo(1)",),
    ),
    "version": Prose(
        about=("And on which Python and system it runs.",),
        examples=(Example("When something is to be reported:", "$ aibridged version"),),
    ),
    "users": Prose(
        about=(
            "Users are kept in the daemon's own database, and matter where `--aibridge-auth`"
            " is token, as it is by default. They authenticate with tokens, which"
            " `aibridged-tokens(1)` makes.",
            Example(
                "A user, and the token to give them:",
                """\
$ aibridged users create alice --name 'Alice Liddell'
$ aibridged tokens create --user alice --name laptop
""",
            ),
        ),
        examples=(
            Example("Who may see everybody's records:", "$ aibridged users create bob --admin"),
            Example(
                "Somebody is away, and comes back:",
                """\
$ aibridged users suspend alice
$ aibridged users resume alice
""",
            ),
            Example(
                "All who can't get in at the moment:",
                """\
$ aibridged users list --output json |
    jq -r '.[] | select(.status != "active") | .username'
""",
            ),
        ),
        see_also=("aibridged-tokens(1)",),
    ),
    "tokens": Prose(
        about=(
            "A token authenticates its user to the gateway, which never passes it on."
            " Only its hash is kept: what is lost can't be shown again, but is easily replaced.",
            Example(
                "A token for a month, and one for a machine that is looked after:",
                """\
$ aibridged tokens create --user alice --name laptop
$ aibridged tokens create --user ci --name runner --lifetime 365d
""",
            ),
        ),
        examples=(
            Example(
                "Into a secret store, without showing it:",
                """\
$ aibridged tokens create --user ci --name runner |
    vault kv put secret/aibridge token=-
""",
            ),
            Example(
                "A laptop is lost:",
                """\
$ aibridged tokens list --user alice
$ aibridged tokens revoke 4f9GhJk2Qs
""",
            ),
        ),
        see_also=("aibridged-users(1)",),
    ),
    "interceptions": Prose(
        about=(
            "An interception is one request that was read and recorded, with its response:"
            " the prompt, the tokens, the tool calls and the thoughts.",
            Example(
                "What a model was asked in the last two hours:",
                "$ aibridged interceptions list --started-after 2h --model gpt-5",
            ),
            "END is the status that the client got, or a word: open (it runs still), left"
            " (the client went away), fail (the stream broke) or cut (the daemon died)."
            " IN/OUT are tokens, cached input included.",
        ),
        examples=(
            Example(
                "All of one of them:",
                "$ aibridged interceptions show 0198c1d2e3f4",
            ),
            Example(
                "What failed today, as CSV:",
                """\
$ aibridged interceptions list --status failed \\
    --started-after 1d --output csv
""",
            ),
            Example(
                "The next page is what is older than the last row:",
                "$ aibridged interceptions list --after-id 0198c1d2e3f4",
            ),
        ),
        see_also=("aibridged-sessions(1)", "aibridged-tail(1)", "aibridged-usage(1)"),
    ),
    "sessions": Prose(
        about=(
            "A session groups the interceptions that a client's session key joins;"
            " a thread in it is what one prompt started, tool calls and all.",
            Example(
                "What Alice did today, and one session in full:",
                """\
$ aibridged sessions list --initiator alice --started-after 1d
$ aibridged sessions show 5a8a2a0e-52f3-4f0f-9c80-d0c0ffee0001 --full
""",
            ),
            "In a session, > marks a prompt, ~ a thought of the model's, $ a tool call.",
        ),
        see_also=("aibridged-interceptions(1)", "aibridged-usage(1)"),
    ),
    "db": Prose(
        about=(
            "The daemon upgrades its database at its start and prunes it once in a while,"
            " so that these commands are for those who want to do either themselves.",
            Example(
                "Before a new release is started, and after it was installed:",
                """\
$ aibridged db check || aibridged db upgrade
""",
            ),
        ),
        examples=(
            Example(
                "Keep less than the retention says:",
                "$ aibridged db prune --older-than 30d",
            ),
        ),
        exit_status={
            1: "It could not be done, or the schema is not current; a sentence says why.",
        },
    ),
    "proxy": Prose(
        about=(
            "Tools that can't be given another base URL often heed HTTPS_PROXY. The AI Proxy is an"
            " HTTP proxy that opens TLS for the hosts of the providers alone, with certificates of"
            " a CA of its own, and hands those requests to the gateway. Everything else is tunneled"
            " as it is, to public addresses and port 443.",
            "The password of the proxy is the gateway token, whatever the user name. A key that the"
            " tool sends itself goes on to the provider; a tool that insists on one may be given"
            " the gateway token there, too, and the organisation's key is used.",
            "What the gateway doesn't serve at a provider's host goes on to that host with the"
            " caller's own credentials.",
            Example(
                "A CA, and the daemon with the AI Proxy:",
                """\
$ aibridged proxy init-ca /etc/aibridged
$ aibridged serve --aibridge-proxy-enabled \\
    --aibridge-proxy-cert-file /etc/aibridged/ai-proxy-ca.pem \\
    --aibridge-proxy-key-file /etc/aibridged/ai-proxy-ca.key
""",
            ),
            "Whoever has the CA's key can pretend to be any site to whoever trusts the CA: keep it"
            " readable for the daemon alone, or make it with --only-for. Tokens reach the proxy in"
            " the clear unless it has a certificate of its own"
            " (--aibridge-proxy-tls-cert-file). Don't let it listen on the internet.",
        ),
        examples=(
            Example(
                "Alone, in front of a gateway elsewhere, which knows the tokens and keeps the"
                " records. If that gateway has a list of providers, the proxy needs the same:",
                """\
$ aibridged proxy --aibridge-proxy-target https://gateway.example \\
    --aibridge-proxy-cert-file ai-proxy-ca.pem \\
    --aibridge-proxy-key-file ai-proxy-ca.key
""",
            ),
            Example(
                "That gateway takes all callers of the proxy for one, also when it bounds how many"
                " look-ups of tokens an address has under way, unless it believes the proxy whose"
                " they are:",
                """\
$ aibridged serve --proxy-trusted-origins PROXY \\
    --proxy-trusted-headers X-Coder-Forwarded-For
""",
            ),
            Example(
                "A CA that is good for the providers' hosts alone, which are these without a list"
                " of providers:",
                """\
$ aibridged proxy init-ca --only-for api.anthropic.com \\
    --only-for api.openai.com --only-for githubcopilot.com
""",
            ),
        ),
        see_also=("aibridged-serve(1)", "aibridged-tokens(1)"),
    ),
}
