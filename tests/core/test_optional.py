"""The advice that a missing package comes with."""

from __future__ import annotations

from importlib import metadata

import pytest

from stream.core.optional import install_command, require
from stream.errors import MissingPackage

DECLARED = [
    "numpy<3,>=2.0",
    "onnx<2,>=1.17; extra == 'onnx'",
    "torch>=2.9; extra == 'onnx'",
    "tensorrt-rtx<2,>=1.7; (sys_platform == 'linux') and extra == 'tensorrt-rtx'",
    "tensorrt<12,>=10.16; extra == 'tensorrt'",
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with the requirements ``DECLARED``."""
    monkeypatch.setattr(metadata, "requires", lambda name: DECLARED)


@pytest.mark.usefixtures("installed")
def test_a_missing_package_names_what_its_extra_installs() -> None:
    """The packages themselves, because no index has depthstream; the lower bound first."""
    with pytest.raises(MissingPackage) as caught:
        require("no_such_module", extra="onnx", purpose="exporting")
    assert str(caught.value) == (
        'exporting needs the no_such_module package: pip install "onnx>=1.17,<2" "torch>=2.9" '
        '(the extra "onnx" of depthstream)'
    )


@pytest.mark.usefixtures("installed")
def test_extras_with_similar_names_are_told_apart() -> None:
    """And markers of the platform are no part of what pip is given."""
    assert install_command("tensorrt", "tensorrt", upgrade=True) == 'pip install -U "tensorrt>=10.16,<12"'
    assert install_command("tensorrt-rtx").startswith('pip install "tensorrt-rtx>=1.7,<2" (')


def test_a_source_tree_that_was_not_installed_advises_its_own_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no metadata to read."""

    def none(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", none)
    assert install_command("onnx") == 'pip install -e ".[onnx]" in the checkout of depthstream'


@pytest.mark.parametrize("extra", ["onnx", "tensorrt", "tensorrt-rtx", "robots"])
def test_every_extra_of_this_installation_is_known(extra: str) -> None:
    """The names that the program advises are those that pyproject.toml declares."""
    assert f'(the extra "{extra}" of depthstream)' in install_command(extra)
    assert "depthstream[" not in install_command(extra)
