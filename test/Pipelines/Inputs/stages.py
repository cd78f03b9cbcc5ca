"""Each stage of rope-to-llvm prints what can be read again.

stages.py INPUT FOLDER: prints the module after each pass to a tree of files,
reads each of them, and runs the passes one by one on the text of the one
before, which gives what the pipeline gives at once.
"""

import pathlib
import re
import shutil
import subprocess
import sys


def rope_opt(*arguments, text=None):
    return subprocess.run(["rope-opt", *arguments], input=text, check=True,
                          capture_output=True, text=True)


def split(pipeline):
    """The passes of `builtin.module(a,b{c=d,e=f},g(h))`, by the outermost commas."""
    inner = re.fullmatch(r"builtin\.module\((.*)\)", pipeline)[1]
    passes, depth, start = [], 0, 0
    for i, character in enumerate(inner + ","):
        depth += (character in "({") - (character in ")}")
        if character == "," and depth == 0:
            passes.append(inner[start:i])
            start = i + 1
    return passes


source, folder = sys.argv[1], pathlib.Path(sys.argv[2])
shutil.rmtree(folder, ignore_errors=True)
rope_opt(source, "--rope-to-llvm", "--mlir-disable-threading", "--mlir-print-ir-after-all",
         "--mlir-print-ir-module-scope", f"--mlir-print-ir-tree-dir={folder}", "-o", "/dev/null")
dumps = sorted(folder.rglob("*.mlir"))
assert len(dumps) > 10, "no stages were printed"
for dump in dumps:
    rope_opt(str(dump), "-o", "/dev/null")

whole = rope_opt(source, "--rope-to-llvm", "--dump-pass-pipeline")
pipeline = whole.stderr.split("Pass Manager with ")[1].split("\n", 1)[1]
pipeline = re.search(r"builtin\.module\(.*\)", pipeline.replace("\n", ""))
pipeline = re.sub(r"\s*([(),{}])\s*", r"\1", pipeline[0])
text = pathlib.Path(source).read_text(encoding="utf-8")
for one in split(pipeline):
    text = rope_opt(f"--pass-pipeline=builtin.module({one})", text=text).stdout
# Names of values and of globals may differ, operations may not.
def operations(module):
    return re.findall(r"\bllvm\.[\w.]+|\bmodule\b", module)

assert operations(text) == operations(whole.stdout), "one by one gives another result"
print(f"read {len(dumps)} stages, ran {len(split(pipeline))} passes")
