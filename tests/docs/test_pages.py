"""The pages name files and tests that exist, and every page is on the menu of the site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream import errors

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("docs/**/*.md"))
TOP = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "NOTICE", "deploy/README.md")
]
FILE = re.compile(
    r"(?<![\w/.])((?:stream|pipelines|tests|tools|examples|configs|deploy|docs)/[\w/.-]*\.(?:py|toml|md|cpp|h|safetensors|txt))\b"
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
REPOSITORY = re.compile(r"https://github\.com/depthstream/depthstream/(?:blob|tree)/main/([\w/.-]+)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [*PAGES, *TOP], ids=name)
def test_a_page_names_files_that_exist(page: Path) -> None:
    """Paths from the root of the repository, in code or prose, and links to GitHub."""
    text = page.read_text(encoding="utf-8")
    missing = [path for path in FILE.findall(text) + REPOSITORY.findall(text) if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", TOP, ids=name)
def test_links_outside_of_the_site_lead_somewhere(page: Path) -> None:
    """The site's own links are checked by ``make docs``."""
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_reliability_page_names_tests_that_exist() -> None:
    """A promise is kept by a test, under the name that the page gives."""
    page = (ROOT / "docs/reference/reliability.md").read_text(encoding="utf-8")
    defined = {
        each for file in ROOT.glob("tests/**/test_*.py") for each in re.findall(r"def (test_\w+)", file.read_text())
    }
    promised = set(re.findall(r"`(test_\w+)`", page))
    assert len(promised) > 20
    assert promised <= defined


def test_the_errors_page_has_every_error() -> None:
    """The page lists the classes one by one, to keep the tree in front of them."""
    page = (ROOT / "docs/reference/api/errors.md").read_text(encoding="utf-8")
    classes = {name for name, each in vars(errors).items() if isinstance(each, type)}
    assert set(re.findall(r"^::: stream\.errors\.(\w+)$", page, re.MULTILINE)) == classes


def test_every_page_is_on_the_menu() -> None:
    """As ``make docs`` demands, but without MkDocs."""
    menu = set(re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    assert menu == {str(page.relative_to(ROOT / "docs")) for page in PAGES}
