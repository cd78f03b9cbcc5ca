"""Everything is one shared library beside the shared MLIR and LLVM: a second
copy of either in a process would register each dialect and option twice.

RUN: %python %s %rope_prefix %shlibext
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

# What one file alone needs.
OWN = {"rope-run": r"libbenchmark\.so\.\w+"}
ALLOWED = (r"lib(Rope|MLIR|LLVM|MLIRExecutionEngineShared|stdc\+\+|c\+\+|gcc_s|m|c|clang_rt\.\w+)(-[\w]+)?\.so[.\d]*"
           r"|ld-linux\S*")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def defined(path, types, *options):
    """The symbols that a file defines, of the types that nm names by letters."""
    return set(re.findall(rf" [{types}] ([^\s@]+)", output("llvm-nm", "--defined-only", *options, path)))


prefix, ending = Path(sys.argv[1]), sys.argv[2]
libraries = [prefix / f"lib/{name}{ending}" for name in ["libRope", "librope-c", "RopePlugin"]]
tools = sorted((prefix / "bin").iterdir())
llvm = Path(shutil.which("mlir-opt")).resolve().parent.parent / "lib"
# What MLIR and LLVM define out of line, nobody else does.
theirs = set.union(*(defined(llvm / f"lib{name}{ending}", "T", "--dynamic") for name in ["MLIR", "LLVM"]))
problems = []
if len(theirs) < 10000 or len(tools) < 6:
    problems.append(f"read {len(theirs)} symbols of MLIR and LLVM, and {len(tools)} tools")
for path in [*libraries, *tools]:
    needed = re.findall(r"^\s+(\S+\.so\S*)$", output("llvm-readelf", "--needed-libs", path), re.MULTILINE)
    if len(needed) < 2:
        problems.append(f"{path}: expected shared libraries, but read {needed}")
    for name in needed:
        own = OWN.get(path.name)
        if not re.fullmatch(ALLOWED, name) and not (own and re.fullmatch(own, name)):
            problems.append(f"{path} needs {name}")
    if path != libraries[0] and f"libRope{ending}" not in needed:
        problems.append(f"{path} does not use libRope")
    problems += [f"{path} has a copy of {symbol}" for symbol in sorted(defined(path, "Tt") & theirs)]
    # Ours beside each other, and MLIR's: nothing else, wherever the whole stands.
    for folder in re.findall(r"RUNPATH.*\[(.*)\]", output("llvm-readelf", "--dynamic-table", path)):
        if folder.split(":") != ["$ORIGIN/../lib", str(llvm)]:
            problems.append(f"{path} looks for libraries in {folder}")
exported = defined(libraries[1], "A-Z", "--dynamic")
if not {"mlirContextCreate", "ropeGetVersion"} <= exported:
    problems.append("librope-c does not export its interface")
problems += [f"librope-c exports {name}" for name in sorted(exported) if not re.match(r"(mlir|rope)[A-Z]", name)]

print("\n".join(problems) or "one copy of each library")
sys.exit(bool(problems))
