# Arguments and texts that are garbage: an exception of Python's, never the end of the interpreter.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s --rounds=3000

import argparse
import random
import sys

import ml_dtypes
import numpy as np
import rope_mlir
from modules import CONFIG, IN_PLACE, binary, copy

EXPECTED = (TypeError, ValueError, LookupError, rope_mlir.MLIRError, OSError, MemoryError, OverflowError)
DTYPES = [
    "f4",
    "f8",
    "f2",
    ml_dtypes.bfloat16,
    "i8",
    "i4",
    "u1",
    "?",
    "c8",
    ">f4",
    "S3",
    "O",
    "V2",
    "M8[s]",
    "g",
]


class Odd:
    """Answers with whatever it is made with."""

    def __init__(self, rng):
        self.rng = rng

    def __dlpack__(self, *arguments, **keywords):
        return garbage(self.rng, 1)

    def __dlpack_device__(self):
        return self.rng.choice([(1, 0), (2, 0), (1,), (), None, (1, 2, 3), ("a", "b"), (2**70, 0), (-1, 0)])

    def __array_namespace__(self, *arguments):
        return self.rng.choice([np, None, self])

    def __getattr__(self, name):
        if name.startswith("__") or name == "rng":
            raise AttributeError(name)
        raise RuntimeError(name)


def array(rng):
    shape = rng.choice(
        [(3, 4), (3, 4), (0, 4), (1, 3, 2, 32), (1, 3), (3,), (), (2, 3, 4), (1,) * 40, (4, 3), (0,), (3, 0)]
    )
    dtype = rng.choice(["f4", rng.choice(DTYPES)])
    result = np.zeros(shape, dtype)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        change = rng.randrange(8)
        try:
            if change == 0:
                result = result[..., ::-1]
            elif change == 1:
                result = result.T
            elif change == 2:
                result = result[::2]
            elif change == 3:
                result.flags.writeable = False
            elif change == 4:
                result = np.broadcast_to(result, (2, *shape))
            elif change == 5:
                result = np.zeros(result.nbytes + 8, "u1")[1 : 1 + result.nbytes].view(dtype).reshape(shape)
            elif change == 6:
                result = result[..., None, :]
            else:
                result = np.ma.masked_array(result)
        except (ValueError, TypeError, IndexError):
            pass
    return result


def garbage(rng, depth=0):
    kind = rng.randrange(16 if depth < 2 else 10)
    if kind < 6:
        return array(rng)
    values = [
        None,
        0,
        -1,
        2**63,
        2**64,
        1e400,
        float("nan"),
        "text",
        b"bytes",
        1j,
        object(),
        int,
        len,
        ...,
        True,
        np.float32(1),
    ]
    if kind < 10:
        return rng.choice(values)
    if kind < 12:
        return [garbage(rng, depth + 1) for _ in range(rng.randrange(3))]
    if kind < 13:
        return tuple(garbage(rng, depth + 1) for _ in range(rng.randrange(3)))
    if kind < 14:
        return memoryview(bytearray(rng.randrange(64)))
    if kind < 15:
        return array(rng).__array_interface__
    return Odd(rng)


def fitting(kind):
    """An argument as `argument_types` asks for."""
    element, _, sizes = kind.rstrip("]").partition("[")
    dtype = ml_dtypes.bfloat16 if element == "bfloat16" else element
    return np.ones([3 if size == "?" else int(size) for size in sizes.split(", ") if size], dtype)


def calls(rng, functions):
    function = rng.choice(functions)
    arguments = [fitting(kind) for kind in function.argument_types]
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
        arguments[rng.randrange(len(arguments))] = garbage(rng)
    if rng.random() < 0.1:
        arguments = [garbage(rng) for _ in range(rng.randrange(5))]
    keywords = {}
    if rng.random() < 0.2:
        outs = [fitting(kind) for kind in function.result_types]
        if outs and rng.random() < 0.5:
            outs[rng.randrange(len(outs))] = garbage(rng)
        keywords[rng.choice(["out", "out", "out", "output", ""])] = rng.choice([tuple(outs), garbage(rng)])
    function(*arguments, **keywords)


TEXTS = [binary("f32"), binary("bf16"), copy("f16"), IN_PLACE, str(rope_mlir.import_hf_config(CONFIG))]


def texts(rng, functions):
    # Of text alone: LLVM's reader of bytecode ends the process where some bytes are others.
    data = bytearray(rng.choice(TEXTS).encode())
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(data))
        change = rng.randrange(3)
        if change == 0:
            data[place] = rng.randrange(256)
        elif change == 1:
            del data[place : place + rng.randrange(1, 9)]
        else:
            data[place:place] = data[rng.randrange(len(data)) :][: rng.randrange(1, 30)]
        data = data or bytearray(b" ")
    module = rope_mlir.ir.Module.parse(bytes(data))
    str(module)
    for op in module.walk():
        str(op), op.attributes, op.location, op.operand_types, op.result_types, op.parent, op.regions


def names(rng, functions):
    options = {
        "function": rng.choice([None, "f", "", "g", garbage(rng)]),
        "cache": rng.choice([False, garbage(rng)]),
        rng.choice(["opt_level", "target_cpu", "optimize", "nothing"]): garbage(rng),
    }
    rope_mlir.compile(rng.choice([*TEXTS[:4], garbage(rng)]), **options)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    functions = [rope_mlir.compile(text) for text in TEXTS[:4]]
    imported = rope_mlir.ir.Module.parse(TEXTS[4])
    functions += [rope_mlir.compile(imported, name) for name in ("rope_table", "rope_apply", "attention")]
    functions.append(rope_mlir.compile("func.func @f(%x: f32, %n: i8, %b: i1, %h: bf16) { return }"))
    counts = {}
    for round in range(options.rounds):
        rng = random.Random(options.seed * 1000003 + round)
        step = rng.choice([calls, calls, calls, calls, calls, calls, texts, names])
        print(f"round {round}: {step.__name__}", file=sys.stderr, end="\r")
        try:
            step(rng, functions)
            outcome = "passed"
        except EXPECTED as error:
            outcome = type(error).__name__
        counts[step.__name__, outcome] = counts.get((step.__name__, outcome), 0) + 1
    # Everything works as before.
    x = np.ones((3, 4), np.float32)
    assert np.array_equal(functions[0](x, x), x + x)
    print(sorted(counts.items()))
    # Some get through, most do not.
    assert (
        counts["calls", "passed"] > options.rounds // 20
        and counts["texts", "MLIRError"] > options.rounds // 20
    )
    assert (
        counts["calls", "TypeError"] > options.rounds // 20
        and counts["calls", "ValueError"] > options.rounds // 20
    )


if __name__ == "__main__":
    main()
