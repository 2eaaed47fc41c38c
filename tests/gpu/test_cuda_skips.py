"""On a machine that has a GPU no test may be skipped for want of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = "from tests.conftest import pytest_runtest_makereport\n"
TESTS = """
import pytest

@pytest.mark.cuda
def test_that_skips():
    pytest.skip("no CUDA GPU")

@pytest.mark.cuda
@pytest.mark.skipif(True, reason="no CUDA GPU")
def test_that_is_skipped():
    pass

@pytest.mark.cuda
def test_that_passes():
    pass

def test_of_something_else():
    pytest.skip("another reason")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "outcome"), [("1", "1 failed, 1 passed, 1 skipped, 1 error"), ("0", "1 passed, 3 skipped")]
)
def test_skips_become_failures_when_asked_for(value: str, outcome: str, tmp_path: Path) -> None:
    """Those of tests marked cuda, and no others."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    cuda: x\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "FAIL_WITHOUT_CUDA": value, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1].startswith(outcome), done.stdout
    assert ("FAIL_WITHOUT_CUDA=1: no CUDA GPU" in done.stdout) is (value == "1")
