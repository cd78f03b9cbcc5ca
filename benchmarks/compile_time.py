#!/usr/bin/env python3
# Time to lower a function of many rotations.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lowers one function of 20, 40, 80 and 160 applications, q and k of each layer
of a model, with `rope-opt --rope-to-llvm`, and prints the time and its growth.

  benchmarks/compile_time.py [rope-opt]

Exits with 1 where 160 applications take more than 2 s, or more than twice
as long for each application as 20 do.
"""

import subprocess
import sys
import time

COUNTS = [20, 40, 80, 160]
LIMIT_SECONDS = 2.0
# Quadratic growth would be 8.
LIMIT_GROWTH = 2.0
REPEATS = 3


def module(applications):
    """Layers that share one table: applications / 2 of them."""
    layers = applications // 2
    q, k = "tensor<?x?x32x128xbf16>", "tensor<?x?x8x128xbf16>"
    p, t = "tensor<?x?xi64>", "tensor<?x?x64xf32>"
    arguments, results, body = [f"%p: {p}"], [], []
    for i in range(layers):
        arguments += [f"%q{i}: {q}", f"%k{i}: {k}"]
        for name, kind in (("q", q), ("k", k)):
            results.append((f"%r{name}{i}", kind))
            body.append(
                f"%e{name}{i} = tensor.empty(%b, %s) : {kind}\n"
                f"%r{name}{i} = rope.apply ins(%{name}{i}, %cos, %sin : {kind}, {t}, {t}) "
                f"outs(%e{name}{i} : {kind}) "
                "{pairing = #rope.pairing<half>, position_dims = array<i64: 0, 1>}"
            )
    kinds = ", ".join(kind for _, kind in results)
    return "\n".join(
        [
            f"func.func @layers({', '.join(arguments)}) -> ({kinds}) {{",
            "%c0 = arith.constant 0 : index",
            "%c1 = arith.constant 1 : index",
            f"%b = tensor.dim %p, %c0 : {p}",
            f"%s = tensor.dim %p, %c1 : {p}",
            "%w = rope.frequencies base(5.0e+05) : tensor<64xf64>",
            f"%t = tensor.empty(%b, %s) : {t}",
            f"%cos, %sin = rope.table ins(%p, %w : {p}, tensor<64xf64>) outs(%t, %t : {t}, {t})",
            *body,
            f"return {', '.join(value for value, _ in results)} : {kinds}",
            "}",
        ]
    )


def seconds(rope_opt, text):
    """The shortest of a few runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(
            [rope_opt, "--rope-to-llvm"], input=text.encode(),
            stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    rope_opt = sys.argv[1] if len(sys.argv) > 1 else "rope-opt"
    start_up = seconds(rope_opt, "")
    print("applications  seconds  ms for each")
    each = []
    for count in COUNTS:
        total = seconds(rope_opt, module(count))
        each.append((total - start_up) / count)
        print(f"{count:12}  {total:7.3f}  {1000 * each[-1]:11.2f}")
    growth = each[-1] / each[0]
    print(f"growth for each application: {growth:.2f}, limit {LIMIT_GROWTH}")
    print(f"{COUNTS[-1]} applications: {total:.3f} s, limit {LIMIT_SECONDS} s")
    sys.exit(growth > LIMIT_GROWTH or total > LIMIT_SECONDS)


if __name__ == "__main__":
    main()
