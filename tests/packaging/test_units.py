"""The systemd units: correct and hardened to systemd itself, and in step with the daemon."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from aibridged.config.options import OPTIONS, Settings
from aibridged.config.sources import CREDENTIAL_PREFIX
from aibridged.core.connection_limiter import requests_that_fit
from aibridged.daemon import systemd

HIGHEST_EXPOSURE = 1.5


def lines(unit: Path) -> list[tuple[str, str]]:
    """The settings of a unit, each with its value, in their order."""
    text = unit.read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE)


def seconds(span: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(s|min)", span).groups()
    return int(number) * {"s": 1, "min": 60}[unit]


@pytest.fixture
def units(root) -> Path:
    return root / "packaging" / "systemd"


@pytest.fixture
def service(units) -> dict[str, str]:
    return dict(lines(units / "aibridged.service"))


@pytest.fixture
def socket(units) -> dict[str, str]:
    return dict(lines(units / "aibridged.socket"))


def test_systemd_finds_nothing_wrong_once_it_is_installed(program, built, units, tmp_path):
    program("man")  # which systemd asks for the pages that the units name
    names = ("aibridged.service", "aibridged.socket", "aibridged-proxy.socket")
    for name in names:
        text = (units / name).read_text(encoding="utf-8")
        command = f"ExecStart={built.stage}/usr/bin/aibridged"
        (tmp_path / name).write_text(text.replace("ExecStart=aibridged", command))
    said = subprocess.run(
        [program("systemd-analyze"), "verify", *(tmp_path / name for name in names)],
        env={**os.environ, "MANPATH": f"{built.stage}/usr/share/man"},
        capture_output=True,
        text=True,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_the_service_is_hardened(program, units):
    said = subprocess.run(
        [program("systemd-analyze"), "security", "--offline=yes", units / "aibridged.service"],
        capture_output=True,
        text=True,
    )
    [exposure] = re.findall(r"exposure level for aibridged.service: ([0-9.]+)", said.stdout)
    assert float(exposure) <= HIGHEST_EXPOSURE


def test_every_variable_is_the_daemons_and_every_sample_value_can_be_read(units, resolve):
    sample = (units / "aibridged.env").read_text(encoding="utf-8")
    values = dict(re.findall(r"^#(CODER_[A-Z_]+)=(.+)$", sample, re.MULTILINE))
    assert values
    resolution = resolve(values)
    assert resolution.mistakes == []
    found = {value.source.name for value in resolution.values}
    assert values.keys() <= found
    in_unit = [text for name, text in lines(units / "aibridged.service") if name == "Environment"]
    assert in_unit == ["CODER_CONFIG_PATH=/etc/aibridged/aibridged.yaml"]


def test_secrets_are_handed_over_under_the_names_that_the_daemon_looks_for(service, units):
    assert service["LoadCredential"] == f"{CREDENTIAL_PREFIX[:-1]}:/etc/aibridged/credentials"
    secrets = {option.credential for option in OPTIONS if option.secret}
    for file in ("aibridged.service", "aibridged.env"):
        text = (units / file).read_text(encoding="utf-8")
        assert not [name for name in secrets if not re.search(rf"\b{name}\b", text)]


def test_running_streams_have_their_time_before_systemd_kills(service):
    assert seconds(service["TimeoutStopSec"]) >= Settings().shutdown_timeout + 10


def test_there_are_descriptors_for_many_more_requests_than_idle_connections(service):
    places, _ = requests_that_fit(int(service["LimitNOFILE"]), in_use=100)
    assert places >= 4 * Settings().max_idle_connections


def test_the_socket_is_where_the_daemon_would_listen_and_is_called_as_it_expects(socket):
    assert socket["ListenStream"] == str(Settings().http_address)
    assert socket["FileDescriptorName"] == systemd.HTTP


def test_the_ai_proxys_socket_is_where_it_would_listen_and_is_called_as_it_expects(units):
    socket = dict(lines(units / "aibridged-proxy.socket"))
    assert socket["ListenStream"] == str(Settings().proxy_listen_addr)
    assert socket["FileDescriptorName"] == systemd.PROXY
    assert socket["Service"] == "aibridged.service"


def test_the_service_starts_the_daemon_and_brings_the_socket(service, commands):
    program, command = service["ExecStart"].split()
    assert program == "aibridged"
    assert command in commands
    assert service["Also"] == "aibridged.socket"
    assert service["Type"] == "notify"
