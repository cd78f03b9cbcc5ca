# Spellings of attention are raised, what is nearly attention is not and says
# why, and both compute what they did.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import dataclasses
import re
import subprocess
import sys

import numpy as np
from rope_testing.attention_spellings import Case, expected, inputs, spell
from rope_testing.compare import Report
from rope_testing.memory import in_child, note
from rope_testing.runner import Module, run

BOUNDS = {"f16": 1e-2, "bf16": 2e-2, "f32": 2e-5, "f64": 1e-13}
FUSE = ["--canonicalize", "--cse", "--linalg-fuse-elementwise-ops"]
RAISE = ["--rope-fuse-attention=key-rotation=load", "--canonicalize", "--cse"]
SIZES = [{"b": 1, "i": 1, "j": 1}, {"b": 2, "i": 5, "j": 7}, {"b": 1, "i": 33, "j": 65}]

SOFTMAX = ["named", "generic", "exp2", "exp2 late", "fused", "keepdim", "reduce", "select", "maxnum", "lowest",
           "two results", "guard", "jax", "spread", "no maximum", "reciprocal", "multiplied", "safe"]  # fmt: skip
MASKS = ["add ij", "add bij", "add j", "add hij", "add ji", "keep ij", "keep bij", "hide j", "causal", "causal low",
         "window", "positions"]  # fmt: skip


def make_cases():
    def case(label, **options):
        return Case(re.sub(r"\W", "_", label), **options)

    cases = [case(f"type {t}", type=t) for t in BOUNDS]
    cases += [case(f"wide {t}", type=t, wide="f32", group=2) for t in ("f16", "bf16")]
    cases += [case(f"softmax {s}", softmax=s, mask="keep ij" if s == "safe" else "") for s in SOFTMAX]
    cases += [case(f"mask {m}", mask=m) for m in MASKS]
    cases += [case(f"flat mask {m}", mask=m, flat=True) for m in MASKS]
    cases += [case(f"scale {s}", scale=s) for s in ("none", "divide", "query", "key", "both", "f64")]
    cases += [case(f"scale {s} bf16", scale=s, type="bf16", wide="f32") for s in ("query", "both", "f64")]
    cases += [case(f"product {p}{' flat' * f}", product=p, flat=f)
              for p in ("transpose", "generic", "maps", "contract", "swapped") for f in (False, True)]  # fmt: skip
    cases += [case(f"groups {g}{' flat' * f}", group=2, groups=g, flat=f)
              for g in ("broadcast", "named", "reshape") for f in (False, True)]  # fmt: skip
    cases += [case(f"groups query {m}", group=2, groups="query", product="generic", mask=m)
              for m in ("", "add hij", "keep bij")]  # fmt: skip
    cases += [
        case("no heads", heads=0),
        case("no heads maps", heads=0, product="maps", mask="causal"),
        case("no rotation", rotated=False),
        case("no rotation grouped", rotated=False, group=2, mask="keep ij"),
        case("cap", cap=True, mask="causal", scale="divide"),
        case("sinks", sinks=True),
        case("sinks grouped", sinks=True, group=2, mask="window"),
        case("cache", cache=True, group=2),
        case("cache bias", cache=True, mask="add bij"),
        case("narrow values", value_channels=8, group=2, flat=True),
        case("everything", type="bf16", wide="f32", group=2, mask="keep bij", softmax="keepdim", cap=True, scale="f64"),
    ]
    static = ("type", "softmax_g", "softmax_e", "softmax_r", "softmax_m", "scale", "mask")
    dynamic = [c for c in cases if not c.name.startswith(static)]
    return cases + [dataclasses.replace(c, name=c.name + "_dynamic", dynamic=True) for c in dynamic]


MISSES = {
    "softmax over queries": "the softmax is not over the keys",
    "maximum over queries": "'linalg.generic' between the products is no scalar operation and no part of the softmax",
    "sum over queries": "the softmax is not over the keys",
    "maximum of others": "'linalg.generic' between the products is no scalar operation and no part of the softmax",
    "sum of others": "",
    "sum from one": "the sum of the softmax does not start from zero",
    "dropout": "'arith.mulf' stands between the softmax and the product with values",
    "weights returned": "has other users",
    "scores returned": "has other users",
    "starts from something": "adds to a tensor that is not zero",
    "values of queries": "the softmax is not over the keys",
    "sinks first": "",
    "guard by key": "no part of the softmax",
    "halved mask": "'linalg.generic' between the products is no scalar operation and no part of the softmax",
}


def make_misses():
    cases = []
    for n, (miss, reason) in enumerate(MISSES.items()):
        for rotated in (True, False):
            name = f"miss_{n}_{'' if rotated else 'not_'}rotated"
            cases.append(Case(name, miss=miss, reason=reason, rotated=rotated, product="generic", sinks="sinks" in miss,
                              mask="add ji" if n % 2 and miss != "sinks first" else ""))  # fmt: skip
    return cases


def raised(texts, options, report=None):
    """The functions after `options`, by name, the module and the remarks."""
    text = "".join(texts)
    options = [*options, "--remark-format=emitRemark", "--remarks-filter=rope-fuse-attention"]
    done = subprocess.run(["rope-opt", "-", *options], input=text.encode(), capture_output=True)
    if done.returncode:
        raise RuntimeError(f"rope-opt failed:\n{done.stderr.decode()}")
    module = done.stdout.decode()
    functions = dict(re.findall(r"^  func\.func @(\w+)(.*?)^  }", module, re.MULTILINE | re.DOTALL))
    remarks = {}
    for kind, name, remark in re.findall(r"\[(\w+)\] \w+ \| Category:[\w-]+ \| Function=(\w+) \| Remark=\"(.*?)\"",
                                         done.stderr.decode()):  # fmt: skip
        remarks.setdefault(name, []).append((kind, remark))
    return functions, module, remarks


def check_numbers(report, kind, cases, graphs, modules):
    for n, case in enumerate(cases):
        for sizes in SIZES if case.dynamic else [{}]:
            sizes = dict(sizes)
            if sizes and case.cache:
                sizes = {"b": 2, "i": sizes["i"], "p": 6, "j": sizes["i"] + 6}
            if sizes and case.mask == "add ji":
                sizes["j"] = sizes["i"]
            if not case.dynamic and case.cache:
                sizes = {}
            arrays = inputs(case, graphs[case.name], sizes, np.random.default_rng(n))
            want, seen = expected(case, arrays)
            bound = BOUNDS[case.type] * max(1.0, np.abs(want).max(initial=0))
            for name, module in modules.items():
                if name == "given" and case.softmax == "named":
                    continue
                note(f"{name} {case.name} {sizes}")
                out = np.full(want.shape, 7, arrays["q"].dtype)
                module.call(case.name, *arrays.values(), out)
                got = out.astype(np.float64)
                if name == "given":  # not a number where nothing is seen
                    got = np.where(seen, got, want)
                report.close(f"{kind} {name} {case.type}", f"{name} {case.name} {sizes}", got, want, bound)


def check_cases(report, cases):
    graphs, texts = {}, []
    for case in cases:
        graphs[case.name], text, _ = spell(case)
        texts.append(text)
    # There is no lowering of linalg.softmax.
    given = "".join(text for case, text in zip(cases, texts) if case.softmax != "named")
    modules = {"given": Module(given, optimize="-O0")} if given else {}
    for name, before in (("raised", []), ("fused first", FUSE)):
        functions, module, remarks = raised(texts, [*before, *RAISE])
        for case in cases:
            text = functions[case.name]
            # A key that is rotated before it goes to the cache stays.
            done = text.count("rope.attention ") == 1 and not re.search(r"softmax|math\.exp", text)
            done &= text.count("rope.apply") == (1 if case.cache else 0)
            why = [remark for kind, remark in remarks.get(case.name, []) if kind == "Missed"]
            report.true(f"{name} {case.name}", done, f"is left: {why}")
        modules[name] = Module(module, optimize="-O0")
    check_numbers(report, "attention", cases, graphs, modules)


def check_misses(report, cases):
    texts = [spell(case)[1] for case in cases]
    for name, before in (("raised", []), ("fused first", FUSE)):
        functions, module, remarks = raised(texts, [*before, *RAISE])
        for case in cases:
            label = f"{name} {case.miss}, {'' if case.rotated else 'not '}rotated"
            report.true(label, "rope.attention" not in functions[case.name], "is raised")
            why = [remark for kind, remark in remarks.get(case.name, []) if kind == "Missed"]
            # A sum of squares of powers is that of no softmax, which alone makes a product of what
            # is not rotated worth a remark.
            due = case.rotated or case.miss != "sum of others"
            report.true(label, not due or any(case.reason in r for r in why), f"the remarks are {why}")


def main():
    report = Report()
    only = sys.argv[1:]
    check_cases(report, [case for case in make_cases() if not only or case.name in only])
    check_misses(report, [case for case in make_misses() if not only or case.name in only])
    report.finish()


if __name__ == "__main__":
    in_child(main)
