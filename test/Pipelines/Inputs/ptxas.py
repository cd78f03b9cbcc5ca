"""Compiles kernels for each generation of GPUs: ptxas.py INPUT.. OUT."""

import pathlib
import re
import subprocess
import sys

*sources, out = sys.argv[1:]
objects = pathlib.Path(__file__).with_name("object.py")
count = 0
for source in sources:
    for chip in ["sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120"]:
        subprocess.run(["rope-opt", source, f"--rope-to-nvvm=from-launches kernels-only chip={chip}",
                        "-o", f"{out}.mlir"], check=True)
        subprocess.run([sys.executable, objects, f"{out}.mlir", f"{out}.ptx"], check=True)
        report = subprocess.run(["ptxas", "-v", f"-arch={chip}", f"{out}.ptx", "-o", f"{out}.cubin"],
                                check=True, capture_output=True, text=True).stderr
        kernels = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill", report)
        assert kernels and all(kernel == ("0", "0", "0") for kernel in kernels), report
        count += len(kernels)
print(f"assembled {count} kernels")
