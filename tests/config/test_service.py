"""The settings of the service on this machine, as `packaging/systemd` installs it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from aibridged.config import load, service
from aibridged.config.almost_variables import CONFIG_VARIABLE

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine with the service, which has nothing but its state directory yet."""
    (tmp_path / "var/lib/aibridged").mkdir(parents=True, mode=0o700)
    (tmp_path / "etc/aibridged/credentials").mkdir(parents=True)
    monkeypatch.setattr(service, "ROOT", tmp_path)
    return tmp_path


def test_the_paths_are_those_of_the_unit() -> None:
    unit = (UNITS / "aibridged.service").read_text()
    assert f"Environment={CONFIG_VARIABLE}=/{service._CONFIG}\n" in unit
    assert f"EnvironmentFile=-/{service._ENVIRONMENT}\n" in unit
    assert f"LoadCredential=aibridged:/{service._CREDENTIALS}\n" in unit
    assert "StateDirectory=aibridged\n" in unit
    assert service.state_dir() == Path("/var/lib/aibridged")


def test_without_a_service_there_are_none(root: Path) -> None:
    (root / "var/lib/aibridged").rmdir()
    assert service.environment({}, {}) is None
    assert not service.is_out_of_reach()


def test_everything_that_the_unit_gives_the_daemon(root: Path) -> None:
    etc = root / "etc/aibridged"
    (etc / "aibridged.yaml").touch()
    (etc / "credentials/postgres-url").write_text("postgres://db/x\n")
    (etc / "aibridged.env").write_text(
        "# A=comment\n"
        "CODER_AIBRIDGE_RETENTION=30d\n"
        'CODER_VERBOSE="true"\n'
        "CODER_HTTP_ADDRESS='[::1]:4001'  \n"
        "not a variable\n"
    )
    assert service.environment({}, {"CODER_VERBOSE": "false", "HOME": "/h"}) == {
        "STATE_DIRECTORY": str(root / "var/lib/aibridged"),
        "CODER_CONFIG_PATH": str(etc / "aibridged.yaml"),
        "CODER_PG_CONNECTION_URL_FILE": str(etc / "credentials/postgres-url"),
        "CODER_AIBRIDGE_RETENTION": "30d",
        "CODER_HTTP_ADDRESS": "[::1]:4001",
        "CODER_VERBOSE": "false",
        "HOME": "/h",
    }
    settings = load.resolve({}, service.environment({}, {}) or {}).settings
    assert settings is not None
    assert settings.postgres_url is not None
    assert settings.retention == 30 * 86_400


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        ({"--config": "x"}, {}),
        ({"--state-dir": "x"}, {}),
        ({"--postgres-url": "x"}, {}),
        ({}, {"CODER_CONFIG_PATH": "x"}),
        ({}, {"CODER_STATE_DIR": "x"}),
        ({}, {"STATE_DIRECTORY": "x"}),
        ({}, {"CREDENTIALS_DIRECTORY": "x"}),
        ({}, {"CODER_PG_CONNECTION_URL": "x"}),
        ({}, {"CODER_PG_CONNECTION_URL_FILE": "x"}),
    ],
)
def test_settings_of_ones_own_are_all_that_counts(
    root: Path, flags: Mapping[str, str], environ: Mapping[str, str]
) -> None:
    assert service.environment(flags, environ) is None


def test_files_that_are_no_text_are_passed_over(root: Path) -> None:
    (root / "etc/aibridged/aibridged.env").write_bytes(b"A=\xff\n")
    assert service.environment({}, {}) == {"STATE_DIRECTORY": str(root / "var/lib/aibridged")}
