"""The small wheel has the commands of sign-in, and needs nothing else."""

import subprocess
import sys
import zipfile

import pytest

import aibridged


@pytest.fixture(scope="module")
def program(built, tmp_path_factory):
    """The command of an environment that has nothing but the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    quiet = ["install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*pip, *quiet, built.login_wheel], check=True)
    return folder / "bin" / "aibridged-login"


def test_it_has_the_sources_of_the_package(built, root):
    with zipfile.ZipFile(built.login_wheel) as wheel:
        files = {
            name.removeprefix("aibridged_login/"): wheel.read(name)
            for name in wheel.namelist()
            if name.startswith("aibridged_login/")
        }
    source = root / "aibridged" / "login"
    assert files == {
        path.relative_to(source).as_posix(): path.read_bytes() for path in source.rglob("*.py")
    }


def run(program, home, *arguments):
    ran = subprocess.run(
        [program, *arguments],
        env={"HOME": str(home), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return ran.returncode, ran.stdout, ran.stderr


def test_its_command_works_alone(program, tmp_path):
    version = f"aibridged-login {aibridged.__version__}\n"
    assert run(program, tmp_path, "--version") == (0, version, "")
    status, out, _ = run(program, tmp_path, "--help")
    assert status == 0
    assert "access-token" in out
    assert run(program, tmp_path, "whoami") == (
        1,
        "",
        "aibridged-login whoami: you are not signed in\n  → Run `aibridged-login login URL`.\n",
    )


def test_agents_are_told_to_call_it(program, tmp_path):
    status, out, _ = run(
        program, tmp_path, "setup", "codex", "--url", "https://gateway.example.com", "--yes"
    )
    assert status == 0
    assert f'command = "{program}"' in out
    assert f'command = "{program}"' in (tmp_path / ".codex" / "config.toml").read_text()
