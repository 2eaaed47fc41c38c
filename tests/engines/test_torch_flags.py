"""float32 stays float32 whatever a host program has set, and its settings are put back as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stream.engines.eager import EagerEngine
from stream.engines.torch_flags import (
    CUDNN_AUTOTUNE,
    FULL_FLOAT32,
    ScopedOverride,
    float32_convolutions,
    float32_matmuls,
)
from stream.frames import Size

BACKENDS = torch.backends
NEWER = pytest.mark.skipif(not hasattr(BACKENDS.cudnn, "conv"), reason="torch before 2.9 has the older names only")
PLACES = [("generic", "all"), ("cuda", "all"), ("cuda", "conv"), ("cuda", "rnn"), ("cuda", "matmul")]


def precisions() -> tuple[str, str]:
    """Of convolutions and of products."""
    return BACKENDS.cudnn.conv.fp32_precision, BACKENDS.cuda.matmul.fp32_precision


def everything() -> list[Any]:
    """All that a host program can read; an older name may be an error, before as well as after."""
    read: list[Callable[[], Any]] = [
        lambda: BACKENDS.cudnn.allow_tf32,
        lambda: BACKENDS.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision,
        lambda: BACKENDS.cudnn.benchmark,
    ]
    found: list[Any] = [torch._C._get_fp32_precision_getter(*place) for place in PLACES]
    for each in read:
        try:
            found.append(each())
        except RuntimeError as error:
            found.append(str(error))
    return found


def older_allow() -> None:
    BACKENDS.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")


def older_forbid() -> None:
    BACKENDS.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


def newer_ieee() -> None:
    BACKENDS.cudnn.conv.fp32_precision = "ieee"


def newer_tf32() -> None:
    BACKENDS.cuda.matmul.fp32_precision = "tf32"
    BACKENDS.cudnn.conv.fp32_precision = "tf32"


def for_all() -> None:
    BACKENDS.fp32_precision = "tf32"
    BACKENDS.cudnn.conv.fp32_precision = "none"


def for_cudnn() -> None:
    BACKENDS.cudnn.fp32_precision = "tf32"
    BACKENDS.cudnn.conv.fp32_precision = "none"


def nothing() -> None:
    pass


@pytest.fixture
def put_back() -> Iterator[None]:
    """What torch begins with."""
    yield
    BACKENDS.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")
    if hasattr(BACKENDS.cudnn, "conv"):
        torch._C._set_fp32_precision_setter("generic", "all", "none")
        torch._C._set_fp32_precision_setter("cuda", "all", "none")
        BACKENDS.cuda.matmul.fp32_precision = "none"
        BACKENDS.mkldnn.matmul.fp32_precision = "none"


@NEWER
@pytest.mark.usefixtures("put_back")
@pytest.mark.parametrize(
    "host", [nothing, older_allow, older_forbid, newer_ieee, newer_tf32, for_all, for_cudnn], ids=lambda f: f.__name__
)
def test_no_setting_of_the_host_makes_tf32_of_float32(host: Callable[[], None]) -> None:
    """By older names, newer ones, or for everything at once; used twice, and afterwards all reads as before."""
    host()
    before = everything()
    for _ in range(2):
        with FULL_FLOAT32:
            assert "tf32" not in precisions()
        assert everything() == before


@NEWER
@pytest.mark.usefixtures("put_back")
def test_a_setting_for_all_still_decides_afterwards() -> None:
    """What a convolution inherited it inherits again."""
    for_all()
    with FULL_FLOAT32:
        pass
    BACKENDS.fp32_precision = "none"
    assert precisions() == ("none", "none")


@NEWER
@pytest.mark.usefixtures("put_back")
def test_products_are_changed_by_the_names_that_the_host_used() -> None:
    """torch keeps both, and what reads the older ones, as its profiler does, fails where they contradict."""
    older_allow()
    with FULL_FLOAT32:
        assert BACKENDS.cuda.matmul.allow_tf32 is False
    assert BACKENDS.cuda.matmul.allow_tf32 is True
    assert torch.get_float32_matmul_precision() == "high"


def test_torch_before_2_9_has_the_older_names_only() -> None:
    """Set, and put back; products only where the host changed them."""
    for allowed in (True, False):
        cudnn = SimpleNamespace(allow_tf32=allowed)
        undo = float32_convolutions(cudnn)
        assert cudnn.allow_tf32 is False
        undo()
        assert cudnn.allow_tf32 is allowed
    matmul = SimpleNamespace(allow_tf32=False)
    float32_matmuls(matmul)()
    assert matmul.allow_tf32 is False


def test_the_last_one_who_leaves_puts_it_back() -> None:
    """Two threads overlap; the one that came first leaves first."""
    changes: list[str] = []

    def change() -> Callable[[], None]:
        changes.append("changed")
        return lambda: changes.append("put back")

    held, inside, leave = ScopedOverride(change), threading.Event(), threading.Event()

    def work() -> None:
        with held:
            inside.set()
            assert leave.wait(10)

    other = threading.Thread(target=work)
    with held:
        other.start()
        assert inside.wait(10)
    assert changes == ["changed"]
    leave.set()
    other.join()
    assert changes == ["changed", "put back"]


def test_an_error_inside_puts_it_back_too() -> None:
    """As any other way out."""
    before, inside = everything(), list[bool]()

    def fail() -> None:
        with FULL_FLOAT32, CUDNN_AUTOTUNE:
            inside.append(BACKENDS.cudnn.benchmark)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert inside == [True]
    assert everything() == before


@NEWER
def test_networks_run_with_it() -> None:
    """And without trying out convolutions, which each thread would do anew."""
    found: list[tuple[tuple[str, str], bool]] = []

    class Asking(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            found.append((precisions(), BACKENDS.cudnn.benchmark))
            return pixels.sum(1)

    EagerEngine("net", Asking, device=torch.device("cpu")).prepare(Size(4, 6))
    assert set(found) == {(("ieee", "none"), False)}
