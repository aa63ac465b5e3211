"""What the pages of commands say beyond their help; by the command's name below `aibridged`."""

from collections.abc import Mapping

from tools.manual.prose import Example, Prose

EXIT_STATUS: Mapping[int, str] = {
    0: "Success.",
    1: "Failure; a message on standard error says why.",
    2: "Usage error: an unknown flag, or an invalid value.",
}

# By the setting that names where they are.
FILES: Mapping[str, Mapping[str, str]] = {
    "state_dir": {
        "~/.local/state/aibridged/aibridged.db": "Users, tokens and records,"
        " unless they are in PostgreSQL; `--state-dir` sets another directory.",
    },
}

_LOGIN_EXAMPLE = """\
$ aibridged login https://gateway.example.com
$ aibridged setup codex
"""
_LOGIN_URL = {"AIBRIDGED_URL": "The gateway, where `--url` doesn't name one."}
_LOGIN_FILES = {
    "~/.config/aibridged/logins": "The sign-ins, a file for each gateway with mode 0600;"
    " XDG_CONFIG_HOME names another directory than ~/.config. On macOS it is "
    "~/Library/Application Support/aibridged, on Windows %APPDATA%.",
}

PROSE: Mapping[str, Prose] = {
    "serve": Prose(
        about=(
            "It runs in the foreground, logs to standard error and requires no other "
            "process. All mistakes in the settings are reported at once, before anything is "
            "served.",
            Example(
                "With Anthropic's key in a file, on every interface:",
                """\
$ export CODER_AIBRIDGE_ANTHROPIC_KEY_FILE=~/anthropic-key
$ aibridged serve --http-address :4001
""",
            ),
            "Each provider is served under its name: /anthropic, /openai,"
            " or what a list of providers in `aibridged.yaml(5)` calls it."
            " GET /healthz is the liveness probe, GET /readyz the readiness probe.",
            "Every setting is a flag, a variable and, but for secrets, a key in the file."
            " A secret given as a flag is visible to everyone who can list processes: use its "
            "variable, or a file set by the variable with _FILE.",
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
                "For a single user on one machine, without tokens:",
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
            "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY": "Proxy for outgoing requests to https URLs, to "
            "http URLs and to both, as http[s]://[user:password@]host:port, where "
            "`--aibridge-upstream-proxy` is not set; also in lower case.",
            "NO_PROXY": "Comma-separated hosts, with their subdomains, networks (10.0.0.0/8) and "
            "host:port pairs that are asked directly, or * for all. Loopback addresses always are.",
            "SSL_CERT_FILE, SSL_CERT_DIR": "CA certificates (PEM) to verify servers and proxies "
            "with, in place of the system's.",
            "OTEL_*": "The destination and sampling of traces: see `aibridged-metrics(7)`.",
            "CREDENTIALS_DIRECTORY": "Set by systemd: the directory of credentials."
            " See SECRETS in `aibridged.yaml(5)`.",
            "NOTIFY_SOCKET": "Set by systemd: the socket for notifications of readiness, "
            "reloading, stopping and, with WATCHDOG_USEC, the watchdog of the event loop.",
            "LISTEN_FDS": "Set by systemd: the sockets to listen on (socket activation), in "
            "place of `--http-address`. Their names in LISTEN_FDNAMES are http, metrics or "
            "proxy.",
        },
        exit_status={
            0: "It was stopped by a signal, or `--aibridge-enabled` is false.",
            1: "The settings are invalid, the address is in use, or records can't be stored.",
        },
        files={
            "~/.local/state/aibridged/spool.jsonl": "Records not yet written to the database. "
            "They are replayed at the next start.",
        },
        see_also=("aibridged-metrics(7)",),
    ),
    "check-config": Prose(
        about=(
            "The settings are read exactly as `aibridged-serve(1)` reads them."
            " Secrets are masked; only their sources are shown.",
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
    "status": Prose(
        about=(
            "The daemon says it on a Unix socket in its state directory, `status.sock` with mode "
            "0600: run this as root or as the daemon's user, on its machine or in its container. "
            "No listener is needed, nothing can be changed through it, and it says no secret.",
            "It shows listeners; the database, how many facts wait for it and when it last "
            "committed; spool and journal; running requests by provider and model, and slots; "
            "callers that the rate limit refused in the last minute; circuits that are open, "
            "half-open or have failures in a row; MCP servers; client connections, memory and file "
            "descriptors. Lists are cut to 10 lines; JSON has up to 100 entries of each, and says "
            "how many are left out.",
            "Without settings of its own, it looks for the systemd service, as "
            "`aibridged-users(1)` says.",
        ),
        examples=(
            Example("Of the service:", "$ sudo aibridged status"),
            Example("While something is wrong:", "$ sudo aibridged status --watch"),
            Example(
                "Alert if facts pile up:",
                "$ aibridged status --output json | jq '.database.waiting < 1000'",
            ),
            Example("In a container:", "$ docker exec aibridged aibridged status"),
        ),
        exit_status={
            0: "The daemon has answered.",
            1: "No daemon is running there, this user may not ask it, or it doesn't answer within "
            "5 seconds; a message says which.",
        },
        files={
            "~/.local/state/aibridged/aibridged.db": "",
            "~/.local/state/aibridged/status.sock": "The socket, while the daemon is running.",
        },
        see_also=("aibridged-healthcheck(1)", "aibridged-metrics(7)"),
    ),
    "login": Prose(
        about=(
            "Where there is a browser, it opens by itself. Continue on the page only if it shows "
            "the code that the terminal shows. Several gateways may be signed in to; the last one "
            "is the default.",
            "Addresses begin with https://, or with http:// for loopback. The variables "
            "HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are heeded.",
        ),
        examples=(
            Example("Sign in, and set Codex up:", _LOGIN_EXAMPLE),
            Example(
                "With a certificate authority of your own:",
                "$ aibridged login https://gateway.internal --ca-file ~/ca.pem",
            ),
        ),
        environment={"BROWSER": "The browser to open, also at the other end of SSH."},
        exit_status={1: "Nobody was signed in; a message says why.", 130: "It was interrupted."},
        files=_LOGIN_FILES,
        see_also=("aibridged-access-token(1)", "aibridged-setup(1)", "aibridged-logout(1)"),
    ),
    "access-token": Prose(
        about=(
            "A token that has less than six minutes or a tenth of its lifetime left is renewed, "
            "once however many processes ask. While the gateway is away, one that is still valid "
            "is printed.",
        ),
        examples=(
            Example(
                "Ask the gateway for models:",
                """\
$ curl -H "Authorization: Bearer $(aibridged access-token)" \\
    https://gateway.example.com/v1/models
""",
            ),
        ),
        environment=_LOGIN_URL,
        exit_status={
            1: "There is no valid token: nobody is signed in, the sign-in has ended, or the "
            "gateway is away; a message on standard error says which.",
        },
        files=_LOGIN_FILES,
        see_also=("aibridged-login(1)", "aibridged-setup(1)"),
    ),
    "logout": Prose(
        examples=(Example("Everywhere:", "$ aibridged logout --all"),),
        environment=_LOGIN_URL,
        exit_status={1: "The gateway could not revoke the tokens; here they are removed."},
        files=_LOGIN_FILES,
        see_also=("aibridged-login(1)",),
    ),
    "whoami": Prose(
        about=("The gateway is asked, with the token that agents get.",),
        examples=(Example("At the default gateway:", "$ aibridged whoami"),),
        environment=_LOGIN_URL,
        files=_LOGIN_FILES,
        see_also=("aibridged-login(1)",),
    ),
    "setup": Prose(
        about=(
            "The agent calls `aibridged-access-token(1)` for its token, so no token is in its "
            "configuration. What can't be edited safely isn't touched; what to add by hand is "
            "shown then.",
        ),
        examples=(
            Example("Claude Code, without being asked:", "$ aibridged setup claude-code --yes"),
            Example("Back to what was there before:", "$ aibridged setup claude-code --undo"),
            Example(
                "Managed settings for all users of a machine, with Claude Code's own sign-in:",
                """\
$ sudo aibridged setup claude-code --managed \\
    --url https://gateway.example.com
""",
            ),
        ),
        environment={
            **_LOGIN_URL,
            "CLAUDE_CONFIG_DIR, CODEX_HOME, PI_CODING_AGENT_DIR": "Where these agents have their "
            "configuration.",
        },
        files={
            "~/.config/aibridged/setup": "What was there before, by agent.",
        },
        see_also=("aibridged-login(1)", "aibridged-access-token(1)"),
    ),
    "healthcheck": Prose(
        about=(
            "For container probes: `curl` isn't required, and the address comes from the "
            "settings. Mistakes elsewhere in the settings are ignored.",
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
            0: "The daemon is healthy.",
            1: "It is not healthy, or doesn't respond within 3 seconds; a message says which.",
        },
        see_also=("aibridged-serve(1)",),
    ),
    "sample-config": Prose(
        about=(
            "Every setting is commented out: remove a # to change one. Secrets are not "
            "allowed in the file.",
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
            "Input that the provider read from its cache (CACHED), or wrote to it (CACHE "
            "WRITE), is counted separately. HIT is the cached share of all input. TOTAL is "
            "that of all that matches.",
            "Whole hours that are over are read from summaries that the daemon keeps, and the "
            "rest from the interceptions: totals are always those of the record, and take about "
            "a second with millions of interceptions. By session, and with --session, --status or "
            "--failed, all of it is read from the interceptions.",
        ),
        examples=(
            Example("By user, for all time:", "$ aibridged usage"),
            Example(
                "One user's models in January:",
                """\
$ aibridged usage --by model --user alice \\
    --started-after 2026-01-01T00:00:00Z \\
    --started-before 2026-02-01T00:00:00Z
""",
            ),
            Example(
                "Whose tokens of which models were the most, this week:",
                "$ aibridged usage --by user,model --started-after 7d",
            ),
            Example(
                "Who spent most this week:",
                "$ aibridged usage --by user --started-after 7d --sort cost",
            ),
            Example(
                "What groups spent, by the key that paid for it:",
                "$ aibridged usage --by group,provider,key --sort cost",
            ),
            Example(
                "Users by the share that their requests read from the cache:",
                "$ aibridged usage --sort hit",
            ),
            Example(
                "By day, for a spreadsheet:",
                "$ aibridged usage --by day --output csv > usage.csv",
            ),
        ),
        see_also=("aibridged-interceptions(1)", "aibridged-sessions(1)"),
    ),
    "reconcile": Prose(
        about=(
            "RECORD and PROVIDER are the figures of both sides, DIFFERENCE is what the provider "
            "has more, and SHARE that in percent of the record's. Below are up to three reasons, "
            "the likeliest first. TOTAL is that of all days and models, those that agree included.",
            "Days are in UTC, and those on which requests began. Requests with people's own keys "
            "aren't compared, since they are on other bills.",
        ),
        examples=(
            Example(
                "The Claude Console's usage export, and a page of OpenAI's costs:",
                """\
$ aibridged reconcile claude_api_tokens_2026_11.csv
$ aibridged reconcile costs.json --provider openai \\
    --from 2026-11-01 --to 2026-11-15
""",
            ),
            Example(
                "Only the models with a difference of more than 5%, for a script:",
                """\
$ aibridged reconcile usage.csv --tolerance 5% --output json |
    jq '.days[] | select(.differs != []) | .model'
""",
            ),
        ),
        exit_status={
            0: "Nothing differs by more than the tolerance.",
            1: "Something does, or the settings have mistakes.",
            2: "Nothing could be compared; a message on standard error says why.",
        },
        see_also=("aibridged-usage(1)", "aibridged-export(1)", "aibridged-prices(1)"),
    ),
    "tail": Prose(
        about=(
            "An interception is shown when it has ended and its tokens are known. STATUS is "
            "the HTTP status, or failed (the stream failed), client_closed (left in narrow "
            "terminals: the client disconnected) or interrupted (cut: the daemon crashed).",
        ),
        examples=(
            Example("From now on:", "$ aibridged tail"),
            Example("What fails of alice's:", "$ aibridged tail --user alice --failed"),
            Example(
                "From ten minutes ago, as JSON Lines:",
                "$ aibridged tail --since 10m --output jsonl | jq .model",
            ),
        ),
        see_also=("aibridged-interceptions(1)",),
    ),
    "demo": Prose(
        about=("It requires no key and no network, and leaves nothing behind.",),
        examples=(
            Example(
                "With the SDKs that it drives, in the source folder:",
                """\
$ pip install '.[demo]'
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
        about=("It includes the Python version and the operating system.",),
        examples=(Example("For a bug report:", "$ aibridged version"),),
    ),
    "users": Prose(
        about=(
            "Users are stored in the daemon's own database, for `--aibridge-auth` token (the "
            "default). They authenticate with tokens, created by `aibridged-tokens(1)`.",
            Example(
                "A user, and the token to give them:",
                """\
$ aibridged users create alice --name 'Alice Liddell'
$ aibridged tokens create --user alice --name laptop
""",
            ),
            "This and all other commands that need the daemon or its database find them by the "
            "same settings as `aibridged serve`. Without any (`--config`, `--state-dir`, "
            "`--postgres-url`, their variables, or systemd's), and if this user can use the "
            "directory /var/lib/aibridged, they use the settings of the systemd service: "
            "/etc/aibridged/aibridged.yaml, /etc/aibridged/aibridged.env, and "
            "/etc/aibridged/credentials/postgres-url.",
            "They name the database on standard error where it is neither the default nor named by "
            "a flag, and warn if a daemon on this machine uses another one. Only `users create`, "
            "`db upgrade` and `serve` make a database where there is none.",
        ),
        examples=(
            Example(
                "An admin, with access to the records of all users:",
                "$ aibridged users create bob --admin",
            ),
            Example(
                "A pipeline, which can't sign in, in a group:",
                "$ aibridged users create ci-runner --robot --group pipelines",
            ),
            Example(
                "Many users from a file, after a look at what would change:",
                """\
$ aibridged users import people.csv --update --dry-run
$ aibridged users import people.csv --update
""",
            ),
            Example(
                "Forget a person, with all prompts:",
                "$ aibridged users erase alice",
            ),
            Example(
                "End a user's sign-ins everywhere, of agents and browsers:",
                "$ aibridged users sign-out alice",
            ),
            Example(
                "Suspend a user temporarily:",
                """\
$ aibridged users suspend alice
$ aibridged users resume alice
""",
            ),
            Example(
                "All users whose tokens are rejected at the moment:",
                """\
$ aibridged users list --output json |
    jq -r '.[] | select(.status != "active") | .username'
""",
            ),
        ),
        see_also=("aibridged-groups(1)", "aibridged-tokens(1)", "aibridged-audit(1)"),
    ),
    "groups": Prose(
        about=(
            "A user may be in several groups. Members are added by these commands, or by the "
            "identity provider when they sign in.",
            Example(
                "A group and its first members:",
                """\
$ aibridged groups create staff
$ aibridged groups add staff alice bob
""",
            ),
        ),
        examples=(
            Example(
                "Who is in which group, for a script:",
                "$ aibridged groups list --output json",
            ),
            Example(
                "Delete a group without being asked:",
                "$ aibridged groups delete staff --yes",
            ),
        ),
        see_also=("aibridged-users(1)", "aibridged-audit(1)"),
    ),
    "budgets": Prose(
        about=(
            "A limit is for a day, a week from Monday, or a month, in UTC. Where several are for a "
            "person, the user's own counts, else the least of their groups', else the "
            "organisation's; each period counts by itself. A pool, which the members of a group "
            "share, and a token have limits of their own, which are checked beside it.",
            "A request reserves its likely cost before it is sent, and is charged what it has cost "
            "when it ends. Above the limit, requests are refused until the period ends.",
            Example(
                "Twenty dollars a week for everybody, and a hundred for a group's members:",
                """\
$ aibridged budgets set --organization --weekly 20
$ aibridged budgets set --group staff --weekly 100
""",
            ),
            Example(
                "Five hundred dollars a month that a group shares:",
                "$ aibridged budgets set --pool staff --monthly 500",
            ),
        ),
        examples=(
            Example(
                "What a user may still spend, and why:",
                "$ aibridged budgets show alice",
            ),
            Example(
                "A user without a limit, and one who is blocked:",
                """\
$ aibridged budgets set --user alice --monthly unlimited
$ aibridged budgets set --user bob --daily 0
""",
            ),
            Example(
                "The limits of which at least 80 % is used:",
                """\
$ aibridged budgets list --output json |
    jq '.[] | select(.share >= 0.8)'
""",
            ),
        ),
        see_also=("aibridged-prices(1)", "aibridged-usage(1)", "aibridged-audit(1)"),
    ),
    "audit": Prose(
        about=(
            "Each change of users, groups, tokens and limits leaves a row: who did what, when, and "
            "what was there before and after, without secrets. Rows are kept for "
            "`--aibridge-audit-retention` (365 days by default).",
            Example(
                "What happened to a user and their tokens:",
                "$ aibridged audit list --target alice",
            ),
        ),
        examples=(
            Example(
                "Who created or renewed tokens in the last week:",
                "$ aibridged audit list --action token --started-after 7d",
            ),
            Example(
                "All of it, line by line, for another system:",
                "$ aibridged audit list --limit 1000 --output jsonl",
            ),
        ),
        see_also=("aibridged-users(1)", "aibridged-groups(1)", "aibridged-tokens(1)"),
    ),
    "tokens": Prose(
        about=(
            "A token authenticates its user to the gateway, which never passes it on."
            " Only its hash is stored: a lost token can't be shown again, only replaced.",
            Example(
                "A token with the default lifetime, and one for a year:",
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
                "Let a token last for another year:",
                "$ aibridged tokens renew 4f9ghjk2qs --lifetime 365d",
            ),
            Example(
                "Revoke the token of a lost laptop:",
                """\
$ aibridged tokens list --user alice
$ aibridged tokens revoke 4f9GhJk2Qs
""",
            ),
        ),
        see_also=("aibridged-users(1)",),
    ),
    "policies": Prose(
        about=(
            "Policies are a list in the settings file (`aibridged.yaml(5)`). The first one that "
            "has a group of a person's counts. Without policies everything is granted; with them, "
            "nothing to those whom none fits.",
        ),
        examples=(
            Example(
                "Why a user may not use a model:",
                "$ aibridged policies explain alice claude-opus-4-8",
            ),
        ),
        see_also=("aibridged-users(1)", "aibridged.yaml(5)"),
    ),
    "prices": Prose(
        about=(
            "Prices are those of a table of public ones, genai-prices, unless the list of prices "
            "in the settings file (`aibridged.yaml(5)`) has some of a contract. Nothing is "
            "fetched but by `aibridged prices update`.",
            Example(
                "What Claude costs at Anthropic, and at Amazon Bedrock:",
                """\
$ aibridged prices list --provider anthropic
$ aibridged prices list --provider aws --model '*claude*'
""",
            ),
        ),
        examples=(
            Example(
                "The prices of a model at every tier, and who says so:",
                "$ aibridged prices show gpt-5.4 --provider openai",
            ),
            Example(
                "Fetch a newer table, once a day:",
                "$ aibridged prices update",
            ),
            Example(
                "The last month by the rates of a contract that came late: what would change, and "
                "the change:",
                """\
$ aibridged prices recompute --since 30d --dry-run
$ aibridged prices recompute --since 30d
""",
            ),
        ),
        see_also=("aibridged-usage(1)", "aibridged.yaml(5)"),
    ),
    "interceptions": Prose(
        about=(
            "An interception is one bridged (recorded) request with its response: the "
            "prompt, the tokens, the tool calls and the thoughts.",
            Example(
                "Requests to a model in the last two hours:",
                "$ aibridged interceptions list --started-after 2h --model gpt-5",
            ),
            "STATUS is the HTTP status, or one of open (still running), failed (the stream "
            "failed), client_closed (left in narrow terminals: the client disconnected) or "
            "interrupted (cut: the daemon crashed). IN and OUT are tokens, cached input "
            "included. COST is in dollars: ~ in front marks an estimate, + at the end a sum that "
            "lacks what has no price, and - what isn't known (yet).",
            "A table takes the width of the terminal. Where that is too narrow, ids, times and "
            "numbers are shortened, columns left out and names cut; `--wide`, a pipe and a file "
            "have all in full. An id may be typed as short as it is shown, from 8 characters "
            "on, if it is the only one that begins like this.",
        ),
        examples=(
            Example(
                "One of them in full:",
                "$ aibridged interceptions show 0198c1d2-e3f4",
            ),
            Example(
                "Failures of the last day, as CSV:",
                """\
$ aibridged interceptions list --failed \\
    --started-after 1d --output csv
""",
            ),
            Example(
                "Some columns only, in this order:",
                "$ aibridged interceptions list --columns user,model,took",
            ),
            Example(
                "The next page, after the last row:",
                "$ aibridged interceptions list --after-id 0198c1d2-e3f4",
            ),
        ),
        see_also=("aibridged-sessions(1)", "aibridged-tail(1)", "aibridged-usage(1)"),
    ),
    "sessions": Prose(
        about=(
            "A session groups interceptions by the client's session key; a thread within it "
            "is everything that one prompt started, including tool calls.",
            Example(
                "Alice's sessions of the last day, and one session in full:",
                """\
$ aibridged sessions list --user alice --started-after 1d
$ aibridged sessions show 5a8a2a0e-52f3 --full
""",
            ),
            "N is the number of interceptions; IN and OUT are tokens, cached input included. "
            "Below a session is its first prompt. COST is in dollars, as in "
            "`aibridged interceptions`.",
            "In a session, > marks a prompt, ~ a thought of the model's, $ a tool call.",
        ),
        see_also=("aibridged-interceptions(1)", "aibridged-usage(1)"),
    ),
    "export": Prose(
        about=(
            "Lists stop at a limit; an export has all that matches, and is written a page at a "
            "time in constant memory, while the daemon runs. A file appears whole or not at all. "
            "On a terminal, progress is shown on stderr.",
            "A text that a spreadsheet would take for a formula gets an apostrophe in front in "
            "CSV, unless --raw is given. Parquet needs the extra parquet.",
            "The exit status is 130 after Ctrl-C, 143 after SIGTERM, and 141 if the reader of a "
            "pipe has closed it.",
        ),
        examples=(
            Example(
                "A month of interceptions, without texts:",
                """\
$ aibridged export interceptions --started-after 30d \\
    --output month.csv
""",
            ),
            Example(
                "Alice's prompts, as JSON Lines:",
                """\
$ aibridged export interceptions --user alice --with-texts \\
    --format jsonl > alice.jsonl
""",
            ),
            Example(
                "Tokens by user, model and day, for a data warehouse:",
                """\
$ aibridged export usage --by user,model,day \\
    --format parquet --output usage.parquet
""",
            ),
            Example(
                "The costs of November, for a FinOps tool:",
                """\
$ aibridged export usage --format focus \\
    --started-after 2026-11-01 --started-before 2026-12-01 \\
    --output november.csv
""",
            ),
        ),
        see_also=("aibridged-interceptions(1)", "aibridged-sessions(1)", "aibridged-usage(1)"),
    ),
    "db": Prose(
        about=(
            "The daemon upgrades its database at startup and prunes it periodically; upgrade, "
            "check and prune do so by hand. Backup and restore are for SQLite; with PostgreSQL "
            "they print the command of `pg_dump` or `pg_restore`.",
            Example(
                "Between installing a new release and starting it:",
                """\
$ aibridged db check || aibridged db upgrade
""",
            ),
        ),
        examples=(
            Example(
                "Prune earlier than the configured retention:",
                "$ aibridged db prune --older-than 30d",
            ),
            Example(
                "Back up while the daemon runs, and restore while it doesn't:",
                """\
$ aibridged db backup /var/backups/aibridged.db
$ aibridged db restore /var/backups/aibridged.db
""",
            ),
        ),
        exit_status={
            1: "Failure, or the schema is not current; a message says why.",
        },
    ),
    "proxy": Prose(
        files={
            "~/.local/state/aibridged/aibridged.db": "",
            "~/.local/state/aibridged/proxy-status.sock": "The socket of `aibridged proxy status`, "
            "while a standalone proxy is running and if the directory exists.",
        },
        about=(
            "Tools without a configurable base URL often support HTTPS_PROXY. The AI Proxy "
            "is an HTTP forward proxy that intercepts TLS (MITM) only for the hosts of the "
            "providers, with certificates of its own CA, and passes those requests to the "
            "gateway. Everything else is tunneled untouched, to public addresses and port "
            "443.",
            "The password of the proxy is the gateway token, with any user name. A key that "
            "the tool itself sends is forwarded to the provider; for a tool that requires "
            "one, use the gateway token there as well, and the organisation's key is used.",
            "Routes of a provider's host that the gateway doesn't serve are forwarded to "
            "that host with the caller's own credentials.",
            Example(
                "A CA, and the daemon with the AI Proxy:",
                """\
$ aibridged proxy init-ca /etc/aibridged
$ aibridged serve --aibridge-proxy-enabled \\
    --aibridge-proxy-cert-file /etc/aibridged/ai-proxy-ca.pem \\
    --aibridge-proxy-key-file /etc/aibridged/ai-proxy-ca.key
""",
            ),
            "Anyone who has the CA's key can impersonate any site to clients that trust the "
            "CA: keep it readable only by the daemon, or restrict it with --only-for. Tokens "
            "are sent to the proxy unencrypted unless it has its own certificate "
            "(--aibridge-proxy-tls-cert-file). Don't expose it to the internet.",
        ),
        examples=(
            Example(
                "Standalone, in front of a remote gateway, which verifies the tokens and keeps "
                "the records. If that gateway has a list of providers, the proxy requires the "
                "same list:",
                """\
$ aibridged proxy --aibridge-proxy-target https://gateway.example \\
    --aibridge-proxy-cert-file ai-proxy-ca.pem \\
    --aibridge-proxy-key-file ai-proxy-ca.key
""",
            ),
            Example(
                "Configure that gateway to trust the proxy's forwarded client addresses; "
                "otherwise all clients of the proxy share one address, and its limit of token "
                "lookups:",
                """\
$ aibridged serve --proxy-trusted-origins PROXY \\
    --proxy-trusted-headers X-Coder-Forwarded-For
""",
            ),
            Example(
                "A CA that is restricted to the providers' hosts, which are these by default:",
                """\
$ aibridged proxy init-ca --only-for api.anthropic.com \\
    --only-for api.openai.com --only-for githubcopilot.com
""",
            ),
        ),
        see_also=("aibridged-serve(1)", "aibridged-tokens(1)"),
    ),
}
