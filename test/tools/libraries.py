"""Everything is one shared library beside the shared MLIR and LLVM: a second
copy of either in a process would register each dialect and option twice.

RUN: %python %s %rope_lib_dir/libRope%shlibext
"""

import os
import re
import shutil
import subprocess
import sys

TOOLS = ["rope-opt", "rope-translate", "rope-compile", "rope-run", "rope-lsp-server", "rope-reduce"]
# What one tool alone needs.
OWN = {"rope-run": r"libbenchmark\.so\.\w+"}
ALLOWED = r"lib(Rope|MLIR|LLVM|stdc\+\+|c\+\+|gcc_s|m|c|clang_rt\.\w+)(-[\w]+)?\.so[.\d]*|ld-linux\S*"


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


problems = []
library = sys.argv[1]
for path in [library] + [shutil.which(tool) for tool in TOOLS]:
    needed = re.findall(r"^\s+(\S+\.so\S*)$", output("llvm-readelf", "--needed-libs", path), re.MULTILINE)
    if len(needed) < 2:
        problems.append(f"{path}: expected shared libraries, but read {needed}")
    for name in needed:
        own = OWN.get(os.path.basename(path))
        if not re.fullmatch(ALLOWED, name) and not (own and re.fullmatch(own, name)):
            problems.append(f"{path} needs {name}")
    if path != library and "libRope.so" not in " ".join(needed):
        problems.append(f"{path} does not use libRope")
    # What MLIR and LLVM define out of line, nobody else does.
    defined = output("llvm-nm", "--defined-only", "--demangle", path)
    for symbol in ["mlir::MLIRContext::MLIRContext(", "mlir::PassManager::run(", "llvm::cl::ParseCommandLineOptions("]:
        if re.search(r" [Tt] " + re.escape(symbol), defined):
            problems.append(f"{path} has a copy of {symbol})")

print("\n".join(problems) or "one copy of each library")
sys.exit(bool(problems))
