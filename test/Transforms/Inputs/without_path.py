"""Runs rope-opt where no other program is found: without_path.py ARGUMENT.."""

import os
import shutil
import subprocess
import sys

program = shutil.which("rope-opt")
environment = {name: value for name, value in os.environ.items()
               if not name.startswith(("CUDA_", "ROCM_"))}
environment["PATH"] = ""
sys.exit(subprocess.run([program, *sys.argv[1:]], env=environment, check=False).returncode)
