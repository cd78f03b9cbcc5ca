"""Reads the code that every layout, element type and table becomes.

For each target, from one compiled module: no gather or scatter, no call that
computes a cosine, sine, power or a conversion of bf16, arithmetic on vectors of
the target's width, and fused multiply-adds where the target has them.
"""

import re
import subprocess
import sys

TARGETS = {
    # name: (triple, vector register, fused multiply-add, vector arithmetic)
    "x86-64": ("x86_64-linux-gnu", "xmm", None, r"mulp[sd]"),
    "haswell": ("x86_64-linux-gnu", "ymm", r"vfn?m(add|sub)\d+p[sd]", r"v(mul|fn?m(add|sub)\d+)p[sd]"),
    "sapphirerapids": ("x86_64-linux-gnu", "zmm", r"vfn?m(add|sub)\d+p[sd]", r"v(mul|fn?m(add|sub)\d+)p[sd]"),
    "aarch64": ("aarch64-linux-gnu", r"v\d+\.[248][sdh]", r"fml[as]", r"f(mul|mla|mls)"),
}

# name: (head, pairs, attributes)
LAYOUTS = {
    "half": (128, 64, "pairing = #rope.pairing<half>"),
    "interleaved": (128, 64, "pairing = #rope.pairing<interleaved>"),
    "partial": (128, 32, "pairing = #rope.pairing<half>"),
    "trailing": (192, 32, "pairing = #rope.pairing<interleaved>, offset = 128"),
    "proportional": (512, 64, "pairing = #rope.pairing<half>, pair_stride = 256"),
    "to_half": (128, 64, "pairing = #rope.pairing<interleaved>, result_pairing = #rope.pairing<half>"),
    "to_interleaved": (128, 64, "pairing = #rope.pairing<half>, result_pairing = #rope.pairing<interleaved>"),
    "transposed": (128, 64, "pairing = #rope.pairing<half>, transpose"),
    "odd": (80, 36, "pairing = #rope.pairing<half>, offset = 3"),
    "long": (640, 300, "pairing = #rope.pairing<interleaved>"),
}
TYPES = ["f32", "bf16", "f16", "f64"]
POSITIONS = ["i64", "i32", "index", "f32"]


def apply(layout, dtype, table):
    head, pairs, attributes = LAYOUTS[layout]
    x, t = f"tensor<?x?x8x{head}x{dtype}>", f"tensor<?x{pairs}x{table}>"
    return f"""
func.func @apply_{layout}_{dtype}_{table}(%x: {x}, %cos: {t}, %sin: {t}) -> {x} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : {x}
  %s = tensor.dim %x, %c1 : {x}
  %init = tensor.empty(%b, %s) : {x}
  %y = rope.apply ins(%x, %cos, %sin : {x}, {t}, {t}) outs(%init : {x})
         {{{attributes}, position_dims = array<i64: 1>}}
  return %y : {x}
}}"""


def table(name, position, dtype, attributes="", axes="", pairs=64):
    p, t = f"tensor<{axes}?x{position}>", f"tensor<?x{pairs}x{dtype}>"
    dim = 1 if axes else 0
    return f"""
func.func @table_{name}(%p: {p}) -> ({t}, {t}) {{
  %dim = arith.constant {dim} : index
  %s = tensor.dim %p, %dim : {p}
  %f = rope.frequencies base(1.0e4) : tensor<{pairs}xf64>
  %init = tensor.empty(%s) : {t}
  %c, %s1 = rope.table ins(%p, %f : {p}, tensor<{pairs}xf64>) outs(%init, %init : {t}, {t}) {{{attributes}}}
  return %c, %s1 : {t}, {t}
}}"""


def fused(layout, dtype):
    """A table that is made where it is used, from a length known at run time."""
    head, pairs, attributes = LAYOUTS[layout]
    x, t = f"tensor<?x?x8x{head}x{dtype}>", f"tensor<?x?x{pairs}xf32>"
    return f"""
func.func @fused_{layout}_{dtype}(%x: {x}, %p: tensor<?x?xi64>, %length: i64) -> {x} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %x, %c0 : {x}
  %s = tensor.dim %x, %c1 : {x}
  %f = rope.frequencies base(1.0e4) : tensor<{pairs}xf64>
  %w = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>) at %length : tensor<{pairs}xf64>
  %t = tensor.empty(%b, %s) : {t}
  %cos, %sin = rope.table ins(%p, %w : tensor<?x?xi64>, tensor<{pairs}xf64>) outs(%t, %t : {t}, {t})
  %init = tensor.empty(%b, %s) : {x}
  %y = rope.apply ins(%x, %cos, %sin : {x}, {t}, {t}) outs(%init : {x})
         {{{attributes}, position_dims = array<i64: 0, 1>}}
  return %y : {x}
}}"""


def functions():
    for layout in LAYOUTS:
        for dtype in TYPES[:2] if layout in ("trailing", "transposed", "long") else TYPES:
            yield apply(layout, dtype, "f32")
    # Tables of the activations' type.
    for dtype in ["bf16", "f16", "f64"]:
        yield apply("half", dtype, dtype)
    for position in POSITIONS:
        for precision in ["exact", "f32"]:
            for dtype in ["f32", "bf16"]:
                yield table(f"{position}_{precision}_{dtype}", position, dtype,
                            f"precision = #rope.precision<{precision}>")
    yield table("f64", "i64", "f64")
    yield table("f16", "i64", "f16", "magnitude = 1.25 : f64")
    yield table("axes", "i64", "f32", "axes = array<i64: " + ", ".join(
        str(i % 3) for i in range(64)) + ">", axes="3x")
    yield table("odd", "i64", "f32", pairs=36)
    for layout in ["half", "interleaved", "proportional"]:
        for dtype in ["f32", "bf16"]:
            yield fused(layout, dtype)


def split_functions(assembly):
    """The lines of each function, by symbol."""
    found, name = {}, None
    for line in assembly.splitlines():
        label = re.match(r"(\w+):", line)
        if label and not label[1].startswith("L"):
            name = label[1]
            found[name] = []
        elif re.match(r"\s*\.size", line):
            name = None
        elif name and re.match(r"\s+[a-z]", line):
            found[name].append(line.split("#")[0].split("//")[0].strip())
    return found


def check(name, lines, target):
    triple, register, fma, arithmetic = TARGETS[target]
    text = "\n".join(lines)
    problems = []
    for line in re.findall(r"^\w*(?:gather|scatter)\w*.*", text, re.MULTILINE):
        problems.append("gathers or scatters: " + line)
    # What may be called: memory, threads, and the one power of a
    # length-dependent rule.
    called = set(re.findall(r"^(?:callq?|jmp|bl|b)\s+\*?([A-Za-z_]\w*)", text, re.MULTILINE))
    allowed = {"rope_parallel_for", "malloc", "free", "memcpy", "memset", "memmove", "memrefCopy"}
    if name.startswith("fused"):
        allowed |= {"pow", "fma"} if target == "x86-64" else {"pow"}
    # Without F16C and AVX-512 a conversion of f16 is a call.
    if target == "x86-64" and "f16" in name:
        allowed |= {"__extendhfsf2", "__truncsfhf2"}
    # Tables in f64 and of float positions take frequencies in radians, which
    # become turns by an exact product: a call where it is no instruction.
    if name.startswith(("table_f32_exact", "table_f64")) and target == "x86-64":
        allowed |= {"fma"}
    problems += [f"calls {function}" for function in sorted(called - allowed)]
    wide = [line for line in lines if re.search(register, line) and re.match(arithmetic, line)]
    if not wide:
        problems.append(f"has no arithmetic on {register}")
    if fma and not any(re.match(fma, line) for line in wide):
        problems.append("has no fused multiply-add")
    # Nothing of a row whose length is a multiple of the vector is scalar.
    scalar = [line for line in lines if re.match(r"v?(mul|fn?m(add|sub)\d+)ss", line)]
    if "odd" not in name and triple.startswith("x86") and scalar:
        problems.append(f"multiplies scalars, {len(scalar)} times, as in: {scalar[0]}")
    return problems


def main():
    target, path = sys.argv[1], sys.argv[2]
    triple = TARGETS[target][0]
    cpu = "generic" if target == "aarch64" else target
    with open(f"{path}.{target}.mlir", "w", encoding="utf-8") as file:
        file.write("".join(functions()))
    failed = False
    lowered = subprocess.run(
        ["rope-opt", file.name,
         f"--rope-to-llvm=target-triple={triple} target-cpu={cpu}"],
        check=True, capture_output=True, text=True).stdout
    for line in re.findall(r".*(?:masked\.(?:gather|scatter)|"
                           r"intr\.(?:sin|cos|sincos|tan)\b|@(?:sin|cos|sincos)f?\().*", lowered):
        print(f"{target}: the llvm dialect has: {line.strip()}")
        failed = True
    output = f"{path}.{target}.s"
    subprocess.run(["rope-compile", file.name, "-o", output,
                    f"--target-triple={triple}", f"--target-cpu={cpu}"], check=True)
    with open(output, encoding="utf-8") as text:
        code = split_functions(text.read())
    names = re.findall(r"@(\w+)\(%[xp]:", "".join(functions()))
    for name in names:
        # The body of a parallel loop is a function of its own.
        lines = code.get(name) or code["_mlir_ciface_" + name]
        lines = lines + code.get(name + "_parallel_0", [])
        for problem in check(name, lines, target):
            print(f"{target}: {name} {problem}")
            failed = True
    print(f"{target}: read {len(names)} functions")
    sys.exit(failed)


main()
