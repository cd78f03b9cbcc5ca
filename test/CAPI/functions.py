# RUN: %python %s %rope_prefix %test_root
"""Every function that the headers declare is in the library, the library shows no
other symbols, and every function is called by a test in C."""

import pathlib
import re
import subprocess
import sys

prefix, tests = map(pathlib.Path, sys.argv[1:])
declared = set()
for header in (prefix / "include" / "rope-c").glob("*.h"):
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    for statement in re.findall(r"MLIR_CAPI_EXPORTED[^;]*;", text):
        declared.add(re.search(r"(\w+)\s*\(", statement)[1])
symbols = subprocess.run(["llvm-nm", "--dynamic", "--defined-only", "--format=just-symbols",
                          str(prefix / "lib" / "librope-c.so")],
                         check=True, capture_output=True, text=True).stdout.split()
exported = {name.split("@")[0] for name in symbols}

failures = []
assert len(declared) > 100, "the headers were not read"
for name in sorted(declared - exported):
    failures.append(f"{name} is declared but not in the library")
for name in sorted(exported - declared):
    if not name.startswith("mlir"):
        failures.append(f"{name} is in the library but not declared")
called = set()
for source in (tests / "CAPI").glob("*.c"):
    called |= set(re.findall(r"\brope\w+", source.read_text()))
for name in sorted(declared - called):
    failures.append(f"{name} is not tested")
print("\n".join(failures))
sys.exit(bool(failures))
