"""Issuers at which anybody can have an account: being signed in there says nothing of a company.

Sources: the providers' own documentation of their issuers.
"""

from urllib.parse import urlsplit

GOOGLE = "https://accounts.google.com"

# Of all personal Microsoft accounts, which "consumers" stands for.
_PERSONAL_ACCOUNTS = "9188040d-6c67-4c5b-b112-36a304b66dad"
_ENTRA_HOSTS = frozenset({"login.microsoftonline.com", "login.microsoft.com", "sts.windows.net"})
_PUBLIC_HOSTS = {
    "accounts.google.com": "Google",
    "api.login.yahoo.com": "Yahoo",
    "appleid.apple.com": "Apple",
    "github.com": "GitHub",
    "gitlab.com": "GitLab",
    "id.twitch.tv": "Twitch",
    "login.live.com": "Microsoft",
    "slack.com": "Slack",
    "token.actions.githubusercontent.com": "GitHub",
    "www.facebook.com": "Facebook",
    "www.linkedin.com": "LinkedIn",
}


def owner(issuer: str) -> str | None:
    """Whose accounts these are, where anybody can have one; None: an organization's own issuer."""
    url = urlsplit(issuer)
    host = (url.hostname or "").rstrip(".")
    if host in _ENTRA_HOSTS and _tenant(issuer) in ("consumers", _PERSONAL_ACCOUNTS):
        return "Microsoft"
    return _PUBLIC_HOSTS.get(host)


def is_of_no_tenant(issuer: str) -> bool:
    """Whether it stands for all tenants of Entra: each token then has another issuer."""
    host = urlsplit(issuer).hostname or ""
    return host in _ENTRA_HOSTS and _tenant(issuer) in ("common", "organizations")


def _tenant(issuer: str) -> str:
    return urlsplit(issuer).path.strip("/").partition("/")[0].lower()
