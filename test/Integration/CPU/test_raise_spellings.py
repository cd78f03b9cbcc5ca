# Random spellings of rotations are raised, what is nearly one is not, and both
# compute what they did.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s rotations
# RUN: %python %s near-misses

import re
import subprocess
import sys

import numpy as np
from rope_testing import spellings
from rope_testing.compare import Report
from rope_testing.memory import note
from rope_testing.runner import Module, run

COUNT, BATCH = 360, 120
# What stands around rotations and is not lowered with them.
LOWER = (
    "builtin.module(func.func(tosa-to-linalg-named,tosa-to-linalg,tosa-to-arith,tosa-to-tensor,"
    "convert-complex-to-standard))"
)
# Arithmetic that a rotation or its table is made of.
ARITHMETIC = re.compile(
    r"\b(arith\.(mulf|addf|subf|negf|divf)|math\.(cos|sin|fma|powf|exp)|complex\.\w+|"
    r"linalg\.(mul|add|sub|negf|div|exp|map|elementwise|matmul|batch_matmul)|"
    r"tosa\.(mul|add|sub|negate|cos|sin|reciprocal))\b"
)


def compiled(text):
    return Module(run("rope-opt", f"--pass-pipeline={LOWER}", stdin=text), optimize="-O0")


def raised(samples):
    """The functions after rope-raise, by name, their module, and which samples
    have a remark on something that is left."""
    text = spellings.module(samples)
    options = ["--rope-raise", "--canonicalize", "--cse"]
    options += ["--remark-format=emitRemark", "--remarks-filter=rope-raise"]
    done = subprocess.run(["rope-opt", *options], input=text.encode(), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"rope-raise failed:\n{done.stderr.decode()}")
    module = done.stdout.decode()
    functions = dict(re.findall(r"^  func\.func @(\w+)(.*?)^  }", module, re.MULTILINE | re.DOTALL))
    starts = [(text[: m.start()].count("\n") + 1, m[1]) for m in re.finditer(r"func\.func @(\w+)", text)]
    remarks = set()
    for line in re.findall(r":(\d+):\d+: remark: \[Missed\]", done.stderr.decode()):
        remarks.add([name for start, name in starts if start <= int(line)][-1])
    return functions, module, remarks


def apply_of(text):
    """The only apply: the types of its operands and its attributes."""
    found = re.search(r"rope\.apply ins\(.*? : (.*?)\) outs\(.*?\) (\{.*?\})", text)
    return re.findall(r"tensor<.*?>", found[1]), found[2]


def check_rotation(report, sample, text):
    """One apply with the right parameters, and nothing of what it is made from."""
    name, expected, tags = sample.name, sample.parameters, sample.tags
    applies, tables = (len(re.findall(rf"\brope\.{op} ", text)) for op in ("apply", "table"))
    report.true(name, applies == expected["rotations"], f"{applies} rope.apply, {describe(sample)}")
    if applies != 1:
        return
    counts = {"traced": [1], "opaque": [0], "either": [0, 1]}[expected["table"]]
    report.true(name, tables in counts, f"{tables} rope.table, {describe(sample)}")
    left = ARITHMETIC.search(text)
    # Tokens may be put together by padding and adding them.
    if tags.get("skipped") and "pad" in tags["spelling"]:
        left = None
    report.true(name, not left, f"{left and left[0]} is left, {describe(sample)}")
    types, attributes = apply_of(text)
    pairs = int(re.search(r"(\d+)xb?f\d+>", types[1])[1])
    # Pairs of frequency zero may be left out.
    turning = expected["pairs"] - expected.get("still", 0)
    report.true(name, pairs in (expected["pairs"], turning), f"{pairs} pairs, {describe(sample)}")
    # Where x is the rotated channels alone, in order, there is one way to say it, unless
    # pairs are stacked or permuted beside the rotation.
    wanted = expected["pairing"], expected["result_pairing"]
    direct = tags["core"] in ("four products", "fused", "fma")
    direct |= wanted[0] == wanted[1] and tags["core"] not in ("two by two", "contraction")
    if tags["placement"] == "whole" and tags["layout"].endswith("D") and direct:
        given = dict(re.findall(r"(\w*pairing) = #rope\.pairing<(\w+)>", attributes))
        found = given["pairing"], given.get("result_pairing", given["pairing"])
        report.true(name, found == wanted, f"pairing {found}, {describe(sample)}")
    if expected["table"] == "traced":
        transposes = "transpose" in attributes
        report.true(name, transposes == expected["transpose"], f"transpose: {transposes}, {describe(sample)}")


def describe(sample):
    return f"expected {sample.parameters} of {sample.tags}"


def rotations(report):
    seen = set()
    for first in range(0, COUNT, BATCH):
        samples = [spellings.rotation(seed) for seed in range(first, first + BATCH)]
        seen |= {repr(sorted(s.tags.items(), key=repr)) for s in samples}
        module = compiled(spellings.module(samples))
        for s in samples:
            note(s.name)
            report.close("spelling", f"{s.name} {s.tags}", s.call(module), s.expected, s.bound)
        functions, text, _ = raised(samples)
        module = compiled(text)
        for s in samples:
            note(s.name)
            check_rotation(report, s, functions[s.name])
            report.close("raised", f"{s.name} {s.tags}", s.call(module), s.expected, s.bound)
    report.true("distinct", len(seen) >= 300, f"{len(seen)} spellings are distinct")


def near_misses(report):
    seen = set()
    for first in range(0, COUNT, BATCH):
        samples = [spellings.near_miss(seed) for seed in range(first, first + BATCH)]
        seen |= {repr(sorted(s.tags.items(), key=repr)) for s in samples}
        runs = [s for s in samples if s.parameters["runs"]]
        module = compiled(spellings.module(runs))
        before = {}
        for s in runs:
            note(s.name)
            before[s.name] = s.call(module).astype(np.float64)
            # It is not the rotation that it resembles.
            error = np.abs(before[s.name] - s.expected).max()
            report.true(s.name, error > s.bound, f"is a rotation: {s.tags}")
        functions, text, remarks = raised(samples)
        for s in samples:
            check_near_miss(report, s, functions[s.name], s.name in remarks)
        functions, text, _ = raised(runs)
        module = compiled(text)
        for s in runs:
            note(s.name)
            bound = s.bound * max(1.0, np.abs(before[s.name]).max())
            report.close("near miss", f"{s.name} {s.tags}", s.call(module), before[s.name], bound)
    report.true("distinct", len(seen) >= 300, f"{len(seen)} near misses are distinct")


def check_near_miss(report, sample, text, has_remark):
    applies, tables = (len(re.findall(rf"\brope\.{op} ", text)) for op in ("apply", "table"))
    report.true(sample.name, tables == 0, f"{tables} rope.table of {sample.tags}")
    most = 1 if sample.parameters["applies"] else 0
    report.true(sample.name, applies <= most, f"{applies} rope.apply of {sample.tags}")
    due = sample.parameters["remark"] or (sample.parameters["applies"] and not applies)
    if due:
        report.true(sample.name, has_remark, f"no remark on {sample.tags}")


if __name__ == "__main__":
    results = Report()
    {"rotations": rotations, "near-misses": near_misses}[sys.argv[1]](results)
    results.finish()
