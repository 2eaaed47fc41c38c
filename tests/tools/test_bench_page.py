"""The benchmark's page is rewritten between its markers only."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.benchmark.questions import Answer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_pipeline", ROOT / "tools/bench_pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_the_measured_part_changes(tool: ModuleType, tmp_path: Path) -> None:
    """Twice in a row gives the same page."""
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n{tool.BEGIN}\nmeasured last year\n{tool.END}\nnotes\n")
    answer = Answer("pipeline / engine", "0.95", 0.95, ">= 0.90", True, {})
    for _ in range(2):
        tool.replace_measured(page, tool.markdown([answer]))
    text = page.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("\nnotes\n")
    assert "last year" not in text
    assert text.count("| pipeline / engine | 0.95 | >= 0.90 | yes |") == 1


def test_a_page_without_markers_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    """Rather than overwritten."""
    page = tmp_path / "page.md"
    page.write_text("something else")
    with pytest.raises(ValueError, match="are missing"):
        tool.replace_measured(page, "text")
    assert page.read_text() == "something else"


def test_the_repositorys_page_has_the_markers(tool: ModuleType) -> None:
    """So that `make bench` can write it."""
    text = (ROOT / "docs/benchmarks.md").read_text()
    assert tool.BEGIN in text
    assert tool.END in text
