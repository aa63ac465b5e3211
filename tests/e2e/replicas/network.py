"""Machines of a test: network namespaces on one bridge. They take Linux, and root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NEEDED = ("ip", "iptables", "haproxy")


def why_not() -> str | None:
    """Why there can't be any here; None: there can."""
    if os.geteuid() != 0:
        return "NOT TESTED WITH SEVERAL MACHINES: it takes root to make network namespaces"
    missing = [name for name in NEEDED if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"NOT TESTED WITH SEVERAL MACHINES: {', '.join(missing)} is not installed"
    probe = f"aib{os.getpid()}x"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"NOT TESTED WITH SEVERAL MACHINES: {made.stderr.strip()}"
    _run("ip", "netns", "del", probe)
    return None


class Network:
    """A bridge, where this process has the address `here`, and the machines on it."""

    def __init__(self) -> None:
        self._name = f"aib{os.getpid() % 100_000}"
        self._net = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self.here = f"{self._net}.1"
        self._machines: list[str] = []

    def open(self) -> None:
        """Make the bridge."""
        _run("ip", "link", "add", self._name, "type", "bridge")
        _run("ip", "address", "add", f"{self.here}/24", "dev", self._name)
        _run("ip", "link", "set", self._name, "up")

    def add(self) -> "Machine":
        """A machine."""
        number = len(self._machines) + 10
        name, outer = f"{self._name}n{number}", f"{self._name}v{number}"
        _run("ip", "netns", "add", name)
        self._machines.append(name)
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", outer, "master", self._name, "up")
        machine = Machine(name, f"{self._net}.{number}")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{machine.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            _run(*machine.inside, "ip", *words)
        return machine

    def close(self) -> None:
        """Remove it all."""
        for name in self._machines:
            with suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "del", name)
        with suppress(subprocess.CalledProcessError):
            _run("ip", "link", "del", self._name)


class Machine:
    """A network namespace; `inside` goes before a command that is to run there."""

    def __init__(self, name: str, address: str) -> None:
        self.address = address
        self.inside = ("ip", "netns", "exec", name)

    @contextmanager
    def cut_off(self, other: "Machine") -> Iterator[None]:
        """Nothing passes between this machine and another, and neither is told."""
        rules = [("OUTPUT", "-d", other.address), ("INPUT", "-s", other.address)]
        for rule in rules:
            _run(*self.inside, "iptables", "-A", *rule, "-j", "DROP")
        try:
            yield
        finally:
            for rule in rules:
                _run(*self.inside, "iptables", "-D", *rule, "-j", "DROP")


_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PATH": _PATH})
