"""Passes and pipelines, by name or by function.

Each function changes the module in place and returns it. A pipeline that fails raises `MLIRError` and leaves
the module as it was. After one that succeeds, operations that were taken from the module before are stale and
raise `RuntimeError`. What each pass does is described in its reference, which `rope-opt --help` prints in
short.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

from .ir import Module

__all__ = [
    "canonicalize",
    "fuse_attention",
    "fuse_cache_append",
    "fuse_matmul",
    "fuse_projection",
    "optimize",
    "raise_rotations",
    "run",
    "simplify",
    "to_llvm",
    "to_nvvm",
    "to_rocdl",
    "to_spirv",
]

KeyRotation = Literal["auto", "once", "load"]
Format = Literal["", "isa", "bin", "fatbin"]

_Pass = TypeVar("_Pass", bound=Callable[..., Module])


def _checked(function: _Pass) -> _Pass:
    """Checks the options of a pass by their annotations: LLVM would print what is wrong."""
    hints = get_type_hints(function)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*arguments: object, **options: object) -> Module:
        try:
            bound = signature.bind(*arguments, **options)
        except TypeError as error:
            raise TypeError(f"{function.__name__}() {error}") from None
        for name, value in bound.arguments.items():
            hint = hints[name]
            if get_origin(hint) is Literal:
                if value not in get_args(hint):
                    values = ", ".join(map(repr, get_args(hint)))
                    raise ValueError(f"{name}: expected one of {values}, but got {value!r}")
            elif type(value) is not hint and not (hint is Module and isinstance(value, Module)):
                raise TypeError(f"{name}: expected {hint.__name__}, but got {type(value).__name__}")
        return function(*arguments, **options)

    return call  # type: ignore[return-value]


def run(module: Module, pipeline: str) -> Module:
    """Runs passes and pipelines of this project and of MLIR on a module.

    Args:
        module: the module, changed in place.
        pipeline: names with options as `rope-opt --pass-pipeline` takes them, such as
            `"rope-raise{exact=true},canonicalize"` or `"builtin.module(func.func(rope-simplify))"`. A pass
            that is written without its anchor runs on the module.

    Returns:
        The module.

    Raises:
        MLIRError: a name or an option is not known, or a pass failed; the module is as it was.
        TypeError: the pipeline is no text.
    """
    module._run(pipeline)
    return module


def _text(value: bool | int | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if any(c in "\"'{}\0" for c in text):
        raise ValueError(f"expected an option without quotes and braces, but got {text!r}")
    return f'"{text}"' if any(c in " ,=" for c in text) else text


def _run(module: Module, name: str, **options: bool | int | str) -> Module:
    texts = [f"{key.replace('_', '-')}={_text(value)}" for key, value in options.items() if value != ""]
    return run(module, f"{name}{{{' '.join(texts)}}}" if texts else name)


@_checked
def optimize(
    module: Module,
    *,
    exact: bool = False,
    key_rotation: KeyRotation = "auto",
    l2_bytes: int = 0,
    vector_bits: int = 0,
    threads: int = 0,
) -> Module:
    """Finds rotations in a graph and folds them into what surrounds them (`rope-optimize`).

    Args:
        module: a module of tensors, such as one exported from a framework.
        exact: make exact tables of those that are found, from a base where the frequencies have one.
        key_rotation: where keys are rotated: `once`, before attention; `load`, as attention loads them;
            `auto`, where the cost model says.
        l2_bytes: size of the second cache in bytes; the module's target description where 0.
        vector_bits: width of a vector register in bits; the module's target description where 0.
        threads: number of threads; the module's target description where 0.

    Returns:
        The module.

    Raises:
        MLIRError: a pass failed.
        TypeError, ValueError: an option is of another type, or has no such value.
    """
    return _run(
        module,
        "rope-optimize",
        exact=exact,
        key_rotation=key_rotation,
        l2_bytes=l2_bytes,
        vector_bits=vector_bits,
        threads=threads,
    )


@_checked
def raise_rotations(module: Module, *, exact: bool = False) -> Module:
    """Puts `rope.apply` and `rope.table` in place of a graph's own operations (`rope-raise`).

    Args:
        module: a module of tensors, such as one exported from a framework.
        exact: make exact tables, from a base where the frequencies have one.

    Returns:
        The module.

    Raises:
        MLIRError: the pass failed.
    """
    return _run(module, "rope-raise", exact=exact)


@_checked
def simplify(module: Module, *, share_tables: bool = True, permute_weights: bool = True) -> Module:
    """Rewrites rotations by their algebra (`rope-simplify`).

    Args:
        module: a module of rotations on tensors.
        share_tables: move tables out of loops and share equal ones.
        permute_weights: make interleaved rotations half-split by permuting weights.

    Returns:
        The module.

    Raises:
        MLIRError: the pass failed.
    """
    return _run(module, "rope-simplify", share_tables=share_tables, permute_weights=permute_weights)


@_checked
def fuse_attention(
    module: Module,
    *,
    key_rotation: KeyRotation = "auto",
    l2_bytes: int = 0,
    vector_bits: int = 0,
    threads: int = 0,
) -> Module:
    """Folds rotations into attention (`rope-fuse-attention`).

    Args:
        module: a module of rotations on tensors.
        key_rotation: where keys are rotated, as in `optimize`.
        l2_bytes: size of the second cache in bytes; the module's target description where 0.
        vector_bits: width of a vector register in bits; the module's target description where 0.
        threads: number of threads; the module's target description where 0.

    Returns:
        The module.

    Raises:
        MLIRError: the pass failed.
        TypeError, ValueError: an option is of another type, or has no such value.
    """
    return _run(
        module,
        "rope-fuse-attention",
        key_rotation=key_rotation,
        l2_bytes=l2_bytes,
        vector_bits=vector_bits,
        threads=threads,
    )


@_checked
def fuse_projection(module: Module, *, tile_tokens: int = 512, tile_heads: int = 0) -> Module:
    """Rotates the tiles of projections as they are made (`rope-fuse-projection`).

    Args:
        module: a module of rotations on tensors.
        tile_tokens: tokens of a tile; the weights are read once for each.
        tile_heads: heads of a tile; as many as have 256 channels where 0.

    Returns:
        The module.

    Raises:
        MLIRError: the pass failed.
    """
    return _run(module, "rope-fuse-projection", tile_tokens=tile_tokens, tile_heads=tile_heads)


@_checked
def fuse_cache_append(module: Module) -> Module:
    """Rotates rows into their place in a cache (`rope-fuse-cache-append`).

    Args:
        module: a module of rotations on tensors.

    Returns:
        The module.

    Raises:
        MLIRError: the pass failed.
    """
    return _run(module, "rope-fuse-cache-append")


@_checked
def fuse_matmul(module: Module, *, tile_rows: int = 0, tile_bytes: int = 65536) -> Module:
    """Rotates operands of contractions tile by tile (`rope-fuse-matmul`).

    Args:
        module: a module of rotations on tensors.
        tile_rows: rows of a tile; as many as `tile_bytes` hold where 0.
        tile_bytes: size of a rotated tile in bytes.

    Returns:
        The module.

    Raises:
        MLIRError: the pass failed.
    """
    return _run(module, "rope-fuse-matmul", tile_rows=tile_rows, tile_bytes=tile_bytes)


@_checked
def canonicalize(module: Module) -> Module:
    """Folds operations and removes those that are equal or not used (`canonicalize` and `cse`).

    Args:
        module: any module.

    Returns:
        The module.

    Raises:
        MLIRError: a pass failed.
    """
    return run(module, "canonicalize,cse")


@_checked
def to_llvm(
    module: Module,
    *,
    target_triple: str = "",
    target_cpu: str = "",
    target_features: str = "",
    single_threaded: bool = False,
    streaming_bytes: int = -1,
) -> Module:
    """Lowers a module to the `llvm` dialect for a processor (`rope-to-llvm`).

    Args:
        module: a module of `rope` and upstream operations.
        target_triple: the target triple; this machine's where empty.
        target_cpu: the processor as LLVM names it, or `host`; the triple's baseline where empty.
        target_features: features to add or remove, as in `+avx2,-fma`, or `host`.
        single_threaded: run loops on the calling thread alone.
        streaming_bytes: rotations that read and write so many bytes write past the caches; the processor's
            own number where negative.

    Returns:
        The module.

    Raises:
        MLIRError: LLVM does not know the target, or something cannot be lowered.
        ValueError: an option holds quotes or braces.
    """
    return _run(
        module,
        "rope-to-llvm",
        target_triple=target_triple,
        target_cpu=target_cpu,
        target_features=target_features,
        single_threaded=single_threaded,
        streaming_bytes=streaming_bytes,
    )


@_checked
def to_nvvm(
    module: Module,
    *,
    chip: str = "",
    format: Format = "",
    toolkit: str = "",
    opt_level: int = 3,
    kernels_only: bool = False,
    target_triple: str = "",
    target_cpu: str = "",
    target_features: str = "",
) -> Module:
    """Lowers a module to kernels for NVIDIA's GPUs and the host's code that launches them (`rope-to-nvvm`).

    Args:
        module: a module of `rope` and upstream operations.
        chip: the chip as LLVM names it; `sm_80` where empty.
        format: form of the kernels: `isa` (PTX), `bin` (cubin) or `fatbin`; `isa` where empty.
        toolkit: folder of the CUDA toolkit, for `bin` and `fatbin`.
        opt_level: LLVM's optimization of kernels, 0 to 3.
        kernels_only: stop when kernels are compiled, with launches as they are.
        target_triple: target triple of the host's code; this machine's where empty.
        target_cpu: processor of the host's code as LLVM names it, or `host`; the triple's baseline where
            empty.
        target_features: features to add or remove for the host's code.

    Returns:
        The module.

    Raises:
        MLIRError: LLVM does not know the target, or something cannot be lowered.
        ValueError: an option holds quotes or braces.
    """
    return _run(module, "rope-to-nvvm", **_gpu_options(locals()))


@_checked
def to_rocdl(
    module: Module,
    *,
    chip: str = "",
    format: Format = "",
    toolkit: str = "",
    opt_level: int = 3,
    kernels_only: bool = False,
    target_triple: str = "",
    target_cpu: str = "",
    target_features: str = "",
) -> Module:
    """Lowers a module to kernels for AMD's GPUs and the host's code that launches them (`rope-to-rocdl`).

    Args:
        module: a module of `rope` and upstream operations.
        chip: the chip as LLVM names it; `gfx942` where empty.
        format: form of the kernels: `isa` (assembly) or `bin` (a code object); where empty, `bin`, and `isa`
            with `kernels_only`.
        toolkit: folder of the ROCm toolkit, for `bin`.
        opt_level: LLVM's optimization of kernels, 0 to 3.
        kernels_only: stop when kernels are compiled, with launches as they are.
        target_triple: target triple of the host's code; this machine's where empty.
        target_cpu: processor of the host's code as LLVM names it, or `host`; the triple's baseline where
            empty.
        target_features: features to add or remove for the host's code.

    Returns:
        The module.

    Raises:
        MLIRError: LLVM does not know the target, or something cannot be lowered.
        ValueError: an option holds quotes or braces.
    """
    return _run(module, "rope-to-rocdl", **_gpu_options(locals()))


@_checked
def to_spirv(
    module: Module,
    *,
    chip: str = "",
    kernels_only: bool = False,
    opencl: bool = False,
    target_triple: str = "",
    target_cpu: str = "",
    target_features: str = "",
) -> Module:
    """Lowers a module to kernels for Vulkan and the host's code that launches them (`rope-to-spirv`).

    Args:
        module: a module of `rope` and upstream operations.
        chip: the version of Vulkan; `vulkan1.1` where empty.
        kernels_only: stop when kernels are compiled, with launches as they are.
        opencl: make the SPIR-V of OpenCL, with `kernels_only`.
        target_triple: target triple of the host's code; this machine's where empty.
        target_cpu: processor of the host's code as LLVM names it, or `host`; the triple's baseline where
            empty.
        target_features: features to add or remove for the host's code.

    Returns:
        The module.

    Raises:
        MLIRError: the target is not known, or something cannot be lowered.
        ValueError: an option holds quotes or braces.
    """
    return _run(module, "rope-to-spirv", **_gpu_options(locals()))


def _gpu_options(arguments: dict[str, object]) -> dict[str, bool | int | str]:
    return {name: value for name, value in arguments.items() if name != "module"}  # type: ignore[misc]
