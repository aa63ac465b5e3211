"""Clients that don't read, and what waits for them."""

import socket

import pytest

from aibridged.transport.client_buffers import MAX_UNSENT, StalledClients, bound_unsent


class Client:
    """One for whom so many bytes wait."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.aborted = False

    @property
    def transport(self) -> "Client":
        return self

    def get_write_buffer_size(self) -> int:
        return self.size

    def abort(self) -> None:
        self.aborted = True


def test_beyond_the_bound_those_are_cut_off_that_have_stalled_longest() -> None:
    stalled = StalledClients(100)
    first, second, third, fourth = clients = [Client(40), Client(40), Client(40), Client(90)]
    stalled.add(first)
    stalled.add(second)
    assert (stalled.buffered, first.aborted) == (80, False)
    stalled.add(third)
    assert [client.aborted for client in clients] == [True, False, False, False]
    stalled.remove(first)  # it is lost by now
    assert stalled.buffered == 80
    stalled.add(fourth)
    assert [client.aborted for client in clients] == [True, True, True, False]
    assert stalled.buffered == 90


def test_who_reads_on_is_forgotten() -> None:
    stalled = StalledClients(100)
    client = Client(60)
    for _ in range(3):
        stalled.add(client)
        client.size = 70
        stalled.add(client)
        assert stalled.buffered == 70
        stalled.remove(client)
        stalled.remove(client)
    assert (stalled.buffered, client.aborted) == (0, False)


def test_who_is_gone_does_not_stall() -> None:
    class Gone(Client):
        transport = None  # type: ignore[assignment]

    stalled = StalledClients(100)
    stalled.add(Gone(1000))
    assert stalled.buffered == 0


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="NOT TESTED: no such option")
async def test_the_system_keeps_little_for_a_client(server, open_connection) -> None:
    kept = []

    async def handler(request):
        connection = request.transport.get_extra_info("socket")
        kept.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))
        raise ConnectionError

    server.handler = handler
    reader, writer = await open_connection()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.read()
    assert kept == [MAX_UNSENT]


def test_what_has_no_such_bound_has_none() -> None:
    class Transport:
        def __init__(self, connection: socket.socket | None) -> None:
            self.connection = connection

        def get_extra_info(self, name: str) -> socket.socket | None:
            return self.connection

    one, other = socket.socketpair()
    with one, other:
        bound_unsent(Transport(one))  # type: ignore[arg-type]
        bound_unsent(Transport(None))  # type: ignore[arg-type]
