# Rotations, tables and attention of imported models on a GPU, and the functions
# that these are made of: every kind against its formula, within the bounds of the
# processor.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: lavapipe
# RUN: %python %s %test_root
#
# With --all behind that, every configuration.

import os
import sys
import tempfile

import numpy as np
from rope_testing import gpu
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.reference import NUMPY

# First: files here have the same names.
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../CPU"))

import test_attention_models as cpu_attention
import test_math
import test_models as cpu

SIZES = (1, 5, 33)


def kind_of_rotation(model):
    """What decides which code is made: models that agree in it differ in
    numbers."""
    rule, position = model["scaling"], model["position"]
    parts = {
        "scaling": rule["type"],
        # Each of them is a parameter that others lack.
        "options": sorted(key for key in rule if key in ("mscale", "mscale_all_dim", "truncate", "alpha")),
        "layout": model["layout"],
        "part": "all" if model["rotary_dim"] == model["head_dim"] else model["rope_placement"],
        "positions": (position["mode"], position["axes"]),
    }
    return ", ".join(f"{key} {value}" for key, value in parts.items() if value)


def check_rotations(root, every, report):
    models = {model["id"]: model for model in cpu_attention.load(os.path.join(root, "oracle", "models.json"))}
    stored = cpu_attention.load(os.path.join(root, "oracle", "oracle_tables.json"))
    cases, kinds, left_out = [], set(), 0
    for file, rows in cpu_attention.load(os.path.join(root, "configs", "index.json")).items():
        modules = None
        for row in rows:
            for model in row["oracle"]:
                kind = kind_of_rotation(models[model])
                # Cases of a length are of one table.
                if row["case"]:
                    kind += f", {row['case']}"
                if kind in kinds and not every:
                    left_out += 1
                    continue
                kinds.add(kind)
                if not modules:
                    path = os.path.join(root, "configs", file)
                    modules = {dtype: cpu.import_configuration(path, dtype) for dtype in cpu.APPLY_TYPES}
                case = cpu.Case(len(cases), file, row, models[model], modules)
                cases.append((case, model, row["case"]))
    module = gpu.load("\n".join(f.text for case, _, _ in cases for f in case.all_functions()), "vulkan")
    for i, (case, model, which) in enumerate(cases):
        rows = [
            (data, stored["positions"]) for data in stored["tables"]
            if data["id"] == model and data["seq_len_case"] == which
        ]  # fmt: skip
        report.true(case.label, len(rows) == 1, f"{len(rows)} stored rows")
        case.check(module, report, np.random.default_rng(i), rows)
    print(f"{len(kinds)} kinds of rotations, {len(cases)} of them called; {left_out} of the same kinds are left out")
    if not every:
        for kind in sorted(kinds):
            print(f"  {kind}")


def features(case):
    """What the attention of a model has that others lack."""
    kind = case.expected
    has = {
        "several axes": kind.axes > 1, "soft-cap": kind.cap, "no order": not kind.causal,
        "window": kind.window is not None, "radius": kind.radius, "chunk": kind.chunk, "sinks": kind.sinks,
        "temperature": kind.temperature, "values that turn": kind.values_turn,
        "narrow values": kind.value_dim != kind.head_dim, "groups": kind.heads != kind.key_heads,
    }  # fmt: skip
    found = {name for name, value in has.items() if value}
    return found | {kind.rotation["scaling"]["type"] if kind.rotation else "no rotation"}


def check_attention(root, every, report):
    with tempfile.TemporaryDirectory() as folder:
        cases = [case for case in cpu_attention.read_cases(root, folder) if every or " with " not in case.label]
        # Imported as long as the files are there.
        texts = {id(case): case.text("f32") for case in cases}
    # The smallest ones first.
    cases.sort(key=lambda case: case.expected.heads * case.expected.head_dim)
    chosen, seen = {}, set()
    for case in cases:
        if every or not features(case) <= seen:
            chosen.setdefault(texts[id(case)], case)
            seen |= features(case)
    functions = [cpu_attention.renamed(text, f"f{i}") for i, text in enumerate(chosen)]
    module = gpu.load("\n".join(functions), "vulkan")
    calls = 0
    for i, case in enumerate(chosen.values()):
        for size in SIZES:
            for length in case.lengths():
                calls += 1
                case.check(module, report, f"f{i}", "f32", size, length, calls)
    others = f"{len(cases) - len(chosen)} {'are equal to one of them' if every else 'are left out'}"
    print(f"{len(chosen)} of {len(cases)} attentions, {calls} calls; {others}")
    if not every:
        for case in chosen.values():
            print(f"  {case.label}: {', '.join(sorted(features(case)))}")


def check_functions(report):
    """What drivers are tempted to simplify: rounding by adding and subtracting."""
    types = ("f32", "bf16", "f16")
    module = gpu.load("".join(test_math.ir(f, t) for f in test_math.FUNCTIONS for t in types), "vulkan")
    # Of all bit patterns some, so that all exponents and signs are there.
    x = np.arange(0, 2**32, 99991, dtype=np.uint64).astype(np.uint32).view(np.float32)
    values = np.concatenate([x, np.linspace(-130, 130, 100003, dtype=np.float32), np.float32(test_math.SPECIAL)])
    halves = np.arange(2**16, dtype=np.uint32).astype(np.uint16)
    for function in test_math.FUNCTIONS:
        test_math.check(module, report, "vulkan", function, "f32", values)
        for element in types[1:]:
            test_math.check(module, report, "vulkan", function, element, halves.view(NUMPY[element]))


def main():
    root, *options = sys.argv[1:]
    report = Report()
    reason = gpu.missing("vulkan")
    if reason:
        sys.exit(reason)
    check_functions(report)
    check_rotations(root, options == ["--all"], report)
    check_attention(root, options == ["--all"], report)
    report.finish()


if __name__ == "__main__":
    in_child(main)
