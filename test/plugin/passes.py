"""Every pass and pipeline runs in the stock mlir-opt, where it does what it does in rope-opt.

UNSUPPORTED: instrumented
RUN: %python %s %test_root %rope_prefix/lib/RopePlugin%shlibext
"""

import itertools
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT, PLUGIN = Path(sys.argv[1]), sys.argv[2]
STOCK = ["mlir-opt", f"--load-dialect-plugin={PLUGIN}", f"--load-pass-plugin={PLUGIN}"]
OURS = ["rope-opt"]
ANCHORS = ["builtin.module({})", "builtin.module(func.func({}))", "builtin.module(gpu.module({}))"]


def names(tool):
    """The passes and pipelines that a tool knows."""
    text = subprocess.run([tool, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^ {6}--([\w-]+)(?=[ =])", text, re.MULTILINE))


def run(tool, text, pipeline):
    # The stock tool has a dialect `test` of its own, to which tests must not refer.
    text = re.sub(r'(["!#])test\.', r"\1other.", text)
    command = [*tool, "--split-input-file", "--allow-unregistered-dialect", f"--pass-pipeline={pipeline}"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def check(name):
    """Runs one pass on tests that mention it until it has changed or printed something. Returns what is
    wrong."""
    mentioned = re.compile(rf"RUN[:].*(?<!\w)(?<!\w-){name}(?![\w-])")
    texts = [file.read_text(encoding="utf-8") for folder in ["Conversion", "Transforms", "Pipelines"]
             for file in sorted((ROOT / folder).glob("*.mlir"))]
    texts = [text for text in texts if mentioned.search(text)]
    # What has no test that holds what it runs on.
    texts += [file.read_text(encoding="utf-8") for file in (ROOT / "plugin/Inputs").glob(f"{name}.mlir")]
    for text, anchor in itertools.product(texts, ANCHORS):
        pipeline = anchor.format(name)
        expected = run(OURS, text, pipeline)
        found = run(STOCK, text, pipeline)
        if found != expected or found[0] < 0:
            return f"{pipeline}: rope-opt gives\n{expected}\nand mlir-opt\n{found}"
        if expected[0] == 0 and expected != run(OURS, text, "any()"):
            return ""
    return f"{name}: did nothing in {len(texts)} files"


ours = sorted(names("rope-opt") - names("mlir-opt"))
declared = [name for file in ROOT.glob("../include/Rope/*/Passes.td")
            for name in re.findall(r'Pass<"([\w-]+)"', file.read_text(encoding="utf-8"))]
problems = [f"{name} is in Passes.td, but not in rope-opt" for name in set(declared) - set(ours)]
with ThreadPoolExecutor(4) as pool:
    problems += filter(None, pool.map(check, ours))
print("\n".join(problems) or f"{len(declared)} passes and {len(ours) - len(declared)} pipelines are equal")
sys.exit(bool(problems) or len(ours) <= len(declared))
