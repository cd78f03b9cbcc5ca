"""A compiler for rotary position embeddings (RoPE), as an MLIR dialect on LLVM and MLIR.

- `rope_mlir.ir`: modules, parsed, verified, printed, walked.
- `rope_mlir.passes`: passes and pipelines.
- `import_hf_config`: a module from the `config.json` of a published model.
- `compile`: a function of a module, called with arrays.
- `set_num_threads`, `get_num_threads`: threads of these functions.
"""

from __future__ import annotations

try:
    from . import _core
except ImportError as error:
    if "libMLIR" not in str(error) and "libLLVM" not in str(error):
        raise
    raise ImportError(
        f"rope_mlir needs the shared libraries of LLVM and MLIR 22 ({error}): install the packages libmlir-22"
        " and libllvm22, on Debian and Ubuntu by `apt-get install libmlir-22`, and install rope-mlir again if"
        " they stand elsewhere than when it was built"
    ) from error

_core._check_llvm_version()

from . import ir, passes  # noqa: E402
from ._compile import compile  # noqa: E402
from ._core import Function, get_num_threads, set_num_threads  # noqa: E402
from ._errors import Diagnostic, FunctionNotFoundError, Location, MLIRError  # noqa: E402
from ._import import import_hf_config  # noqa: E402

__all__ = [
    "Diagnostic",
    "Function",
    "FunctionNotFoundError",
    "Location",
    "MLIRError",
    "compile",
    "get_num_threads",
    "import_hf_config",
    "ir",
    "passes",
    "set_num_threads",
]

__version__: str = _core.version
