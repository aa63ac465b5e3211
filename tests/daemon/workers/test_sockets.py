"""The addresses of a group of workers, which no other program gets."""

import os
import socket

import pytest

from aibridged.config.kinds import Address
from aibridged.config.options import Settings
from aibridged.daemon.workers.sockets import GroupSockets, check_certificates
from aibridged.transport.acceptor import BACKLOG
from aibridged.transport.listeners import CannotListenError

SETTINGS = Settings(http_address=Address("127.0.0.1", 0))


def inherited(descriptors: dict[str, list[int]]) -> list[socket.socket]:
    return [socket.socket(fileno=os.dup(each)) for each in descriptors["http"]]


async def test_each_worker_has_a_socket_at_the_same_address() -> None:
    group = GroupSockets()
    await group.open(SETTINGS, {})
    workers = []
    for _ in range(2):
        with group.for_one() as descriptors:
            workers += inherited(descriptors)
    one, other = workers
    assert one.getsockname() == other.getsockname()
    one.listen(BACKLOG)
    with socket.create_connection(one.getsockname()):
        one.accept()[0].close()
    # One that dies takes its queue along, and the next client gets to the other.
    other.listen(BACKLOG)
    one.close()
    for _ in range(8):
        with socket.create_connection(other.getsockname()):
            other.accept()[0].close()
    other.close()
    group.close()


async def test_another_daemon_cannot_have_it_even_while_no_worker_listens() -> None:
    group = GroupSockets()
    await group.open(SETTINGS, {})
    with group.for_one() as descriptors:
        [mine] = inherited(descriptors)
    taken = Settings(http_address=Address(*mine.getsockname()))
    second = GroupSockets()
    for listens in (False, True):
        if listens:
            mine.listen(BACKLOG)
        with pytest.raises(CannotListenError) as caught:
            await second.open(taken, {})
        assert caught.value.in_use
    mine.close()
    group.close()
    await second.open(taken, {})
    second.close()


async def test_sockets_that_systemd_passed_are_given_to_each() -> None:
    group = GroupSockets()
    with socket.create_server(("127.0.0.1", 0)) as passed:
        await group.open(SETTINGS, {"http": [passed]})
        for _ in range(2):
            with group.for_one() as descriptors:
                assert descriptors == {"http": [passed.fileno()]}
        assert passed.fileno() >= 0


def test_a_certificate_is_checked_for_all(tmp_path) -> None:
    (tmp_path / "none.pem").write_text("nonsense")
    file = tmp_path / "none.pem"
    with pytest.raises(CannotListenError, match="not a certificate"):
        check_certificates(Settings(tls_cert_file=file, tls_key_file=file))
