"""The files that README.md's commands read: a configuration, an exported model, arrays."""

import json
import pathlib
import shutil
import sys

import numpy as np

root = pathlib.Path(sys.argv[1])
config = json.loads((root / "test/configs/SmolLM2-135M.json").read_text())
pathlib.Path("config.json").write_text(json.dumps({**config, "torch_dtype": "float32"}))
shutil.copy(root / "test/exports/hf_llama_default.mlir", "exported.mlir")
random = np.random.default_rng(0)
for name, heads in [("x", 9), ("q", 9), ("k", 3), ("v", 3)]:
    np.save(name, random.standard_normal((1, 8, heads, 64), dtype=np.float32))
np.save("positions", np.arange(8)[None])
np.save("rows", np.arange(8))
