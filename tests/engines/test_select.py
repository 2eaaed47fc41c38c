"""Which engine, how many threads, and why."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from stream.core.machine import Machine
from stream.core.optional import install_command
from stream.engines.cpu_setup import keep_freed_memory
from stream.engines.select import Choice, default_threads, select
from stream.errors import SettingsError
from stream.models.catalog import find
from stream.settings import ModelSettings

MIDAS, TINY = find("midas_small").parameters, find("tiny").parameters


def machine(cores: int = 2, *cuda_devices: str, torch_version: str = "2.13.0") -> Machine:
    return Machine(cores, cuda_devices, tensorrt=False, avx512_bf16=False, torch_version=torch_version)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (4, 4), (64, 8)])
def test_threads_follow_the_cores(cores: int, threads: int) -> None:
    """A network of MiDaS's size uses all cores, up to a bound."""
    assert default_threads(cores, MIDAS) == threads
    assert select(machine(cores), ModelSettings(), MIDAS).threads == threads


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_a_small_network_runs_on_one_thread(cores: int) -> None:
    """Waking a second one takes longer than it saves."""
    assert select(machine(cores), ModelSettings(), TINY).threads == 1


@pytest.mark.parametrize("parameters", [MIDAS, TINY])
def test_throughput_gives_each_thread_an_image(parameters: int) -> None:
    """As many lanes as cores, one thread each; a configured number of threads is the number of lanes."""
    many = select(machine(4), ModelSettings(layout="throughput"), parameters)
    assert (many.lanes, many.threads) == (4, 1)
    assert "4 images at a time" in many.reason
    asked = select(machine(4), ModelSettings(layout="throughput", threads=2), parameters)
    assert (asked.lanes, asked.threads) == (2, 1)


def test_threads_that_were_asked_for_are_used() -> None:
    """Even where they are more than there are cores: the person may know better."""
    choice = select(machine(2), ModelSettings(threads=5), TINY)
    assert choice == Choice("torchscript", 1, 5, "torchscript on the CPU, 5 threads as configured: no NVIDIA GPU here")


@pytest.mark.parametrize(("engine", "chosen"), [("auto", "cuda_graph"), ("cuda", "cuda"), ("cuda_graph", "cuda_graph")])
def test_a_gpu_that_torch_can_use_is_used(engine: str, chosen: str) -> None:
    """The fastest engine unless another is configured; the reason names the GPU."""
    choice = select(machine(2, "NVIDIA H200"), ModelSettings.model_validate({"engine": engine}), MIDAS)
    why = "the fastest there is here" if engine == "auto" else f'model.engine = "{engine}"'
    assert (choice.engine, choice.reason) == (chosen, f"{chosen} on NVIDIA H200, fp32: {why}")


@pytest.mark.parametrize(
    ("engine", "installed", "built", "precision", "chosen"),
    [
        ("auto", True, True, "auto", "tensorrt on NVIDIA H200: the fastest there is here"),
        ("auto", True, True, "fp16", "tensorrt on NVIDIA H200, fp16: the fastest there is here"),
        ("auto", True, False, "auto", "cuda_graph on NVIDIA H200, fp32: the fastest there is here"),
        ("auto", False, True, "auto", "cuda_graph on NVIDIA H200, fp32: the fastest there is here"),
        ("tensorrt", True, False, "auto", 'tensorrt on NVIDIA H200: model.engine = "tensorrt"'),
        ("tensorrt", True, True, "fp32", 'tensorrt on NVIDIA H200, fp32: model.engine = "tensorrt"'),
        ("cuda_graph", True, True, "auto", 'cuda_graph on NVIDIA H200, fp32: model.engine = "cuda_graph"'),
        (
            "torchscript",
            True,
            True,
            "auto",
            'torchscript on the CPU, 2 threads on 2 cores: model.engine = "torchscript"',
        ),
    ],
)
def test_tensorrt_goes_first_where_its_engines_are(
    engine: str, installed: bool, built: bool, precision: str, chosen: str
) -> None:
    """ "auto" takes it only if engines were built; "tensorrt" builds them itself."""
    here = replace(machine(2, "NVIDIA H200"), tensorrt=installed)
    settings = ModelSettings.model_validate({"engine": engine, "precision": precision})
    choice = select(here, settings, MIDAS, built=built)
    assert choice.reason == chosen
    assert choice.reason.startswith(choice.engine)


def test_tensorrt_that_was_asked_for_and_is_not_installed_is_an_error() -> None:
    """The error says what to install; without a GPU it says that instead."""
    settings = ModelSettings(engine="tensorrt")
    with pytest.raises(SettingsError, match=f'engine = "tensorrt": .*{re.escape(install_command("tensorrt"))}'):
        select(machine(2, "NVIDIA H200"), settings, MIDAS)
    with pytest.raises(SettingsError, match=r'engine = "tensorrt": no NVIDIA GPU here'):
        select(replace(machine(2), tensorrt=True), settings, MIDAS, built=True)


def test_a_gpu_that_is_not_used_is_mentioned() -> None:
    """The reason says why the GPU is idle."""
    reason = select(machine(2, "NVIDIA H200", torch_version="2.13.0+cpu"), ModelSettings(), MIDAS).reason
    assert reason == (
        "torchscript on the CPU, 2 threads on 2 cores: "
        "NVIDIA H200 is not used, because torch 2.13.0+cpu was built without CUDA"
    )


@pytest.mark.parametrize("engine", ["cuda", "cuda_graph"])
@pytest.mark.parametrize(
    ("here", "words"),
    [(machine(2), "no NVIDIA GPU here"), (machine(2, "NVIDIA H200", torch_version="2.13.0+cpu"), "without CUDA")],
)
def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error(engine: str, here: Machine, words: str) -> None:
    """Not silently the CPU."""
    with pytest.raises(SettingsError, match=rf'engine = "{engine}": .*{words}'):
        select(here, ModelSettings.model_validate({"engine": engine}), MIDAS)


@pytest.mark.parametrize(
    ("asked", "here", "precision", "words"),
    [
        ("auto", machine(2), "fp32", "cores: "),
        ("bf16", replace(machine(2), avx512_bf16=True), "bf16", "cores, bf16: "),
        ("bf16", machine(2), "fp32", "does not multiply bf16"),
        ("fp16", machine(2), "fp32", "fp16 is for GPUs"),
        ("fp16", machine(2, "NVIDIA H200"), "fp16", "NVIDIA H200, fp16: "),
        ("bf16", machine(2, "NVIDIA H200"), "fp32", "NVIDIA H200, fp32: "),
    ],
)
def test_a_precision_is_used_where_it_pays(asked: str, here: Machine, precision: str, words: str) -> None:
    """And where it is not, the line says so."""
    choice = select(here, ModelSettings.model_validate({"precision": asked}), MIDAS)
    assert choice.precision == precision
    assert words in choice.reason


def test_an_engine_that_was_asked_for_is_the_reason() -> None:
    """The setting is quoted."""
    reason = select(machine(1, "NVIDIA H200"), ModelSettings(engine="torchscript"), MIDAS).reason
    assert reason == 'torchscript on the CPU, 1 thread on 1 core: model.engine = "torchscript"'


def test_glibc_keeps_freed_memory() -> None:
    """On Linux with glibc both settings are taken."""
    assert keep_freed_memory() is (sys.platform == "linux" and platform.libc_ver()[0] == "glibc")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", "True PASSIVE"),
        ("import os; os.environ['OMP_WAIT_POLICY'] = 'ACTIVE'", "True ACTIVE"),
        ("import torch", "False None"),
    ],
)
def test_waiting_is_settled_before_torch_is_loaded(before: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says wins; too late is answered with False and changes nothing."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    call = "import os; from stream.engines.cpu_setup import wait_without_spinning as f"
    code = f"{before}\n{call}\nprint(f(), os.environ.get('OMP_WAIT_POLICY'))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == expected
