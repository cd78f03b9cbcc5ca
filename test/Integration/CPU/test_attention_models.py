# The attention of every configuration: imported, compiled, run, against its
# formula.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %test_root
#
# With --all behind that, every size and type of every configuration; without,
# they take turns.

import concurrent.futures
import functools
import itertools
import json
import os
import sys
import tempfile

import numpy as np
from rope_testing import attention, reference
from rope_testing.attentions import rounding_of_logits
from rope_testing.compare import Report
from rope_testing.imported import import_configuration, renamed
from rope_testing.memory import in_child, note
from rope_testing.runner import Module, run

SIZES = (1, 5, 64, 333)
# Largest error over largest |reference|.
BOUNDS = {"f32": 2e-5, "bf16": 1e-2, "f16": 1e-2}
# Published windows, chunks and soft-caps that hardly matter at these sizes,
# made small enough that they do.
CHANGES = {
    "Gemma-2-9B.json": {"sliding_window": 50, "attn_logit_softcapping": 2.0},
    "Gemma-3-1B.json": {"sliding_window": 33},
    "Gemma-4-E2B.json": {"sliding_window": 64},
    "Llama-4-Maverick-17B-128E.json": {"attention_chunk_size": 60, "floor_scale": 100},
    "Mistral-7B-v0.1.json": {"sliding_window": 1},
    "ModernBERT-base.json": {"local_attention": 7},
    "OLMo-3-7B-stage1.json": {"sliding_window": 65},
    "Phi-3.5-mini.json": {"sliding_window": 10},
    "gpt-oss-20b.json": {"sliding_window": 4},
}


@functools.cache
def imported(path, dtype):
    return import_configuration(path, dtype)


class Case:
    """One kind of layer of one configuration at `path`."""

    def __init__(self, label, path, expected):
        self.label = label + expected.suffix
        self.path = path
        self.expected = expected

    def text(self, dtype):
        return imported(self.path, dtype)["attention" + self.expected.suffix]

    def lengths(self):
        switch = self.expected.length_switch()
        return [None] if switch is None else [switch, switch + 1]

    def arguments(self, rng, dtype, batch, size):
        """Queries, keys, values, positions, and sinks if there are some."""
        kind = self.expected
        q = rng.standard_normal((batch, size, kind.heads, kind.head_dim))
        k = rng.standard_normal((batch, size, kind.key_heads, kind.head_dim))
        v = rng.standard_normal((batch, size, kind.key_heads, kind.value_dim))
        positions = rng.integers(0, 50000, (kind.axes, batch, 1)) + np.arange(size)
        if kind.axes > 1:  # of images, they stand still and jump
            positions[1:] = rng.integers(0, 2000, positions[1:].shape)
        result = [x.astype(reference.NUMPY[dtype]) for x in (q, k, v)]
        result.append(positions if kind.axes > 1 else positions[0])
        if kind.sinks:
            sinks = 2 * rng.standard_normal(kind.heads)
            result.append(sinks.astype(reference.NUMPY[dtype]))
        return result

    def check(self, module, report, name, dtype, size, length, number):
        kind = self.expected
        label = f"{self.label}: {dtype}, {size} positions, length {length}"
        note(label)
        rng = np.random.default_rng(number)
        batch = 2 if size <= 64 else 1
        arguments = self.arguments(rng, dtype, batch, size)
        shape = (batch, size, kind.heads, kind.value_dim)
        got = np.zeros(shape, reference.NUMPY[dtype])
        more = [] if length is None else [length]
        module.call(name, *arguments, *more, got)
        q, k, v, positions, *sinks = arguments
        positions = positions.reshape(kind.axes, batch, size)
        expected = kind(q, k, v, positions, *sinks, length=length)
        bound = BOUNDS[dtype]
        if dtype == "bf16":
            bound += rounding_of_logits(q.astype(float), k.astype(float), kind.scale)
        bound *= np.abs(expected).max()
        report.close(f"attention {dtype}", label, got, expected, bound)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def changed(config, changes):
    text = config.get("text_config", config)
    unknown = [key for key in changes if key not in text]
    if unknown:
        raise ValueError(f"no {unknown} to change")
    text.update(changes)
    return config


def rotations(file, config, rows, models):
    """The rotation of each suffix."""
    result = {}
    for row in rows:
        for suffix in [row["suffix"], *row.get("or", [])]:
            result[suffix] = models[row["oracle"][0]]
    if file.startswith("ModernBERT"):  # the same, but for the base
        local = result["_sliding_attention"]
        result["_full_attention"] = {**local, "theta": config["global_rope_theta"]}
    return result


def read_cases(root, folder):
    """The kinds of layers of all configurations."""
    models = {model["id"]: model for model in load(os.path.join(root, "oracle", "models.json"))}
    cases = []
    for file, rows in load(os.path.join(root, "configs", "index.json")).items():
        path = os.path.join(root, "configs", file)
        variants = [(file, path, load(path))]
        if file in CHANGES:
            config = changed(load(path), CHANGES[file])
            other = os.path.join(folder, file)
            with open(other, "w", encoding="utf-8") as out:
                json.dump(config, out)
            variants.append((f"{file} with {CHANGES[file]}", other, config))
        for label, place, config in variants:
            found = attention.attentions(config, rotations(file, config, rows, models))
            names = {name for name in imported(place, "f32") if name.startswith("attention")}
            if names != {"attention" + kind.suffix for kind in found}:
                raise RuntimeError(f"{label}: unexpected functions {sorted(names)}")
            cases += [Case(label, place, kind) for kind in found]
    return cases


def choose(cases):
    """Sizes and types of some: they take turns."""
    turns = itertools.cycle(itertools.product(SIZES, BOUNDS))
    seen = set()
    for case in cases:
        kind = case.expected
        if " with " in case.label:  # where the changes matter most
            yield case, 333, "f32"
            yield case, 64, "bf16"
            continue
        # What was saved in another spelling is the same function.
        text = case.text("f32")
        if ".v5." in case.label and text in seen:
            continue
        seen.add(text)
        size, dtype = next(turns)
        if size == 333 and kind.heads * kind.head_dim > 6000:
            size = 65
        yield case, size, dtype


def check_tool(root, folder, report):
    """The command as it is typed, on files."""
    path = os.path.join(root, "configs", "SmolLM2-135M.json")
    model = os.path.join(folder, "model.mlir")
    run("rope-translate", "--import-hf-config", "--dtype=f32", path, "-o", model)
    kind = attention.attentions(load(path), {"": {
        "head_dim": 64, "rotary_dim": 64, "layout": "neox", "theta": 100000.0,
        "scaling": {"type": "default"}, "rope_placement": "leading",
        "position": {"axes": 1, "mode": "1d"},
    }})[0]  # fmt: skip
    rng = np.random.default_rng(0)
    shapes = [(2, 7, 9, 64), (2, 7, 3, 64), (2, 7, 3, 64)]
    arrays = [rng.standard_normal(shape).astype("f4") for shape in shapes]
    arrays.append(np.tile(np.arange(7), (2, 1)))
    command = ["rope-run", model, "--function=attention"]
    for i, array in enumerate(arrays):
        np.save(os.path.join(folder, f"{i}.npy"), array)
        command.append(f"--input=@{folder}/{i}.npy")
    run(*command, f"--output=@{folder}/out.npy")
    expected = kind(*arrays[:3], arrays[3][None])
    report.close(
        "rope-run", "rope-run", np.load(os.path.join(folder, "out.npy")), expected,
        2e-5 * np.abs(expected).max(),
    )  # fmt: skip


def main():
    root, *options = sys.argv[1:]
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        check_tool(root, folder, report)
        cases = read_cases(root, folder)
        if options == ["--all"]:
            calls = [
                (case, size, dtype)
                for case, size, dtype in itertools.product(cases, SIZES, BOUNDS)
                if ".v5." not in case.label or size == 5
            ]
        else:
            calls = list(choose(cases))
        plan = {}  # by type: text of a function, to what to call it with
        for case, size, dtype in calls:
            by_text = plan.setdefault(dtype, {})
            by_text.setdefault(case.text(dtype), []).append((case, size))

    # Equal functions of several models are compiled once.
    names = {
        dtype: {text: f"f{i}" for i, text in enumerate(by_text)}
        for dtype, by_text in plan.items()
    }
    with concurrent.futures.ThreadPoolExecutor() as pool:
        texts = [
            "\n".join(renamed(text, name) for text, name in of_type.items())
            for of_type in names.values()
        ]
        modules = dict(zip(names, pool.map(Module, texts)))
    number = 0
    for dtype, by_text in plan.items():
        for text, runs in by_text.items():
            for case, size in runs:
                for length in case.lengths():
                    number += 1
                    case.check(
                        modules[dtype], report, names[dtype][text], dtype, size, length, number
                    )  # fmt: skip
    files = {case.path for case in cases if " with " not in case.label}
    print(f"{len(files)} files, {len(cases)} kinds of layers, {number} calls")
    report.finish()


if __name__ == "__main__":
    in_child(main)
