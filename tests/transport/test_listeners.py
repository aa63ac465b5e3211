"""Addresses that can't be listened on, each with its remedy; and those that clients are told."""

import errno
import socket

import pytest

from aibridged.config.kinds import Address
from aibridged.transport import listeners
from aibridged.transport.listeners import cannot_listen


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EADDRINUSE, "Stop the process that listens there (ss -ltnp sport = :80 names it)"),
        (errno.EACCES, "need a privilege: choose a higher one with --x, give the daemon CAP_NET_"),
        (errno.EADDRNOTAVAIL, "This machine has no such address: set --x to one that `ip address`"),
        (errno.EAFNOSUPPORT, "This machine has no IPv6: set --x to an IPv4 address, such as 127."),
        (errno.ENOBUFS, "Choose another --x."),
    ],
)
def test_each_reason_has_its_remedy(number: int, remedy: str) -> None:
    error = cannot_listen(Address("h", 80), "--x", OSError(number, ""))
    assert error.what.startswith("Cannot listen on h:80: ")
    assert remedy in error.remedy
    assert error.in_use == (number == errno.EADDRINUSE)


def test_a_name_without_an_address() -> None:
    error = cannot_listen(Address("h", 80), "--x", socket.gaierror(-2, "Name or service"))
    assert str(error) == (
        "Cannot listen on h:80: the name h has no address. "
        "Set --x to an address of this machine, such as 127.0.0.1:80."
    )


def test_the_least_port_is_the_systems(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(listeners, "_UNPRIVILEGED", tmp_path / "port")
    assert listeners._least_port() == 1024
    (tmp_path / "port").write_text("80\n")
    assert listeners._least_port() == 80


@pytest.mark.parametrize("every", ["0.0.0.0", "::"])
def test_clients_are_told_an_address_of_this_machine(every: str) -> None:
    host, port = listeners._reachable((every, 4001), named=False)
    assert host not in ("0.0.0.0", "::")
    assert port == 4001
    host, _ = listeners._reachable((every, 4001), named=True)
    assert host == socket.gethostname()


@pytest.mark.parametrize("name", [("127.0.0.2", 1), "/run/a.sock", b"\0a"])
def test_other_addresses_are_told_as_they_are(name) -> None:
    assert listeners._reachable(name, named=True) == name
