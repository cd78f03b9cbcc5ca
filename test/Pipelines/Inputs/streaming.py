"""Reads the code of rotations that write around the cache: every store of theirs
does, in vectors of the target's width, what they read is asked for ahead, and on
AVX-512 vectors stay in registers.

LLVM forgets that a store is one of these in several ways, which a store that goes
to the cache between the others makes slow.
"""

import re
import subprocess
import sys

TARGETS = {
    # name: vector register
    "x86-64": "xmm",
    "haswell": "ymm",
    "skylake-avx512": "zmm",
    "sapphirerapids": "zmm",
}
# (channels of a head, pairs, alignment of rows in bytes)
LAYOUTS = {"whole": (128, 64, 64), "partial": (128, 32, 64), "rest": (80, 40, 16)}
PAIRINGS = ["half", "interleaved"]
TYPES = ["f32", "bf16", "f16", "f64"]


def function(layout, pairing, dtype):
    head, pairs, alignment = LAYOUTS[layout]
    x, t = f"memref<?x8x{head}x{dtype}>", f"memref<?x{pairs}x{'f64' if dtype == 'f64' else 'f32'}>"
    return f"""
func.func @{layout}_{pairing}_{dtype}(%x: {x}, %c: {t}, %s: {t}, %y: {x}) {{
  rope.apply ins(%x, %c, %s : {x}, {t}, {t}) outs(%y : {x})
    {{pairing = #rope.pairing<{pairing}>, position_dims = array<i64: 0>, rope.streaming = {alignment} : i64}}
  return
}}"""


def split_functions(assembly):
    found, lines = {}, []
    for line in assembly.splitlines():
        label = re.match(r"(?:_mlir_ciface_)?(\w+):", line)
        if label and not label[1].startswith("L"):
            lines = found.setdefault(label[1], [])
        elif re.match(r"\s+[a-z]", line):
            lines.append(line.split("#")[0].split())
    return found


def check(name, lines, target, register):
    """What is wrong."""
    layout, _, dtype = name.split("_")
    # A store: the last operand is memory.
    stores = [line for line in lines if re.search(r"\(%r\w+.*\)$", line[-1]) and not line[0].startswith(("prefetch", "cmp"))
              and re.match(r"v?(mov|pmov|cvtps2ph|pextr|extract)", line[0])]  # fmt: skip
    stack = [line for line in stores if re.search(r"\(%r[sb]p", line[-1])]
    around = [line for line in stores if re.match(r"v?movnt(ps|pd|dqa?)$", line[0])]
    for line in stores:
        if line not in stack and line not in around:
            yield f"{name} stores to the cache: {' '.join(line)}"
    # F16C leaves half a register.
    width = "xmm" if register == "ymm" and dtype == "f16" else register
    if layout != "rest" and not any(width in line[-2] for line in around):
        yield f"{name} has no store of a {width}"
    if register == "zmm" and layout != "rest" and any("mm" in line[-2] for line in stack):
        yield f"{name} spills vectors"
    if not any(line[0] == "prefetcht0" for line in lines):
        yield f"{name} asks for nothing ahead"
    converts = any(line[0].startswith("vcvtne2ps2bf16") for line in lines)
    if converts != (dtype == "bf16" and target == "sapphirerapids"):
        yield f"{name} rounds to bf16 in another way"


def main():
    path = sys.argv[1] + ".mlir"
    with open(path, "w", encoding="utf-8") as file:
        for layout in LAYOUTS:
            for pairing in PAIRINGS:
                file.writelines(function(layout, pairing, dtype) for dtype in TYPES)
    failed = False
    for target, register in TARGETS.items():
        output = f"{sys.argv[1]}.{target}.s"
        subprocess.run(["rope-compile", path, "-o", output, "--target-triple=x86_64-linux-gnu",
                        f"--target-cpu={target}"], check=True)  # fmt: skip
        with open(output, encoding="utf-8") as text:
            code = split_functions(text.read())
        # The body of a parallel loop is a function of its own.
        code = {name.removesuffix("_parallel_0"): lines for name, lines in code.items() if name.endswith("_parallel_0")}
        names = [name for name in code if name.split("_")[0] in LAYOUTS]
        if len(names) != len(LAYOUTS) * len(PAIRINGS) * len(TYPES):
            print(f"{target}: only {sorted(names)}")
            failed = True
        for name in names:
            for problem in check(name, code[name], target, register):
                print(f"{target}: {problem}")
                failed = True
    sys.exit(failed)


main()
