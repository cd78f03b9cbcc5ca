"""Runs the functions of model.mlir, which another project's compiler has lowered, and compares them with
float64: check.py ROPE_RUN LOWERED FOLDER"""

import subprocess
import sys
from pathlib import Path

import numpy as np

ROPE_RUN, LOWERED, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
FACTOR, FIRST, PAIRS = 4.0, 20, 32


def run(function, *arguments):
    """Calls a function with one result."""
    FOLDER.mkdir(exist_ok=True)
    command = [ROPE_RUN, LOWERED, f"--function={function}", f"--output=@{FOLDER}/out.npy"]
    for i, argument in enumerate(arguments):
        if isinstance(argument, int):
            command.append(f"--input={argument}")
        else:
            np.save(FOLDER / f"{i}.npy", argument)
            command.append(f"--input=@{FOLDER}/{i}.npy")
    subprocess.run(command, check=True)
    return np.load(FOLDER / "out.npy")


def rotate(x, positions, w):
    """x [sequence, heads, channels] rotated by frequencies w, in float64."""
    angles = positions[:, None, None] * w
    first, second = np.split(x.astype(np.float64), 2, axis=-1)
    return np.concatenate([first * np.cos(angles) - second * np.sin(angles),
                           second * np.cos(angles) + first * np.sin(angles)], axis=-1)


def check(name, found, expected, tolerance):
    error = np.abs(found - expected).max()
    print(f"{name}: largest error {error:.3g}")
    if found.shape != expected.shape or not error < tolerance:
        sys.exit(f"{name}: expected an error below {tolerance}")


random = np.random.default_rng(9)
plain = 1e4 ** (-np.arange(PAIRS) / PAIRS)
stretched = np.where(np.arange(PAIRS) < FIRST, plain, plain / FACTOR)
if np.array_equal(plain, stretched):
    sys.exit("the rule changes nothing")
x = random.uniform(-1, 1, (37, 8, 2 * PAIRS)).astype(np.float32)
positions = random.integers(0, 131072, 37)
cache = random.uniform(-1, 1, (50, 8, 2 * PAIRS)).astype(np.float32)
check("stretch", run("stretch", plain), stretched, 1e-18)
check("rotate", run("rotate", x, positions), rotate(x, positions, stretched), 5e-7)
for function, w in [("store", stretched), ("store_whole", plain)]:
    expected = cache.astype(np.float64)
    expected[9:46] = rotate(x, positions, w)
    check(function, run(function, x, positions, cache, 9), expected, 5e-7)
