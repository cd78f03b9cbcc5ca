"""An exported model."""

import pathlib
import shutil
import sys

shutil.copy(pathlib.Path(sys.argv[1]) / "test/exports/hf_llama_default.mlir", "exported.mlir")
