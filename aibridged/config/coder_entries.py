"""Entries of a YAML file of `coder server` that are for other parts of Coder.

`coder server --write-config` writes every setting of the server, set or not. Such an entry says
nothing as long as it is off, or has Coder's default: then it is passed over, and the file loads.
With any other value it is a mistake, as what it asks for would not happen.
"""

import re

# Groups that only Coder has.
_GROUPS = frozenset(
    {
        "client",
        "chat",
        "email",
        "email.emailAuth",
        "email.emailTLS",
        "introspection.healthcheck",
        "introspection.pprof",
        "introspection.statsCollection",
        "introspection.statsCollection.usageStats",
        "networking.derp",
        "notifications",
        "notifications.email",
        "notifications.email.emailAuth",
        "notifications.email.emailTLS",
        "notifications.inbox",
        "notifications.webhook",
        "oauth2",
        "oauth2.github",
        "provisioning",
        "retention",
        "telemetry",
        "templateBuilder",
        "userQuietHoursSchedule",
        "workspace_prebuilds",
    }
)
# Groups of which some entries are settings here.
_SHARED_GROUPS = frozenset({"oidc"})
_OFF = frozenset({"", "false", "0", "0s", "{}", "[]", "~", "null"})
# Entries that are off by default, outside of these groups.
_OFF_BY_DEFAULT = frozenset(
    {
        "allowWorkspaceRenames",
        "disableChatSharing",
        "disableOwnerWorkspaceAccess",
        "disablePathApps",
        "disableWorkspaceSharing",
        "enableSwagger",
        "ephemeralDeployment",
        "experiments",
        "externalAuthProviders",
        "introspection.logging.enableTerraformDebugMode",
        "introspection.prometheus.collect_agent_stats",
        "introspection.prometheus.collect_db_metrics",
        "introspection.tracing.dataDog",
        "networking.browserOnly",
        "networking.hostPrefixCookie",
        "networking.http.additionalCSPPolicy",
        "networking.http.disablePasswordAuth",
        "networking.http.disableSessionExpiryRefresh",
        "networking.redirectToAccessURL",
        "networking.secureAuthCookie",
        "networking.tls.certFiles",
        "networking.tls.clientCAFile",
        "networking.tls.clientCertFile",
        "networking.tls.clientKeyFile",
        "networking.tls.enable",
        "networking.tls.keyFiles",
        "networking.tls.strictTransportSecurity",
        "networking.tls.strictTransportSecurityOptions",
        "networking.tls.tlsAllowInsecureCiphers",
        "networking.tls.tlsCiphers",
        "networking.wildcardAccessURL",
        "oidc.accessTokenClaims",
        "oidc.dangerousSkipIssuerChecks",
        "oidc.iconURL",
        "oidc.oidc-redirect-url",
        "oidc.oidcClientCertFile",
        "oidc.oidcClientKeyFile",
        "oidc.organizationField",
        "oidc.organizationMapping",
        "oidc.signupsDisabledText",
        "oidc.userRoleDefault",
        "supportLinks",
        "termsOfServiceURL",
        "updateCheck",
        "wgtunnelHost",
    }
)
# Coder's defaults that aren't off. Those of several versions of Coder stand next to each other.
_DEFAULTS = {
    "agentFallbackTroubleshootingURL": (
        "https://coder.com/docs/admin/templates/troubleshooting",
        "https://coder.com/docs/templates/troubleshooting",
    ),
    "autobuildPollInterval": ("1m0s",),
    "client.sshHostnamePrefix": ("coder.",),
    "client.webTerminalRenderer": ("canvas",),
    "client.workspaceHostnameSuffix": ("coder",),
    "defaultOAuthRefreshLifetime": ("720h0m0s",),
    "email.hello": ("localhost",),
    "externalAuthGithubDefaultProviderEnable": ("true",),
    "introspection.healthcheck.refresh": ("10m0s",),
    "introspection.healthcheck.thresholdDatabase": ("15ms",),
    "introspection.pprof.address": ("127.0.0.1:6060",),
    "introspection.prometheus.aggregate_agent_stats_by": (
        "agent_name,template_name,username,workspace_name",
    ),
    "introspection.statsCollection.usageStats.enable": ("true",),
    "jobHangDetectorInterval": ("1m0s",),
    "networking.derp.enable": ("true",),
    "networking.derp.regionCode": ("coder",),
    "networking.derp.regionID": ("999",),
    "networking.derp.regionName": ("Coder Embedded Relay",),
    "networking.derp.stunAddresses": (
        "stun.l.google.com:19302,stun1.l.google.com:19302,stun2.l.google.com:19302,"
        "stun3.l.google.com:19302,stun4.l.google.com:19302",
    ),
    "networking.docsURL": ("https://coder.com/docs",),
    "networking.http.maxAdminTokenLifetime": ("168h0m0s",),
    "networking.http.proxyHealthInterval": ("1m0s",),
    "networking.sameSiteAuthCookie": ("lax",),
    "networking.tls.address": ("127.0.0.1:3443",),
    "networking.tls.clientAuth": ("none",),
    "networking.tls.minVersion": ("tls12",),
    "networking.tls.redirectHTTP": ("true",),
    "notifications.dispatchTimeout": ("1m0s",),
    "notifications.email.hello": ("localhost",),
    "notifications.fetchInterval": ("15s",),
    "notifications.inbox.enabled": ("true",),
    "notifications.leaseCount": ("20",),
    "notifications.leasePeriod": ("2m0s",),
    "notifications.maxSendAttempts": ("5",),
    "notifications.method": ("smtp",),
    "notifications.retryInterval": ("5m0s",),
    "notifications.storeSyncBufferSize": ("50",),
    "notifications.storeSyncInterval": ("2s",),
    "oauth2.github.defaultProviderEnable": ("true",),
    "oidc.organizationAssignDefault": ("true",),
    "pgAuth": ("password",),
    "pgConnMaxIdle": ("auto",),
    "pgConnMaxOpen": ("10",),
    "provisioning.daemonPollInterval": ("1s",),
    "provisioning.daemonPollJitter": ("100ms",),
    "provisioning.daemonTypes": ("terraform",),
    "provisioning.daemons": ("3",),
    "provisioning.forceCancelInterval": ("10m0s",),
    "retention.api_keys": ("168h0m0s",),
    "retention.workspace_agent_logs": ("168h0m0s",),
    "sshKeygenAlgorithm": ("ed25519",),
    "telemetry.enable": ("true",),
    "telemetry.url": ("https://telemetry.coder.com",),
    "templateBuilder.registryURL": ("https://registry.coder.com",),
    "userQuietHoursSchedule.allowCustomQuietHours": ("true",),
    "userQuietHoursSchedule.defaultQuietHoursSchedule": ("CRON_TZ=UTC 0 0 * * *",),
    "workspace_prebuilds.failure_hard_limit": ("3",),
    "workspace_prebuilds.reconciliation_backoff_interval": ("1m0s",),
    "workspace_prebuilds.reconciliation_backoff_lookback_period": ("1h0m0s",),
    "workspace_prebuilds.reconciliation_interval": ("1m0s",),
}
# These are found out on the machine, so that a written file always has a value.
_ANY = frozenset({"cacheDir"})
# Of the gateway's own groups, in both of their names.
_GATEWAY_OFF = frozenset(
    {
        "bedrock_base_url",
        "bedrock_region",
        "inject_coder_mcp_tools",
        "proxy.api_dump_dir",
        "proxy.domain_allowlist",
    }
)
_GATEWAY_DEFAULTS = {
    "actor_header_id": ("X-AI-Bridge-Actor-ID",),
    "actor_header_username": ("X-AI-Bridge-Actor-Metadata-Username",),
    "bedrock_model": ("global.anthropic.claude-sonnet-4-5-20250929-v1:0",),
    "bedrock_small_fast_model": ("global.anthropic.claude-haiku-4-5-20251001-v1:0",),
    "budget_period": ("month",),
    "budget_policy": ("highest",),
    "proxy.domain_allowlist": (
        "api.anthropic.com,api.openai.com",
        "api.anthropic.com,api.openai.com,api.individual.githubcopilot.com",
    ),
}
_GATEWAY = re.compile(r"(?:aibridge|ai_gateway)(_?proxy)?\.")


def is_group(key: str) -> bool:
    """Whether Coder alone has a group of entries of this dotted name."""
    return key in _GROUPS


def is_coders(key: str) -> bool:
    """Whether an entry of this dotted name is for another part of Coder."""
    own = _own(key)
    if own is not None:
        return own in _GATEWAY_OFF or own in _GATEWAY_DEFAULTS
    known = key in _DEFAULTS or key in _OFF_BY_DEFAULT or key in _ANY
    return known or key.rpartition(".")[0] in _GROUPS


def says_nothing(key: str, text: str) -> bool:
    """Whether an entry asks for nothing: it is Coder's, and is off or has Coder's default.

    In a group that Coder has, an entry that is off may have any name: versions differ.
    """
    own = _own(key)
    defaults = _DEFAULTS.get(key, ()) if own is None else _GATEWAY_DEFAULTS.get(own, ())
    may_be_off = is_coders(key) or key.rpartition(".")[0] in _SHARED_GROUPS
    return key in _ANY or text in defaults or (text in _OFF and may_be_off)


def _own(key: str) -> str | None:
    """The name of an entry of the gateway's groups, those of the AI Proxy below `proxy.`."""
    match = _GATEWAY.match(key)
    if match is None:
        return None
    name = key[match.end() :]
    return f"proxy.{name}" if match[1] else name
