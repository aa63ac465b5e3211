"""The commit of an installation: of its file, of the checkout around it, or unknown."""

import subprocess

import pytest

from aibridged.commit import FILE, commit


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "aibridged"
    folder.mkdir()
    return folder


def test_an_installation_has_a_file(package):
    (package / FILE).write_text("0123456789ab-dirty\n")
    assert commit(package) == "0123456789ab-dirty"


def test_a_checkout_is_asked(package):
    git = ["git", "-C", package.parent, "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert commit(package) is None, "there is no commit yet"
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert commit(package) == head.stdout[:12]


def test_elsewhere_no_program_is_started(package, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a program was started"))
    assert commit(package) is None


def test_without_git_it_is_unknown(package, monkeypatch):
    (package.parent / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert commit(package) is None
