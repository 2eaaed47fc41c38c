"""A measured page is rewritten between its markers only."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.benchmark.suite import Measurement
from tools.bench.lib.markdown_page import BEGIN, END, replace_measured
from tools.bench.pipeline import rows

ROOT = Path(__file__).parents[2]


def test_only_the_measured_part_changes(tmp_path: Path) -> None:
    """Twice in a row gives the same page."""
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n{BEGIN}\nmeasured last year\n{END}\nnotes\n")
    measurement = Measurement("pipeline / engine", "0.95", 0.95, ">= 0.90", True, {})
    for _ in range(2):
        replace_measured(page, "this machine", rows([measurement]))
    text = page.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("\nnotes\n")
    assert "last year" not in text
    assert "this machine; torch " in text
    assert text.count("| pipeline / engine | 0.95 | >= 0.90 | yes |") == 1


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    """Rather than overwritten."""
    page = tmp_path / "page.md"
    page.write_text("something else")
    with pytest.raises(ValueError, match="are missing"):
        replace_measured(page, "this machine", ["text"])
    assert page.read_text() == "something else"


@pytest.mark.parametrize("page", ["docs/reference/benchmarks/pipeline.md", "docs/reference/benchmarks/cameras.md"])
def test_the_repositorys_pages_have_the_markers(page: str) -> None:
    """So that the tools can write them."""
    text = (ROOT / page).read_text()
    assert BEGIN in text
    assert END in text
