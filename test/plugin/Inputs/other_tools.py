"""Loads the plugin into each mlir-opt of another version of LLVM that is installed."""

import glob
import re
import subprocess
import sys

plugin = sys.argv[1]
expected = re.compile(r"error: RopePlugin \S+ needs the MLIR of LLVM 22\.\S+ .*, but .*mlir-opt\S*, which loads it, uses (that of LLVM|a copy of its own)")
tools = [tool for tool in glob.glob("/usr/bin/mlir-opt-[0-9]*") if not tool.endswith("-22")]
if not tools:
    print("no mlir-opt of another version is installed here")
for tool in tools:
    for option in ["--load-dialect-plugin", "--load-pass-plugin"]:
        done = subprocess.run([tool, f"{option}={plugin}", "--pass-pipeline=builtin.module(rope-simplify)"],
                              input="", capture_output=True, text=True)
        print(tool, option, done.returncode, done.stderr, sep="\n")
        if done.returncode != 1 or not expected.search(done.stderr):
            sys.exit(f"{tool}: expected exit status 1 after {expected.pattern}")
