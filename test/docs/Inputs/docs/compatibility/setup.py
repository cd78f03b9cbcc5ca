"""A configuration."""

import pathlib
import shutil
import sys

shutil.copy(pathlib.Path(sys.argv[1]) / "test/configs/SmolLM2-135M.json", "config.json")
