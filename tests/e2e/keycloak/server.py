"""A real Keycloak with a realm; `python -m tests.e2e.keycloak.server FOLDER` fetches it.

It is from Maven Central, and needs Java 17 and mvn. The realm has the groups devs and ops, alice,
who is in devs, bob and carol.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zipfile import ZipFile

VERSION = "26.7.3"
REALM = "staff"
CLIENT_ID = "gateway"
CLIENT_SECRET = "the-gateways-secret"
REDIRECT_URI = "http://127.0.0.1:4001/oauth/callback"
PASSWORD = "correct horse"
START_S = 240.0
_ADMIN = {"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin"}
_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"


def _user(username: str, *groups: str) -> dict[str, Any]:
    return {
        "username": username,
        "enabled": True,
        "email": f"{username}@example.com",
        "emailVerified": True,
        "firstName": username.title(),
        "lastName": "Example",
        "credentials": [{"type": "password", "value": PASSWORD}],
        "groups": list(groups),
        "realmRoles": [f"default-roles-{REALM}"],
    }


_GROUPS_MAPPER = {
    "name": "groups",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-group-membership-mapper",
    "config": {
        "claim.name": "groups",
        "full.path": "false",
        "id.token.claim": "true",
        "userinfo.token.claim": "true",
    },
}


def _realm(*redirect_uris: str) -> dict[str, Any]:
    return {
        "realm": REALM,
        "enabled": True,
        # A refresh token is good once.
        "revokeRefreshToken": True,
        "groups": [{"name": "devs"}, {"name": "ops"}],
        "users": [_user("alice", "devs"), _user("bob", "ops"), _user("carol", "ops")],
        "clients": [
            {
                "clientId": CLIENT_ID,
                "secret": CLIENT_SECRET,
                "redirectUris": [REDIRECT_URI, *redirect_uris],
                "standardFlowEnabled": True,
                "attributes": {"pkce.code.challenge.method": "S256"},
                "protocolMappers": [_GROUPS_MAPPER],
            }
        ],
    }


def home(folder: Path) -> Path:
    """Where Keycloak is, if it was fetched."""
    return folder / f"keycloak-{VERSION}"


def fetch(folder: Path) -> None:
    """Fetch Keycloak through Maven, unless it is there."""
    if home(folder).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    where = f"-DoutputDirectory={folder.resolve()}"
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={_ARTIFACT}", where]
    subprocess.run(command, cwd=folder, check=True, timeout=900)
    archive = folder / f"keycloak-quarkus-dist-{VERSION}.zip"
    with ZipFile(archive) as opened:
        opened.extractall(folder)
    archive.unlink()
    (home(folder) / "bin" / "kc.sh").chmod(0o755)


class Keycloak:
    """A running server, with the realm and a database in memory."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.gateway_url = f"http://127.0.0.1:{_free_port()}"
        """Where a gateway may be at which people sign in."""
        self.issuer = f"{self.url}/realms/{REALM}"
        self._log = scratch / "keycloak.log"
        copy = scratch / "keycloak"
        # Starting it writes into its own folder.
        shutil.copytree(home(folder), copy)
        imported = copy / "data" / "import"
        imported.mkdir(parents=True)
        (imported / "realm.json").write_text(
            json.dumps(_realm(f"{self.gateway_url}/oauth/callback"))
        )
        command = [
            str(copy / "bin" / "kc.sh"),
            "start-dev",
            "--import-realm",
            "--db=dev-mem",
            "--cache=local",
            "--http-host=127.0.0.1",
            f"--http-port={port}",
        ]
        environ = {**os.environ, **_ADMIN, "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx768m"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environ, stdout=log, stderr=log, start_new_session=True
            )
        self._wait()

    def close(self) -> None:
        """End the server and what its script has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def disable(self, username: str) -> None:
        self._change(self._user(username), {"enabled": False})

    def move(self, username: str, *, to: str, away_from: str) -> None:
        """Put somebody into a group, and out of another."""
        user = self._user(username)
        ids = {group["name"]: group["id"] for group in self._admin("GET", "groups")}
        self._admin("PUT", f"users/{user['id']}/groups/{ids[to]}")
        self._admin("DELETE", f"users/{user['id']}/groups/{ids[away_from]}")

    def rotate_keys(self) -> None:
        """A key with a higher priority, with which everything is signed from now on."""
        self._admin(
            "POST",
            "components",
            {
                "name": "newer",
                "providerId": "rsa-generated",
                "providerType": "org.keycloak.keys.KeyProvider",
                "config": {"priority": ["200"], "enabled": ["true"], "active": ["true"]},
            },
        )

    def _user(self, username: str) -> Any:
        [user] = self._admin("GET", f"users?exact=true&username={username}")
        return user

    def _change(self, user: Any, changes: dict[str, Any]) -> None:
        self._admin("PUT", f"users/{user['id']}", {**user, **changes})

    def _admin(self, method: str, path: str, body: Any = None) -> Any:
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": _ADMIN["KC_BOOTSTRAP_ADMIN_USERNAME"],
            "password": _ADMIN["KC_BOOTSTRAP_ADMIN_PASSWORD"],
        }
        token_url = f"{self.url}/realms/master/protocol/openid-connect/token"
        with urllib.request.urlopen(token_url, urlencode(form).encode(), timeout=30) as answer:
            token = json.load(answer)["access_token"]
        request = urllib.request.Request(
            f"{self.url}/admin/realms/{REALM}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def _wait(self) -> None:
        """Until the realm can be discovered; a start takes half a minute."""
        url = f"{self.issuer}/.well-known/openid-configuration"
        for _ in range(int(START_S)):
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                if self._process.poll() is not None:
                    break
                time.sleep(1)
        log = self._log.read_text(errors="replace")
        self.close()
        raise RuntimeError(f"Keycloak has not started:\n{log[-4000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
