import pytest

from aibridged.identity.none import LOCAL_ACTOR, NoneAuthenticator


@pytest.mark.parametrize("token", [None, "anything"])
async def test_everybody_is_the_local_actor(token):
    assert await NoneAuthenticator().authenticate(token) is LOCAL_ACTOR
    assert not NoneAuthenticator().refuses("anything")
