"""Modules of MLIR: parsed, verified, printed, walked.

A `Module` has a context of its own, which is freed with it, so modules may be used by any number of threads
at once; calls on the same module wait for each other. The dialects are those of `rope-opt`: `rope` and
upstream's. Errors are `MLIRError`s, whose `diagnostics` say where in the text.
"""

from ._core import Module, Operation
from ._errors import Diagnostic, Location, MLIRError

__all__ = ["Diagnostic", "Location", "MLIRError", "Module", "Operation"]
