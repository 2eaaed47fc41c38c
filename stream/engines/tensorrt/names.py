"""Every name of TensorRT's API that this package uses; the tests compare them with the names in each release.

TensorRT 10.16, 11.x and TensorRT-RTX share their classes. Names that only one of them has are listed separately.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

Flavour = Literal["tensorrt", "tensorrt_rtx"]
"""The name of the Python package."""

NAMES: Mapping[str, Collection[str]] = {
    "Builder": ("build_serialized_network", "create_builder_config", "create_network", "create_optimization_profile"),
    "BuilderFlag": ("TF32",),
    "DataType": ("FLOAT",),
    "IBuilderConfig": (
        "add_optimization_profile",
        "clear_flag",
        "max_aux_streams",
        "progress_monitor",
        "set_memory_pool_limit",
    ),
    "ICudaEngine": (
        "create_execution_context",
        "get_tensor_dtype",
        "get_tensor_mode",
        "get_tensor_name",
        "get_tensor_profile_shape",
        "get_tensor_shape",
        "num_io_tensors",
    ),
    "IExecutionContext": ("execute_async_v3", "infer_shapes", "set_input_shape", "set_tensor_address"),
    "IHostMemory": ("nbytes",),
    "ILogger": ("ERROR", "INFO", "WARNING", "Severity", "log"),
    "INetworkDefinition": ("get_input", "get_output", "num_inputs", "num_outputs"),
    "IOptimizationProfile": ("set_shape",),
    "IProgressMonitor": ("phase_finish", "phase_start", "step_complete"),
    "ITensor": ("dtype", "name", "shape"),
    "MemoryPoolType": ("WORKSPACE",),
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "OnnxParser": ("get_error", "num_errors", "parse"),
    "ParserError": ("desc", "node_name", "node_operator"),
    "Runtime": ("deserialize_cuda_engine",),
    "TensorIOMode": ("INPUT", "OUTPUT"),
}
"""The members that we use, by class. Every flavour has them."""

FLAVOUR_NAMES: Mapping[Flavour, Mapping[str, Collection[str]]] = {
    "tensorrt": {
        "IBuilderConfig": ("create_timing_cache", "get_timing_cache", "set_timing_cache"),
        "ITimingCache": ("serialize",),
    },
    "tensorrt_rtx": {
        "ComputeCapability": ("CURRENT", "SM75", "SM80", "SM86", "SM89", "SM120", "SM121"),
        "DynamicShapesKernelSpecializationStrategy": ("EAGER",),
        "IBuilderConfig": ("num_compute_capabilities", "set_compute_capability"),
        "ICudaEngine": ("create_runtime_config",),
        "IExecutionContext": ("is_stream_capturable",),
        "IRuntimeCache": ("deserialize", "serialize"),
        "IRuntimeConfig": (
            "create_runtime_cache",
            "dynamic_shapes_kernel_specialization_strategy",
            "set_runtime_cache",
        ),
    },
}
"""Members, by class, that exist or still have an effect in only one flavour."""


def missing_names(members: Mapping[str, Collection[str]], flavour: Flavour) -> list[str]:
    """The names that we use and that are missing from ``members``, a release's members by class."""
    used = [*NAMES.items(), *FLAVOUR_NAMES[flavour].items()]
    return sorted(f"{owner}.{name}" for owner, names in used for name in names if name not in members.get(owner, ()))
