"""Functions of modules as functions of Python."""

from __future__ import annotations

import os

from ._core import Function, _compile
from .ir import Module


def _cache_directory(cache: bool | str | os.PathLike[str]) -> str:
    if cache is False:
        return ""
    if cache is not True:
        folder = os.fsdecode(cache)
        if "\0" in folder:
            raise ValueError(f"expected a folder as cache, but got {folder!r}")
        return folder
    if configured := os.environ.get("ROPE_MLIR_CACHE_DIR"):
        return configured
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "rope-mlir")


def compile(
    module: Module | str | bytes,
    function: str | None = None,
    *,
    optimize: bool = False,
    target_cpu: str = "",
    target_features: str = "",
    single_threaded: bool = False,
    opt_level: int = 3,
    cache: bool | str | os.PathLike[str] = True,
) -> Function:
    """Compiles a function of a module for this machine.

    Args:
        module: a module, its text or its bytecode, of any level: `rope` and upstream operations or the `llvm`
            dialect. It stays as it is.
        function: name of a public function; None for the only one.
        optimize: find rotations first and fold them into attention (`passes.optimize`).
        target_cpu: a processor as LLVM names it; this machine's where empty.
        target_features: features to add or remove, as in `+avx2,-fma`.
        single_threaded: run loops on the calling thread alone.
        opt_level: LLVM's optimization, 0 to 3.
        cache: where compiled code is kept and looked for: a folder; none where False; where True, the folder
            of the environment variable `ROPE_MLIR_CACHE_DIR`, or `rope-mlir` in `XDG_CACHE_HOME` or in
            `~/.cache`. Entries are found by what was compiled, how and by what; damaged ones are compiled
            again; a folder that cannot be written to is not used.

    Returns:
        A function `fn(*arrays, out=None)` of arrays of NumPy, PyTorch or JAX, or of another library with
        DLPack, in the memory of the processor. They are read where they are, with any strides but the last,
        which must be 1. Scalars are numbers or arrays of rank 0. It returns an array for one result, a tuple
        for several, None for none; new arrays are of the library of the first array argument, NumPy's without
        one. `out`, an array or a tuple of as many as there are results, is written to and returned.

        What does not fit raises `TypeError` (number of arguments, keyword, element type, no array) or
        `ValueError` (rank, size, stride, device, memory that a result shares with another array, read-only
        memory, a tensor that requires a gradient); the text ends with the function's signature, and nothing
        has been called.

    Raises:
        FunctionNotFoundError: there is no public function of that name, or there are several and none was
            named.
        MLIRError: the module is not valid or cannot be lowered.
        TypeError: an argument of another type.
        ValueError: the processor or a feature is not known or not this machine's, there is no such level, or
            the cache is no folder's name.
    """
    return _compile(
        module,
        "-",
        function or "",
        optimize,
        target_cpu,
        target_features,
        single_threaded,
        opt_level,
        _cache_directory(cache),
    )
