"""The documentation says what the code does, and its links lead somewhere."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from aibridged import __version__, errors
from aibridged.cli import build
from aibridged.config import render
from aibridged.config.options import OPTIONS
from aibridged.config.providers import COPILOT_PLANS
from aibridged.observe.metric_table import METRICS
from tests.test_architecture import LAYERS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SETTINGS = DOCS / "settings.md"
BEGIN, END = "<!-- settings: begin (generated) -->\n", "<!-- settings: end -->\n"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "packaging" / "README.md"],
    key=lambda path: path.as_posix(),
)
README_LINES = 160
MAP = "docs/architecture.md"

_FENCE = re.compile(r"^ *(`{3,}).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Without what stands between fences, where # begins a comment."""
    return _FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """What the headings of a page may be linked by, as GitHub derives it."""
    headings = (heading.lower().replace("`", "") for heading in _HEADING.findall(prose(text)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> Iterator[str]:
    for link in _LINK.findall(prose(text)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        if not (target.exists() and target.is_relative_to(ROOT)):
            yield link
            continue
        there = target.read_text(encoding="utf-8") if path and anchor else text
        if anchor and anchor not in anchors(there):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page):
    assert list(broken_links(page, page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "link", ["gone.md", "docs/settings.md#gone", "#gone", "../outside.md", "docs/../../outside"]
)
def test_a_broken_link_is_seen(link):
    assert list(broken_links(ROOT / "README.md", f"# Here\n[text]({link})\n")) == [link]


def test_links_that_lead_somewhere_pass():
    text = "# Here, `and` there\n[1](#here-and-there) [2](docs/settings.md#routes) [3](docs)\n"
    assert list(broken_links(ROOT / "README.md", text)) == []


def test_the_readme_is_short_and_names_every_page():
    text = read("README.md")
    assert len(text.splitlines()) <= README_LINES
    for page in DOCS.glob("*.md"):
        assert f"](docs/{page.name})" in text


def test_the_table_of_settings_is_fresh():
    """AIBRIDGED_WRITE_GOLDEN=1 regenerates it."""
    text = SETTINGS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    fresh = f"{before}{BEGIN}{render.markdown_table()}{END}{after}"
    if os.environ.get("AIBRIDGED_WRITE_GOLDEN"):
        SETTINGS.write_text(fresh, encoding="utf-8")
    assert text == fresh


def test_every_setting_that_a_page_names_exists():
    flags = {flag for option in OPTIONS for flag in option.flags}
    for page in (ROOT / "README.md", ROOT / "SECURITY.md", *DOCS.glob("*.md")):
        named = re.findall(r"--(?:aibridge|ai-gateway)-[a-z-]*[a-z]", page.read_text("utf-8"))
        assert set(named) <= flags, page.name


def test_the_providers_that_need_no_list_are_named():
    text = SETTINGS.read_text(encoding="utf-8")
    for plan in COPILOT_PLANS:
        assert f"`{plan.name}`" in text


def test_every_error_is_explained_and_no_other():
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| .", read("docs/limits-and-errors.md"), re.M)
    assert set(rows) == {(str(kind.status), kind.code) for kind in errors.ERRORS}


def test_every_command_is_explained():
    text = read("docs/operations.md")
    for name, command in get_command(build()).commands.items():
        assert command.hidden or f"`aibridged {name}`" in text, name


def test_every_metric_is_in_the_reference_that_is_linked():
    assert "](../man/aibridged-metrics.7)" in read("docs/operations.md")
    reference = read("man/aibridged-metrics.7")
    for metric in METRICS:
        assert f".It Cm {metric.name}\n" in reference


def test_the_map_has_every_room():
    """A directory of the package is a row of the table, and a row is a directory."""
    rooms = {
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for path in (ROOT / "aibridged").rglob("*.py")
        if path.parent != ROOT / "aibridged" and "versions" not in path.parts
    }
    assert rooms == set(re.findall(r"^\| `(aibridged/[a-z_/]+/)` \|", read(MAP), re.M))
    for module in (ROOT / "aibridged").glob("[a-z]*.py"):
        assert f"`{module.name}`" in read(MAP)


def test_the_map_has_every_layer_in_its_order():
    _, _, section = read(MAP).partition("\n## Layers\n")
    rows = re.findall(r"^\| (`.+?`) \| .", section.partition("\n## ")[0], re.M)
    layers = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    assert layers == list(reversed(LAYERS))


def test_the_changelog_has_this_release_with_its_date():
    assert re.search(
        rf"^## {re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)$", read("CHANGELOG.md"), re.M
    )


def test_every_supported_python_is_tested():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    supported = re.findall(r"Python :: (3\.\d+)$", "\n".join(project["classifiers"]), re.M)
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    [job] = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == supported
    assert project["requires-python"] == f">={supported[0]}"
    assert job["steps"][-1] == {"run": ".ci/run"}
