"""Prints the largest error of cosine and sine by position, against numbers in
extended precision: for both precisions of rope.table, and for the ways in which
angles are commonly computed, in NumPy on the same frequencies.

Run with the Python of build/venv after `make build`.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROPE_RUN = pathlib.Path(__file__).resolve().parent.parent / "build" / "bin" / "rope-run"
BASE, PAIRS = 500000.0, 64
LIMITS = [4096, 32768, 131072, 1 << 20, 1 << 24, 1 << 30]
MODULE = """
func.func @table(%p: tensor<?xi64>) -> (tensor<?x{n}xf32>, tensor<?x{n}xf32>) {{
  %zero = arith.constant 0 : index
  %size = tensor.dim %p, %zero : tensor<?xi64>
  %f = rope.frequencies base({base}) : tensor<{n}xf64>
  %init = tensor.empty(%size) : tensor<?x{n}xf32>
  %cos, %sin = rope.table ins(%p, %f : tensor<?xi64>, tensor<{n}xf64>)
                          outs(%init, %init : tensor<?x{n}xf32>, tensor<?x{n}xf32>)
                          {{precision = #rope.precision<{precision}>}}
  return %cos, %sin : tensor<?x{n}xf32>, tensor<?x{n}xf32>
}}
"""


def table(precision, positions):
    """What rope-run computes for the positions."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "table.mlir").write_text(MODULE.format(base=BASE, n=PAIRS, precision=precision))
        np.save(folder / "p.npy", positions)
        subprocess.run([ROPE_RUN, folder / "table.mlir", "--function=table", f"--input=@{folder}/p.npy",
                        f"--output=@{folder}/cos.npy", f"--output=@{folder}/sin.npy"], check=True)
        return np.load(folder / "cos.npy"), np.load(folder / "sin.npy")


def single(positions):
    """Frequencies, product and functions in f32, as model code has it."""
    angles = positions.astype(np.float32)[:, None] * frequencies().astype(np.float32)
    return np.cos(angles), np.sin(angles)


def recurrence(positions):
    """Each angle from its neighbour by one f32 product."""
    ratio = np.float32(BASE ** (-1 / PAIRS))
    angle = positions.astype(np.float32)
    columns = []
    for _ in range(PAIRS):
        columns.append(angle)
        angle = angle * ratio
    angles = np.stack(columns, axis=1)
    return np.cos(angles), np.sin(angles)


def frequencies():
    return np.power(np.longdouble(BASE), -np.arange(PAIRS, dtype=np.longdouble) / PAIRS)


def main():
    ways = {
        "`precision = exact`": lambda p: table("exact", p),
        "`precision = f32`": lambda p: table("f32", p),
        "f32 product, NumPy": single,
        "f32 recurrence, NumPy": recurrence,
    }
    random = np.random.default_rng(0)
    print("| positions below | " + " | ".join(ways) + " |")
    print("| --- |" + " --- |" * len(ways))
    exact = []
    for limit in LIMITS:
        positions = np.concatenate([random.integers(limit // 2, limit, 4000), limit - 1 - np.arange(64)])
        angles = positions.astype(np.longdouble)[:, None] * frequencies()
        truth = np.cos(angles), np.sin(angles)
        errors = [max(np.abs(got - want).max() for got, want in zip(way(positions), truth)) for way in ways.values()]
        exact.append(errors[0])
        print(f"| {limit} | " + " | ".join(f"{error:.1e}" for error in errors) + " |")
    sys.exit(0 if max(exact) <= 3e-7 else f"error: expected at most 3e-7, but got {max(exact):.1e}")


if __name__ == "__main__":
    main()
