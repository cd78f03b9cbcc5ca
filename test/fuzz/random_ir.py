"""Random functions of rope.table and rope.apply: the tool refuses them with a
diagnostic, or every lowering succeeds. Never a crash, never an error behind the
verifier.

RUN: %python %s 1 120
"""

import random
import subprocess
import sys

DTYPES = ["f16", "bf16", "f32", "f64"]
PIPELINES = [
    ["--rope-to-llvm=target-cpu=host"],
    ["--convert-rope-to-linalg", "--canonicalize"],
    ["--generate-runtime-verification", "--cse"],
]
choose = random.choice


def size():
    return choose(["?", "0", "1", "2", "3", "5", "8", "20", "4611686018427387904" if random.random() < 0.05 else "7"])


def shaped(kind, shape, element):
    return f"{kind}<{'x'.join([*shape, element])}>"


def array(numbers):
    return f"array<i64{': ' if numbers else ''}{', '.join(map(str, numbers))}>"


def sometimes(probability, text):
    return [text] if random.random() < probability else []


def known(shape):
    """The same sizes, fewer of them known."""
    return [dim if random.random() < 0.8 else "?" for dim in shape]


def function():
    kind = choose(["tensor", "tensor", "memref"])
    rank = random.randint(1, 4)
    shape = [size() for _ in range(rank)]
    pairs = choose(["?", "0", "1", "2", "3", "5", "8", "16", "20", "32"])
    if random.random() < 0.8 and pairs != "?":
        shape[-1] = str(2 * int(pairs) + choose([0, 0, 0, 1, 3, 16]))
    dims = random.sample(range(rank - 1), random.randint(0, rank - 1))
    leading = [shape[dim] if random.random() < 0.9 else size() for dim in dims]
    apply = [f"pairing = #rope.pairing<{choose(['half', 'interleaved'])}>", f"position_dims = {array(dims)}"]
    apply += sometimes(0.3, f"offset = {choose([0, 1, 2, 3, 8, -1, 2**63 - 1])} : i64")
    apply += sometimes(0.3, f"pair_stride = {choose([0, 1, 2, 5, 8, 16, 20, 2**63 - 1])} : i64")
    apply += sometimes(0.3, f"result_pairing = #rope.pairing<{choose(['half', 'interleaved'])}>")
    apply += sometimes(0.2, "transpose")
    table = [f"magnitude = {choose(['1.0', '1.5', '-2.0', '0.0'])} : f64",
             f"precision = #rope.precision<{choose(['exact', 'f32'])}>"]
    positions = leading
    if random.random() < 0.25 and pairs != "?":
        axes = random.randint(1, 4)
        positions = [str(axes), *leading]
        table.append(f"axes = {array([random.randrange(axes) for _ in range(int(pairs))])}")
    element = choose(DTYPES)
    x = shaped(kind, known(shape), element)
    # What is rotated may be kept in wider elements.
    o = shaped(kind, known(shape), choose([element, element, "f32", "f64"]))
    table_element = choose([*DTYPES, "f32"])
    c, s = (shaped(kind, known([*leading, pairs]), table_element) for _ in range(2))
    p = shaped(kind, known(positions), choose(["i64", "i32", "index", "f32", "i8", "f64", "bf16"]))
    w = shaped(kind, known([pairs]), choose(["f64", "f64", "i64"]))
    out, result = choose([("%x", x), ("%o", o), ("%o", o), ("%o", o)])
    arguments = f"%x: {x}, %o: {o}, %p: {p}, %w: {w}, %ci: {c}, %si: {s}"
    if kind == "tensor":
        return f"""func.func @f({arguments}) -> {result} {{
  %c, %s = rope.table ins(%p, %w : {p}, {w}) outs(%ci, %si : {c}, {s}) {{{', '.join(table)}}}
  %y = rope.apply ins(%x, %c, %s : {x}, {c}, {s}) outs({out} : {result}) {{{', '.join(apply)}}}
  return %y : {result}
}}
"""
    return f"""func.func @f({arguments}) {{
  rope.table ins(%p, %w : {p}, {w}) outs(%ci, %si : {c}, {s}) {{{', '.join(table)}}}
  rope.apply ins(%x, %ci, %si : {x}, {c}, {s}) outs({out} : {result}) {{{', '.join(apply)}}}
  return
}}
"""


def run(source, *options):
    return subprocess.run(["rope-opt", *options], input=source, capture_output=True, text=True)


def main():
    seed, count = map(int, sys.argv[1:])
    random.seed(seed)
    valid = failures = 0
    for _ in range(count):
        source = function()
        verified = run(source)
        if verified.returncode == 1 and "error:" in verified.stderr:
            continue
        valid += 1
        for options in [[]] if verified.returncode else PIPELINES:
            done = run(source, *options)
            if done.returncode:
                failures += 1
                print(f"rope-opt {' '.join(options)} exits {done.returncode}\n{done.stderr}\n{source}")
    print(f"seed {seed}: {valid} of {count} functions are valid, {failures} failures")
    # A generator of nothing but invalid functions would test nothing.
    sys.exit(failures > 0 or valid < count / 5)


if __name__ == "__main__":
    main()
