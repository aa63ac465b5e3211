"""Static files: all there, of a type that browsers take, and kept until they change."""

from importlib.resources import files

import pytest

from aibridged.ui.assets import Assets


@pytest.fixture
def assets() -> Assets:
    return Assets()


def test_every_file_is_served_with_its_type(assets):
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for file in files("aibridged.ui").joinpath("static").iterdir():
        found = assets.find(assets.digest, file.name)
        assert found is not None, file.name
        assert found.content_type.startswith(types[file.name.rpartition(".")[2]])
        assert found.content == file.read_bytes()


def test_a_path_is_that_of_this_version(assets):
    _, path, digest, name = assets.path("style.css").split("/")
    assert (path, digest, name) == ("assets", assets.digest, "style.css")
    assert assets.find("another", "style.css") is None
    assert "missing" in assets.path("nothing.css")


@pytest.mark.parametrize("name", ["../page.py", "..%2fpage.py", "", "page.py"])
def test_nothing_else_is_served(assets, name):
    assert assets.find(assets.digest, name) is None


def test_nothing_in_them_comes_from_elsewhere():
    for file in files("aibridged.ui").joinpath("static").iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert "://" not in text, file.name
        assert "@import" not in text, file.name
