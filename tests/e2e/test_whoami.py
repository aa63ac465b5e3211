"""The owner of a token is told who they are, over HTTP; nobody else is."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from aibridged.identity.tables import group_members, groups
from aibridged.identity.tokens import TokenStore

PATH = "/api/v2/users/me"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_the_owner_of_a_token_is_told_who_they_are(recording, client, clock):
    store = TokenStore(recording.database.engine, clock)
    user = store.create_user("ann", email="ann@example.com")
    _, secret = store.create_token("ann", name="laptop", lifetime=86400.0)
    token = secret.reveal()
    now = clock.wall()
    with recording.database.engine.begin() as connection:
        connection.execute(sa.insert(groups).values(id="g", name="team", created_at=now))
        member = {"group_id": "g", "user_id": user.id, "by_sign_in": False, "created_at": now}
        connection.execute(sa.insert(group_members).values(member))
    gateway = await recording.start(auth="token")
    async with client.get(gateway.url + PATH, headers={"X-Coder-Token": token}) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        said = await answer.json()
    assert said == {
        "id": user.id,
        "username": "ann",
        "email": "ann@example.com",
        "status": "active",
        "roles": [{"name": "member", "display_name": "Member"}],
        "groups": ["team"],
        "expires_at": (now + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
    }
    async with client.get(gateway.url + PATH) as answer:
        assert answer.status == 401
    async with client.post(gateway.url + PATH, headers={"X-Coder-Token": token}) as answer:
        assert answer.status == 405
