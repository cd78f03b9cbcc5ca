"""Reads the loops of attention whose products are those of pairs of bf16.

Products hold multiplications of pairs, what they read, and the loop itself; the
softmax holds vectors alone. None of them has a vector or a tile on the stack, a
call, or a multiplication of single numbers.
"""

import re
import subprocess
import sys

from inner_loops import blocks

# (processor, instruction, products in a loop, what such a loop may hold)
TARGETS = [
    ("znver5", "vdpbf16ps", {24}, r"vdpbf16ps|v?p?broadcast\w+|vpbroadcastd|vmov\w+|(add|sub|inc|dec|cmp|lea|mov)[lq]?|j\w+"),
    # A loop over the channels of keys may be unrolled.
    ("sapphirerapids", "tdpbf16ps", {4, 16}, r"tdpbf16ps|tileloadd|tilezero|tilestored|(add|sub|inc|dec|cmp|lea|mov|shl)[lq]?|j\w+"),
]


def problems(code, instruction, expected, allowed):
    counts, softmax = set(), 0
    for name, parts in code.items():
        # A frame pointer, or a register as any other.
        is_frame = any("%rsp, %rbp" in line for line in sum(parts, []))
        stack = r"\(%r[sb]p" if is_frame else r"\(%rsp"
        for block in parts:
            count = sum(line.startswith(instruction) for line in block)
            if count:
                counts.add(count)
                for line in block:
                    if not re.fullmatch(allowed, line.split()[0]):
                        yield f"{name} has in a loop of {count} products: {line}"
                    if re.search(stack, line) and re.search(r"[xyzt]mm", line):
                        yield f"{name} has in a loop of {count} products on the stack: {line}"
            if sum(line.startswith("vscalefps") for line in block) >= 4:
                softmax += 1
                for line in block:
                    if re.match(r"call|v(?!broadcast)\w+ss\b", line) or re.search(stack + r".*[xyz]mm|[xyz]mm.*" + stack, line):
                        yield f"{name} has in the softmax: {line}"
    if not counts & expected:
        yield f"no loop of {expected} {instruction}, but of {counts}"
    if not softmax:
        yield "no softmax"


def main():
    failed = False
    for cpu, *expected in TARGETS:
        output = f"{sys.argv[2]}.{cpu}.s"
        subprocess.run(["rope-compile", sys.argv[1], "-O3", "-o", output, "--target-triple=x86_64-unknown-linux-gnu",
                        f"--target-cpu={cpu}"], check=True)
        with open(output, encoding="utf-8") as text:
            code = blocks(text.read())
        for problem in problems(code, *expected):
            print(f"{cpu}: {problem}")
            failed = True
        print(f"{cpu}: read {len(code)} functions")
    sys.exit(failed)


main()
