"""Reads the innermost loops that contractions, transposing copies and functions
of f32 become.

A contraction's holds multiply-adds, what they read, and the loop itself: no
shuffle, nothing on the stack. So does that of dot products, whose columns may be
rotated as they are read. A transposing copy's keeps its block in registers.
No function of f32 is called.
"""

import re
import subprocess
import sys

TARGETS = {
    # name: (triple, processor, multiply-adds in a tile, of a tile that selects)
    "avx512": ("x86_64-linux-gnu", "sapphirerapids", 24, 24),
    "avx2": ("x86_64-linux-gnu", "haswell", 12, 8),
    "neon": ("aarch64-linux-gnu", "generic", 24, 12),
}
FMA = r"vfmadd\d+ps|fmla"
ALLOWED = {
    "x86_64": r"vfmadd\d+ps|vbroadcastss|vmov[ua]ps|(add|sub|inc|cmp|lea)q?|j\w+",
    "aarch64": r"fmla|ldr|ldp|ldur|ld1r|mov|add|subs?|cmp|b\.\w+",
}
SELECTING = {
    "x86_64": r"|vcmpneqps|vblendvps",
    "aarch64": r"|fcmeq|bif|bit|bsl|mvn",
}
# Multiply-adds in a loop of dot products.
DOTS = {
    "avx512": {"dots": 16, "rotated_dots": 36},
    "avx2": {"dots": 8, "rotated_dots": 10},
    "neon": {"dots": 16, "rotated_dots": 18},
}
DOT_ALLOWED = {
    "x86_64": r"vf(n)?m(add|sub)\d+ps|vmulps|vmov[ua]ps|(add|sub|inc|cmp|lea|mov|or)q?|j\w+",
    "aarch64": r"fml[as]|fmul|fneg|ldr|ldp|ldur|mov|add|subs?|cmp|b\.\w+",
}
BODIES = {
    "fma": "%r = math.fma %x, %y, %z : f32",
    "contracted": """%p = arith.mulf %x, %y fastmath<contract> : f32
    %r = arith.addf %p, %z fastmath<contract> : f32""",
    "selected": """%zero = arith.constant 0.0 : f32
    %p = math.fma %x, %y, %z : f32
    %q = arith.cmpf une, %y, %zero : f32
    %r = arith.select %q, %p, %z : f32""",
    "skipped": """%zero = arith.constant 0.0 : f32
    %p = arith.mulf %x, %y fastmath<contract> : f32
    %s = arith.addf %p, %z fastmath<contract> : f32
    %q = arith.cmpf oeq, %y, %zero : f32
    %r = arith.select %q, %z, %s : f32""",
    "summed": """%p = arith.mulf %x, %y fastmath<contract> : f32
    %r = arith.addf %p, %z fastmath<reassoc,contract> : f32""",
    "skipped_summed": """%zero = arith.constant 0.0 : f32
    %p = arith.mulf %x, %y fastmath<contract> : f32
    %s = arith.addf %p, %z fastmath<reassoc,contract> : f32
    %q = arith.cmpf oeq, %y, %zero : f32
    %r = arith.select %q, %z, %s : f32""",
}


def contraction(name, body):
    # More than one chunk, where there are chunks.
    k = 512 if "reassoc" in body else 128
    a, b, c = f"memref<?x{k}xf32>", f"memref<{k}x64xf32>", "memref<?x64xf32>"
    return f"""
func.func @{name}(%A: {a}, %B: {b}, %C: {c}, %n: index) {{
  %c24 = arith.constant 24 : index
  %m = arith.muli %n, %c24 : index
  %a = memref.subview %A[0, 0][%m, {k}][1, 1] : {a} to memref<?x{k}xf32, strided<[{k}, 1]>>
  %c = memref.subview %C[0, 0][%m, 64][1, 1] : {c} to memref<?x64xf32, strided<[64, 1]>>
  linalg.generic {{indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                                   affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%a, %B : memref<?x{k}xf32, strided<[{k}, 1]>>, {b}) outs(%c : memref<?x64xf32, strided<[64, 1]>>) {{
  ^bb0(%x: f32, %y: f32, %z: f32):
    {body}
    linalg.yield %r : f32
  }}
  return
}}"""


def dots(name):
    """Products of four rows with columns, of their first halves rotated."""
    a, b, c = "memref<4x512xf32>", "memref<?x512xf32>", "memref<4x?xf32>"
    rotated = name == "rotated_dots"
    body = """%p = arith.mulf %x, %y fastmath<contract> : f32
    %r = arith.addf %p, %z fastmath<reassoc,contract> : f32"""
    if rotated:
        body = """%p0 = arith.mulf %y, %c fastmath<contract> : f32
    %p1 = arith.mulf %y1, %s fastmath<contract> : f32
    %u = arith.subf %p0, %p1 fastmath<contract> : f32
    %p2 = arith.mulf %y1, %c fastmath<contract> : f32
    %p3 = arith.mulf %y, %s fastmath<contract> : f32
    %v = arith.addf %p2, %p3 fastmath<contract> : f32
    %p4 = arith.mulf %u, %x fastmath<contract> : f32
    %r0 = arith.addf %p4, %z fastmath<reassoc,contract> : f32
    %p5 = arith.mulf %v, %x1 fastmath<contract> : f32
    %r = arith.addf %p5, %r0 fastmath<reassoc,contract> : f32"""
    names = [("A", "x", "m", a), ("B", "y", "n", b)]
    if rotated:
        names += [("A1", "x1", "m", a), ("B1", "y1", "n", b), ("C0", "c", "n", b), ("S0", "s", "n", b)]
    maps = ", ".join(f"affine_map<(m, n, k) -> ({dim}, k)>" for _, _, dim, _ in names)
    return f"""
func.func @{name}({', '.join(f'%{n}: {t}' for n, _, _, t in names)}, %C: {c}) {{
  linalg.generic {{indexing_maps = [{maps}, affine_map<(m, n, k) -> (m, n)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}}
      ins({', '.join(f'%{n}' for n, _, _, _ in names)} : {', '.join(t for _, _, _, t in names)}) outs(%C : {c}) {{
  ^bb0({', '.join(f'%{x}: f32' for _, x, _, _ in names)}, %z: f32):
    {body}
    linalg.yield %r : f32
  }}
  return
}}"""


def transpose(element):
    body = "%r = arith.extf %x : bf16 to f32" if element == "bf16" else "%r = arith.negf %x : f32"
    return f"""
func.func @transpose_{element}(%X: memref<64x64x{element}>, %Y: memref<64x64xf32>) {{
  linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>],
                  iterator_types = ["parallel", "parallel"]}}
      ins(%X : memref<64x64x{element}>) outs(%Y : memref<64x64xf32>) {{
  ^bb0(%x: {element}, %o: f32):
    {body}
    linalg.yield %r : f32
  }}
  return
}}"""


def functions():
    return """
func.func @functions(%X: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%X : memref<?xf32>) {
  ^bb0(%x: f32):
    %0 = math.exp %x : f32
    %1 = math.exp2 %0 : f32
    %2 = math.tanh %1 : f32
    %3 = math.log %2 : f32
    linalg.yield %3 : f32
  }
  return
}"""


def blocks(assembly):
    """Straight pieces of code, by function."""
    found, name, current = {}, None, []
    for line in assembly.splitlines():
        line = re.sub(r"#.*|//.*", "", line).rstrip()
        label = re.match(r"(?:_mlir_ciface_)?(\w+):$", line)
        if label:
            name = label[1]
        if re.match(r"\S+:$", line) or not line:
            current = []
        elif name and re.match(r"\s+[a-z]", line):
            if not current:
                found.setdefault(name, []).append(current)
            current.append(line.strip())
            if re.match(r"\s+(j|b\.|ret)", line):
                current = []
    return found


def check(code, family, tile, selecting, dot_counts):
    """What is wrong."""
    for name in BODIES:
        expected = selecting if "select" in BODIES[name] else tile
        counts = []
        stack = r"%rsp|\bsp\b"
        if any("%rsp, %rbp" in line for line in sum(code[name], [])):
            stack += "|%rbp"
        for block in code[name]:
            count = sum(bool(re.match(FMA, line)) for line in block)
            counts.append(count)
            if count < 4:
                continue
            allowed = ALLOWED[family] + (SELECTING[family] if "select" in BODIES[name] else "")
            for line in block:
                if not re.fullmatch(allowed, line.split()[0]) or re.search(stack, line):
                    yield f"{name} has in a loop of {count} multiply-adds: {line}"
        if expected not in counts:
            yield f"{name} has no loop of {expected} multiply-adds, but of {sorted(set(counts))}"
    for name, expected in dot_counts.items():
        loops = [block for block in code[name] if sum(bool(re.match(FMA, line)) for line in block) >= expected]
        if not loops:
            yield f"{name} has no loop of {expected} multiply-adds"
        for line in sum(loops, []):
            if not re.fullmatch(DOT_ALLOWED[family], line.split()[0]) or re.search(r"%rsp|\bsp\b", line):
                yield f"{name} has in a loop: {line}"
    for name in ("transpose_f32", "transpose_bf16"):
        for line in sum(code[name], []):
            if re.search(r"[xyz]mm.*\(%r[sb]p|\(%r[sb]p.*[xyz]mm|\bq\d+.*\[sp", line):
                yield f"{name} spills: {line}"
            if re.match(r"vpinsr|vinsertps|vpextr|vextractps|ins\b|umov", line):
                yield f"{name} takes vectors apart: {line}"
    for line in sum(code["functions"], []):
        if re.match(r"call|bl\b", line):
            yield f"functions: {line}"


def main():
    path = sys.argv[1] + ".mlir"
    with open(path, "w", encoding="utf-8") as file:
        for name, body in BODIES.items():
            file.write(contraction(name, body))
        file.write(dots("dots") + dots("rotated_dots"))
        file.write(transpose("f32") + transpose("bf16") + functions())
    failed = False
    for target, (triple, cpu, tile, selecting) in TARGETS.items():
        output = f"{sys.argv[1]}.{target}.s"
        subprocess.run(["rope-compile", path, "-o", output, f"--target-triple={triple}",
                        f"--target-cpu={cpu}"], check=True)
        with open(output, encoding="utf-8") as text:
            code = blocks(text.read())
        for problem in check(code, triple.split("-")[0], tile, selecting, DOTS[target]):
            print(f"{target}: {problem}")
            failed = True
        print(f"{target}: read {len(code)} functions")
    sys.exit(failed)


if __name__ == "__main__":
    main()
