# bash completion for aibridged(1)
# Made by `python -m tools.manual`; to change it, change what it is made from.

_aibridged() {
    COMPREPLY=()
    # Bash has split words at = and : too; here they are whole.
    local words=() word i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 1)) && { [[ $word == +([=:]) && "${words[-1]}$word" != -*: ]] ||
            [[ ${COMP_WORDS[i - 1]} == +([=:]) && ${words[-1]} == *[=:] ]]; }; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    local typed=${words[-1]} option=${words[-2]} inline=
    if [[ $typed == --*=* ]]; then
        option=${typed%%=*} typed=${typed#*=} inline=1
    fi

    # Which command it is, and what can come next: "words a b", "names users", files, directories.
    local command= next= argument= flags= given=0 value=
    for word in "${words[@]:1:${#words[@]}-2}"; do
        case "$command $word" in
            ' serve' | ' check-config' | ' status' | ' healthcheck' | ' sample-config' | ' usage' | ' reconcile' | ' tail' | ' demo' | ' fake-provider' | ' version' | ' login' | ' access-token' | ' logout' | ' whoami' | ' setup' | ' users' | 'users create' | 'users edit' | 'users import' | 'users list' | 'users suspend' | 'users resume' | 'users delete' | 'users erase' | 'users sign-out' | 'users mcp-token' | 'users mcp-token set' | 'users mcp-token remove' | 'users mcp-token list' | ' groups' | 'groups create' | 'groups list' | 'groups delete' | 'groups add' | 'groups remove' | ' tokens' | 'tokens create' | 'tokens list' | 'tokens renew' | 'tokens revoke' | ' policies' | 'policies list' | 'policies explain' | ' prices' | 'prices list' | 'prices show' | 'prices update' | 'prices recompute' | ' budgets' | 'budgets set' | 'budgets list' | 'budgets show' | 'budgets delete' | ' audit' | 'audit list' | ' interceptions' | 'interceptions list' | 'interceptions show' | ' sessions' | 'sessions list' | 'sessions show' | ' export' | 'export interceptions' | 'export sessions' | 'export usage' | ' db' | 'db upgrade' | 'db check' | 'db prune' | 'db backup' | 'db restore' | ' proxy' | 'proxy init-ca' | 'proxy status')
                command=${command:+$command }$word
                ;;
            *' --'*=*) value= ;;
            *' -'*) value=1 ;;
            *)
                [[ $value ]] || ((++given))
                value=
                ;;
        esac
    done
    case $command in
        '')
            flags='--version --help -h'
            ((given)) || argument='words serve check-config status healthcheck sample-config usage reconcile tail demo fake-provider version login access-token logout whoami setup users groups tokens policies prices budgets audit interceptions sessions export db proxy'
            ;;
        'serve')
            flags='--config -c --aibridge-enabled --aibridge-allow-byok --aibridge-send-actor-headers --aibridge-dump-dir --aibridge-anthropic-base-url --aibridge-anthropic-key --aibridge-openai-base-url --aibridge-openai-key --aibridge-upstream-connect-timeout --aibridge-upstream-idle-timeout --aibridge-upstream-keepalive-timeout --aibridge-upstream-proxy --aibridge-max-concurrency --aibridge-rate-limit --aibridge-max-request-bytes --aibridge-max-inflight-bytes --aibridge-redis-url --aibridge-replicas --aibridge-circuit-breaker-enabled --aibridge-circuit-breaker-failure-threshold --aibridge-circuit-breaker-interval --aibridge-circuit-breaker-timeout --aibridge-circuit-breaker-max-requests --aibridge-mcp-init-timeout --aibridge-mcp-max-tools --aibridge-mcp-call-timeout --aibridge-mcp-result-bytes --aibridge-mcp-max-turns --aibridge-budget-fail --aibridge-budget-message --aibridge-budget-alerts --aibridge-budget-webhook-url --aibridge-budget-webhook-secret --aibridge-budget-webhook-format --aibridge-auth --coder-url --aibridge-auth-cache-ttl --aibridge-auth-cache-bad-ttl --aibridge-auth-cache-size --aibridge-revocation-grace --default-token-lifetime --max-token-lifetime --aibridge-pool-ttl --aibridge-pool-max-items --state-dir --postgres-url --aibridge-retention --aibridge-prompt-fingerprints --aibridge-audit-retention --aibridge-prompt-access --aibridge-unpriced --aibridge-max-stored-text --aibridge-structured-logging --access-url --oidc-issuer-url --oidc-client-id --oidc-client-secret --oidc-scopes --oidc-auth-url-params --oidc-allow-signups --oidc-email-domain --oidc-ignore-email-verified --oidc-ignore-userinfo --oidc-username-field --oidc-name-field --oidc-email-field --oidc-group-field --oidc-group-mapping --oidc-allowed-groups --oidc-group-regex-filter --oidc-group-auto-create --oidc-user-role-field --oidc-user-role-mapping --oidc-sign-in-text --session-duration --aibridge-bearer-ttl --http-address --aibridge-workers --http-read-timeout --http-write-timeout --http-allow-half-close --shutdown-timeout --aibridge-max-idle-connections --aibridge-max-idle-connections-per-address --tls-cert-file --tls-key-file --proxy-trusted-headers --proxy-trusted-origins --aibridge-ui-enabled --aibridge-ui-address --aibridge-proxy-enabled --aibridge-proxy-listen-addr --aibridge-proxy-tls-cert-file --aibridge-proxy-tls-key-file --aibridge-proxy-cert-file --aibridge-proxy-key-file --aibridge-proxy-upstream --aibridge-proxy-upstream-ca --aibridge-proxy-allowed-private-cidrs --aibridge-proxy-target --log-human --log-json --log-stackdriver --log-filter --verbose --trace --trace-logs --prometheus-enable --prometheus-address --aibridge-prometheus-initiator-labels --aibridge-prometheus-names --help -h'
            case $option in
                --config | -c | --tls-cert-file | --tls-key-file | --aibridge-proxy-tls-cert-file | --aibridge-proxy-tls-key-file | --aibridge-proxy-cert-file | --aibridge-proxy-key-file | --aibridge-proxy-upstream-ca | --log-human | --log-json | --log-stackdriver) next='files' ;;
                --aibridge-enabled | --aibridge-allow-byok | --aibridge-send-actor-headers | --aibridge-circuit-breaker-enabled | --aibridge-prompt-fingerprints | --aibridge-structured-logging | --oidc-allow-signups | --oidc-ignore-email-verified | --oidc-ignore-userinfo | --oidc-group-auto-create | --http-allow-half-close | --aibridge-proxy-enabled | --verbose | --trace | --trace-logs | --prometheus-enable | --aibridge-prometheus-initiator-labels) [[ $inline ]] && next='words true false' ;;
                --aibridge-dump-dir | --state-dir) next='directories' ;;
                --aibridge-anthropic-base-url | --aibridge-anthropic-key | --aibridge-openai-base-url | --aibridge-openai-key | --aibridge-upstream-connect-timeout | --aibridge-upstream-idle-timeout | --aibridge-upstream-keepalive-timeout | --aibridge-upstream-proxy | --aibridge-max-concurrency | --aibridge-rate-limit | --aibridge-max-request-bytes | --aibridge-max-inflight-bytes | --aibridge-redis-url | --aibridge-replicas | --aibridge-circuit-breaker-failure-threshold | --aibridge-circuit-breaker-interval | --aibridge-circuit-breaker-timeout | --aibridge-circuit-breaker-max-requests | --aibridge-mcp-init-timeout | --aibridge-mcp-max-tools | --aibridge-mcp-call-timeout | --aibridge-mcp-result-bytes | --aibridge-mcp-max-turns | --aibridge-budget-message | --aibridge-budget-alerts | --aibridge-budget-webhook-url | --aibridge-budget-webhook-secret | --coder-url | --aibridge-auth-cache-ttl | --aibridge-auth-cache-bad-ttl | --aibridge-auth-cache-size | --aibridge-revocation-grace | --default-token-lifetime | --max-token-lifetime | --aibridge-pool-ttl | --aibridge-pool-max-items | --postgres-url | --aibridge-retention | --aibridge-audit-retention | --aibridge-max-stored-text | --access-url | --oidc-issuer-url | --oidc-client-id | --oidc-client-secret | --oidc-scopes | --oidc-auth-url-params | --oidc-email-domain | --oidc-username-field | --oidc-name-field | --oidc-email-field | --oidc-group-field | --oidc-group-mapping | --oidc-allowed-groups | --oidc-group-regex-filter | --oidc-user-role-field | --oidc-user-role-mapping | --oidc-sign-in-text | --session-duration | --aibridge-bearer-ttl | --http-address | --http-read-timeout | --http-write-timeout | --shutdown-timeout | --aibridge-max-idle-connections | --aibridge-max-idle-connections-per-address | --proxy-trusted-headers | --proxy-trusted-origins | --aibridge-ui-address | --aibridge-proxy-listen-addr | --aibridge-proxy-upstream | --aibridge-proxy-allowed-private-cidrs | --aibridge-proxy-target | --log-filter | --prometheus-address) next='nothing' ;;
                --aibridge-budget-fail) next='words open closed' ;;
                --aibridge-budget-webhook-format) next='words json slack' ;;
                --aibridge-auth) next='words token coder none' ;;
                --aibridge-prompt-access) next='words admins own' ;;
                --aibridge-unpriced) next='words allow deny RATE' ;;
                --aibridge-workers) next='words INT auto' ;;
                --aibridge-ui-enabled) next='words auto true false' ;;
                --aibridge-prometheus-names) next='words both new old' ;;
            esac
            ;;
        'check-config')
            flags='--output -o --connect --config -c --aibridge-enabled --aibridge-allow-byok --aibridge-send-actor-headers --aibridge-dump-dir --aibridge-anthropic-base-url --aibridge-anthropic-key --aibridge-openai-base-url --aibridge-openai-key --aibridge-upstream-connect-timeout --aibridge-upstream-idle-timeout --aibridge-upstream-keepalive-timeout --aibridge-upstream-proxy --aibridge-max-concurrency --aibridge-rate-limit --aibridge-max-request-bytes --aibridge-max-inflight-bytes --aibridge-redis-url --aibridge-replicas --aibridge-circuit-breaker-enabled --aibridge-circuit-breaker-failure-threshold --aibridge-circuit-breaker-interval --aibridge-circuit-breaker-timeout --aibridge-circuit-breaker-max-requests --aibridge-mcp-init-timeout --aibridge-mcp-max-tools --aibridge-mcp-call-timeout --aibridge-mcp-result-bytes --aibridge-mcp-max-turns --aibridge-budget-fail --aibridge-budget-message --aibridge-budget-alerts --aibridge-budget-webhook-url --aibridge-budget-webhook-secret --aibridge-budget-webhook-format --aibridge-auth --coder-url --aibridge-auth-cache-ttl --aibridge-auth-cache-bad-ttl --aibridge-auth-cache-size --aibridge-revocation-grace --default-token-lifetime --max-token-lifetime --aibridge-pool-ttl --aibridge-pool-max-items --state-dir --postgres-url --aibridge-retention --aibridge-prompt-fingerprints --aibridge-audit-retention --aibridge-prompt-access --aibridge-unpriced --aibridge-max-stored-text --aibridge-structured-logging --access-url --oidc-issuer-url --oidc-client-id --oidc-client-secret --oidc-scopes --oidc-auth-url-params --oidc-allow-signups --oidc-email-domain --oidc-ignore-email-verified --oidc-ignore-userinfo --oidc-username-field --oidc-name-field --oidc-email-field --oidc-group-field --oidc-group-mapping --oidc-allowed-groups --oidc-group-regex-filter --oidc-group-auto-create --oidc-user-role-field --oidc-user-role-mapping --oidc-sign-in-text --session-duration --aibridge-bearer-ttl --http-address --aibridge-workers --http-read-timeout --http-write-timeout --http-allow-half-close --shutdown-timeout --aibridge-max-idle-connections --aibridge-max-idle-connections-per-address --tls-cert-file --tls-key-file --proxy-trusted-headers --proxy-trusted-origins --aibridge-ui-enabled --aibridge-ui-address --aibridge-proxy-enabled --aibridge-proxy-listen-addr --aibridge-proxy-tls-cert-file --aibridge-proxy-tls-key-file --aibridge-proxy-cert-file --aibridge-proxy-key-file --aibridge-proxy-upstream --aibridge-proxy-upstream-ca --aibridge-proxy-allowed-private-cidrs --aibridge-proxy-target --log-human --log-json --log-stackdriver --log-filter --verbose --trace --trace-logs --prometheus-enable --prometheus-address --aibridge-prometheus-initiator-labels --aibridge-prometheus-names --help -h'
            case $option in
                --output | -o) next='words text json' ;;
                --config | -c | --tls-cert-file | --tls-key-file | --aibridge-proxy-tls-cert-file | --aibridge-proxy-tls-key-file | --aibridge-proxy-cert-file | --aibridge-proxy-key-file | --aibridge-proxy-upstream-ca | --log-human | --log-json | --log-stackdriver) next='files' ;;
                --aibridge-enabled | --aibridge-allow-byok | --aibridge-send-actor-headers | --aibridge-circuit-breaker-enabled | --aibridge-prompt-fingerprints | --aibridge-structured-logging | --oidc-allow-signups | --oidc-ignore-email-verified | --oidc-ignore-userinfo | --oidc-group-auto-create | --http-allow-half-close | --aibridge-proxy-enabled | --verbose | --trace | --trace-logs | --prometheus-enable | --aibridge-prometheus-initiator-labels) [[ $inline ]] && next='words true false' ;;
                --aibridge-dump-dir | --state-dir) next='directories' ;;
                --aibridge-anthropic-base-url | --aibridge-anthropic-key | --aibridge-openai-base-url | --aibridge-openai-key | --aibridge-upstream-connect-timeout | --aibridge-upstream-idle-timeout | --aibridge-upstream-keepalive-timeout | --aibridge-upstream-proxy | --aibridge-max-concurrency | --aibridge-rate-limit | --aibridge-max-request-bytes | --aibridge-max-inflight-bytes | --aibridge-redis-url | --aibridge-replicas | --aibridge-circuit-breaker-failure-threshold | --aibridge-circuit-breaker-interval | --aibridge-circuit-breaker-timeout | --aibridge-circuit-breaker-max-requests | --aibridge-mcp-init-timeout | --aibridge-mcp-max-tools | --aibridge-mcp-call-timeout | --aibridge-mcp-result-bytes | --aibridge-mcp-max-turns | --aibridge-budget-message | --aibridge-budget-alerts | --aibridge-budget-webhook-url | --aibridge-budget-webhook-secret | --coder-url | --aibridge-auth-cache-ttl | --aibridge-auth-cache-bad-ttl | --aibridge-auth-cache-size | --aibridge-revocation-grace | --default-token-lifetime | --max-token-lifetime | --aibridge-pool-ttl | --aibridge-pool-max-items | --postgres-url | --aibridge-retention | --aibridge-audit-retention | --aibridge-max-stored-text | --access-url | --oidc-issuer-url | --oidc-client-id | --oidc-client-secret | --oidc-scopes | --oidc-auth-url-params | --oidc-email-domain | --oidc-username-field | --oidc-name-field | --oidc-email-field | --oidc-group-field | --oidc-group-mapping | --oidc-allowed-groups | --oidc-group-regex-filter | --oidc-user-role-field | --oidc-user-role-mapping | --oidc-sign-in-text | --session-duration | --aibridge-bearer-ttl | --http-address | --http-read-timeout | --http-write-timeout | --shutdown-timeout | --aibridge-max-idle-connections | --aibridge-max-idle-connections-per-address | --proxy-trusted-headers | --proxy-trusted-origins | --aibridge-ui-address | --aibridge-proxy-listen-addr | --aibridge-proxy-upstream | --aibridge-proxy-allowed-private-cidrs | --aibridge-proxy-target | --log-filter | --prometheus-address) next='nothing' ;;
                --aibridge-budget-fail) next='words open closed' ;;
                --aibridge-budget-webhook-format) next='words json slack' ;;
                --aibridge-auth) next='words token coder none' ;;
                --aibridge-prompt-access) next='words admins own' ;;
                --aibridge-unpriced) next='words allow deny RATE' ;;
                --aibridge-workers) next='words INT auto' ;;
                --aibridge-ui-enabled) next='words auto true false' ;;
                --aibridge-prometheus-names) next='words both new old' ;;
            esac
            ;;
        'status')
            flags='--watch -w --output -o --config -c --state-dir --help -h'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'healthcheck')
            flags='--ready --http-address --config -c --help -h'
            case $option in
                --http-address) next='nothing' ;;
                --config | -c) next='files' ;;
            esac
            ;;
        'sample-config')
            flags='--help -h'
            ;;
        'usage')
            flags='--by --sort --group --key --wide --columns --output -o --initiator --user --started-after --started-before --provider --model --client --session --status --failed --limit -n --config -c --state-dir --postgres-url --help -h'
            case $option in
                --by) next='words user group model provider key client session token month day hour' ;;
                --sort | --key | --columns | --started-after | --started-before | --limit | -n | --postgres-url) next='nothing' ;;
                --group) next='names groups' ;;
                --output | -o) next='words table json jsonl csv' ;;
                --initiator | --user) next='names initiators' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --client) next='names clients' ;;
                --session) next='names sessions' ;;
                --status) next='words open completed failed client_closed interrupted' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'reconcile')
            flags='--provider --from --to --tolerance --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='files'
            case $option in
                --provider) next='names providers' ;;
                --from | --to | --tolerance | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'tail')
            flags='--since --min-cost --wide --columns --output -o --initiator --user --provider --model --client --session --status --failed --config -c --state-dir --postgres-url --help -h'
            case $option in
                --since | --min-cost | --columns | --postgres-url) next='nothing' ;;
                --output | -o) next='words table jsonl' ;;
                --initiator | --user) next='names initiators' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --client) next='names clients' ;;
                --session) next='names sessions' ;;
                --status) next='words open completed failed client_closed interrupted' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'demo')
            flags='--keep --help -h'
            ;;
        'fake-provider')
            flags='--address --events --delay --keep --help -h'
            case $option in
                --address | --events | --delay | --keep) next='nothing' ;;
            esac
            ;;
        'version')
            flags='--help -h'
            ;;
        'login')
            flags='--no-browser --ca-file --keyring --help -h'
            ((given == 0)) && argument='nothing'
            case $option in
                --ca-file) next='files' ;;
            esac
            ;;
        'access-token')
            flags='--url --help -h'
            case $option in
                --url) next='nothing' ;;
            esac
            ;;
        'logout')
            flags='--url --all --help -h'
            case $option in
                --url) next='nothing' ;;
            esac
            ;;
        'whoami')
            flags='--url --help -h'
            case $option in
                --url) next='nothing' ;;
            esac
            ;;
        'setup')
            flags='--url --provider --managed --print --undo --yes -y --help -h'
            ((given == 0)) && argument='words claude-code codex kilo opencode pi'
            case $option in
                --url | --provider) next='nothing' ;;
            esac
            ;;
        'users')
            flags='--help -h'
            ((given)) || argument='words create edit import list suspend resume delete erase sign-out mcp-token'
            ;;
        'users create')
            flags='--name --email --admin --robot --group --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='nothing'
            case $option in
                --name | --email | --postgres-url) next='nothing' ;;
                --group) next='names groups' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'users edit')
            flags='--username --name --email --admin --group --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            case $option in
                --username | --name | --email | --postgres-url) next='nothing' ;;
                --group) next='names groups' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'users import')
            flags='--update --dry-run --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='files'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users list')
            flags='--wide --columns --output -o --config -c --state-dir --postgres-url --help -h'
            case $option in
                --columns | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'users suspend')
            flags='--output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users resume')
            flags='--output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users delete')
            flags='--yes --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users erase')
            flags='--yes --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users sign-out')
            flags='--output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users mcp-token')
            flags='--help -h'
            ((given)) || argument='words set remove list'
            ;;
        'users mcp-token set')
            flags='--config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            ((given == 1)) && argument='names servers'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users mcp-token remove')
            flags='--config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            ((given == 1)) && argument='names servers'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'users mcp-token list')
            flags='--wide --columns --output -o --config -c --state-dir --postgres-url --help -h'
            case $option in
                --columns | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'groups')
            flags='--help -h'
            ((given)) || argument='words create list delete add remove'
            ;;
        'groups create')
            flags='--output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='nothing'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'groups list')
            flags='--wide --columns --output -o --config -c --state-dir --postgres-url --help -h'
            case $option in
                --columns | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'groups delete')
            flags='--yes --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names groups'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'groups add')
            flags='--config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names groups'
            ((given == 1)) && argument='names users'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'groups remove')
            flags='--config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names groups'
            ((given == 1)) && argument='names users'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'tokens')
            flags='--help -h'
            ((given)) || argument='words create list renew revoke'
            ;;
        'tokens create')
            flags='--user --name --lifetime --output -o --config -c --default-token-lifetime --max-token-lifetime --state-dir --postgres-url --help -h'
            case $option in
                --user) next='names users' ;;
                --name | --lifetime | --default-token-lifetime | --max-token-lifetime | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'tokens list')
            flags='--user --revoked --all --wide --columns --output -o --config -c --state-dir --postgres-url --help -h'
            case $option in
                --user) next='names users' ;;
                --columns | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'tokens renew')
            flags='--lifetime --output -o --config -c --default-token-lifetime --max-token-lifetime --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names tokens'
            case $option in
                --lifetime | --default-token-lifetime | --max-token-lifetime | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'tokens revoke')
            flags='--output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names tokens'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'policies')
            flags='--help -h'
            ((given)) || argument='words list explain'
            ;;
        'policies list')
            flags='--wide --columns --output -o --config -c --help -h'
            case $option in
                --columns) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
            esac
            ;;
        'policies explain')
            flags='--output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            ((given == 1)) && argument='names models'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'prices')
            flags='--help -h'
            ((given)) || argument='words list show update recompute'
            ;;
        'prices list')
            flags='--provider --model --wide --columns --output -o --config -c --state-dir --help -h'
            case $option in
                --provider) next='names providers' ;;
                --model | --columns) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'prices show')
            flags='--provider --output -o --config -c --state-dir --help -h'
            ((given == 0)) && argument='names models'
            case $option in
                --provider) next='names providers' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'prices update')
            flags='--url --output -o --config -c --aibridge-upstream-proxy --state-dir --help -h'
            case $option in
                --url | --aibridge-upstream-proxy) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'prices recompute')
            flags='--since --until --provider --model --user --dry-run --output -o --config -c --state-dir --postgres-url --aibridge-unpriced --help -h'
            case $option in
                --since | --until | --postgres-url) next='nothing' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --user) next='names users' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --aibridge-unpriced) next='words allow deny RATE' ;;
            esac
            ;;
        'budgets')
            flags='--help -h'
            ((given)) || argument='words set list show delete'
            ;;
        'budgets set')
            flags='--user --group --pool --token --organization --daily --weekly --monthly --output -o --config -c --state-dir --postgres-url --help -h'
            case $option in
                --user) next='names users' ;;
                --group | --pool) next='names groups' ;;
                --token) next='names tokens' ;;
                --daily | --weekly | --monthly | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'budgets list')
            flags='--wide --columns --output -o --config -c --state-dir --postgres-url --help -h'
            case $option in
                --columns | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'budgets show')
            flags='--output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names users'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'budgets delete')
            flags='--yes --output -o --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='names limits'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'audit')
            flags='--help -h'
            ((given)) || argument='words list'
            ;;
        'audit list')
            flags='--actor --action --target --started-after --started-before --limit -n --after-id --wide --columns --output -o --config -c --state-dir --postgres-url --help -h'
            case $option in
                --actor | --action | --target | --started-after | --started-before | --limit | -n | --after-id | --columns | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json jsonl csv' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'interceptions')
            flags='--help -h'
            ((given)) || argument='words list show'
            ;;
        'interceptions list')
            flags='--after-id --min-cost --text --tool --error --wide --columns --output -o --initiator --user --started-after --started-before --provider --model --client --session --status --failed --limit -n --config -c --state-dir --postgres-url --help -h'
            case $option in
                --after-id | --min-cost | --text | --tool | --error | --columns | --started-after | --started-before | --limit | -n | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json jsonl csv' ;;
                --initiator | --user) next='names initiators' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --client) next='names clients' ;;
                --session) next='names sessions' ;;
                --status) next='words open completed failed client_closed interrupted' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'interceptions show')
            flags='--config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='nothing'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'sessions')
            flags='--help -h'
            ((given)) || argument='words list show'
            ;;
        'sessions list')
            flags='--min-cost --text --tool --error --wide --columns --output -o --initiator --user --started-after --started-before --provider --model --client --session --status --failed --limit -n --config -c --state-dir --postgres-url --help -h'
            case $option in
                --min-cost | --text | --tool | --error | --columns | --started-after | --started-before | --limit | -n | --postgres-url) next='nothing' ;;
                --output | -o) next='words table json jsonl csv' ;;
                --initiator | --user) next='names initiators' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --client) next='names clients' ;;
                --session) next='names sessions' ;;
                --status) next='words open completed failed client_closed interrupted' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'sessions show')
            flags='--full --output -o --config -c --state-dir --postgres-url --aibridge-unpriced --help -h'
            ((given == 0)) && argument='names sessions'
            case $option in
                --output | -o) next='words text json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
                --aibridge-unpriced) next='words allow deny RATE' ;;
            esac
            ;;
        'export')
            flags='--help -h'
            ((given)) || argument='words interceptions sessions usage'
            ;;
        'export interceptions')
            flags='--min-cost --format -f --output -o --force --with-texts --raw --initiator --user --started-after --started-before --provider --model --client --session --status --failed --config -c --state-dir --postgres-url --help -h'
            case $option in
                --min-cost | --started-after | --started-before | --postgres-url) next='nothing' ;;
                --format | -f) next='words csv jsonl parquet' ;;
                --output | -o | --config | -c) next='files' ;;
                --initiator | --user) next='names initiators' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --client) next='names clients' ;;
                --session) next='names sessions' ;;
                --status) next='words open completed failed client_closed interrupted' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'export sessions')
            flags='--format -f --output -o --force --with-texts --raw --initiator --user --started-after --started-before --provider --model --client --session --status --failed --config -c --state-dir --postgres-url --help -h'
            case $option in
                --format | -f) next='words csv jsonl parquet' ;;
                --output | -o | --config | -c) next='files' ;;
                --initiator | --user) next='names initiators' ;;
                --started-after | --started-before | --postgres-url) next='nothing' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --client) next='names clients' ;;
                --session) next='names sessions' ;;
                --status) next='words open completed failed client_closed interrupted' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'export usage')
            flags='--by --group --key --format -f --output -o --force --raw --charge-period --initiator --user --started-after --started-before --provider --model --client --session --status --failed --config -c --state-dir --postgres-url --help -h'
            case $option in
                --by) next='words user group model provider key client session token month day hour' ;;
                --group) next='names groups' ;;
                --key | --started-after | --started-before | --postgres-url) next='nothing' ;;
                --format | -f) next='words csv jsonl parquet focus' ;;
                --output | -o | --config | -c) next='files' ;;
                --charge-period) next='words hour day' ;;
                --initiator | --user) next='names initiators' ;;
                --provider) next='names providers' ;;
                --model) next='names models' ;;
                --client) next='names clients' ;;
                --session) next='names sessions' ;;
                --status) next='words open completed failed client_closed interrupted' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'db')
            flags='--help -h'
            ((given)) || argument='words upgrade check prune backup restore'
            ;;
        'db upgrade')
            flags='--config -c --state-dir --postgres-url --help -h'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'db check')
            flags='--config -c --state-dir --postgres-url --help -h'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'db prune')
            flags='--older-than --config -c --state-dir --postgres-url --aibridge-retention --aibridge-audit-retention --help -h'
            case $option in
                --older-than | --postgres-url | --aibridge-retention | --aibridge-audit-retention) next='nothing' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'db backup')
            flags='--force --config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='files'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'db restore')
            flags='--config -c --state-dir --postgres-url --help -h'
            ((given == 0)) && argument='files'
            case $option in
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
                --postgres-url) next='nothing' ;;
            esac
            ;;
        'proxy')
            flags='--config -c --aibridge-upstream-proxy --aibridge-auth --coder-url --aibridge-revocation-grace --state-dir --shutdown-timeout --aibridge-proxy-listen-addr --aibridge-proxy-tls-cert-file --aibridge-proxy-tls-key-file --aibridge-proxy-cert-file --aibridge-proxy-key-file --aibridge-proxy-upstream --aibridge-proxy-upstream-ca --aibridge-proxy-allowed-private-cidrs --aibridge-proxy-target --log-human --log-json --help -h'
            ((given)) || argument='words init-ca status'
            case $option in
                --config | -c | --aibridge-proxy-tls-cert-file | --aibridge-proxy-tls-key-file | --aibridge-proxy-cert-file | --aibridge-proxy-key-file | --aibridge-proxy-upstream-ca | --log-human | --log-json) next='files' ;;
                --aibridge-upstream-proxy | --coder-url | --aibridge-revocation-grace | --shutdown-timeout | --aibridge-proxy-listen-addr | --aibridge-proxy-upstream | --aibridge-proxy-allowed-private-cidrs | --aibridge-proxy-target) next='nothing' ;;
                --aibridge-auth) next='words token coder none' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
        'proxy init-ca')
            flags='--name --lifetime --only-for --help -h'
            ((given == 0)) && argument='directories'
            case $option in
                --name | --lifetime | --only-for) next='nothing' ;;
            esac
            ;;
        'proxy status')
            flags='--watch -w --output -o --config -c --state-dir --help -h'
            case $option in
                --output | -o) next='words table json' ;;
                --config | -c) next='files' ;;
                --state-dir) next='directories' ;;
            esac
            ;;
    esac
    if [[ ! $next ]]; then
        next=$argument
        [[ $typed == -* ]] && next="words $flags"
    fi

    local found=()
    case $next in
        files)
            compopt -o default
            return
            ;;
        directories)
            compopt -o dirnames
            return
            ;;
        names*)
            mapfile -t found < <("$1" complete "${next#names }" -- "${words[@]:1}" 2>/dev/null)
            found=("${found[@]%%$'\t'*}")
            ;;
        words*)
            read -ra found <<<"${next#words }"
            ;;
    esac

    # Readline replaces what stands behind the last = or : only.
    local quote= before= after=
    if [[ $typed == [\"\']* ]]; then
        quote=1 typed=${typed:1}
    else
        typed=${typed//\\/}
        [[ $COMP_WORDBREAKS == *:* && $typed == *:* ]] && before=${typed%"${typed##*:}"}
        [[ $COMP_WORDBREAKS != *=* && $inline ]] && after=$option=
    fi
    for word in "${found[@]}"; do
        if [[ $word == "$typed"* ]]; then
            word=${word#"$before"}
            [[ $quote ]] || printf -v word %q "$word"
            COMPREPLY+=("$after$word")
        fi
    done
}

complete -F _aibridged aibridged
