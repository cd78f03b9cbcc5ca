"""Sends arrays of random bytes through rope-run: round-trip.py MODULE FOLDER"""

import subprocess
import sys

import numpy as np

module, folder = sys.argv[1:3]
random = np.random.default_rng(0)


def run(function, array, save=np.save):
    save(f"{folder}/x.npy", array)
    subprocess.run(
        ["rope-run", module, f"--function={function}",
         f"--input=@{folder}/x.npy", f"--output=@{folder}/y.npy"],
        check=True)
    result = np.load(f"{folder}/y.npy")
    assert result.shape == array.shape, (result.shape, array.shape)
    assert result.tobytes() == np.ascontiguousarray(array).tobytes(), function
    return result


for function, dtype in [
    ("f64", "<f8"), ("f32", "<f4"), ("f16", "<f2"), ("bf16", "V2"),
    ("bf16", "<u2"), ("i1", "|b1"), ("i8", "|i1"), ("i8", "|u1"),
    ("ui8", "|u1"), ("i16", "<i2"), ("i32", "<i4"), ("i32", "<u4"),
    ("i64", "<i8"), ("i64", "<u8"), ("index", "<i8"),
]:
    dtype = np.dtype(dtype)
    data = random.integers(0, 256, 5 * 37 * dtype.itemsize, dtype=np.uint8)
    if dtype == bool:
        data &= 1
    array = data.view(dtype).reshape(5, 37)
    result = run(function, array)
    print(function, dtype.str, "as", result.dtype.str)

run("f32", np.asfortranarray(random.random((5, 37), dtype=np.float32)))
print("columns first")
run("f32", np.zeros((0, 37), np.float32))
run("f32", np.zeros((5, 0), np.float32))
print("empty")
run("rank0", np.array(7, np.int64))
print("rank 0")
run("static", random.random((2, 3), dtype=np.float32))
print("static")
for version in (2, 0), (3, 0):

    def save(path, array):
        with open(path, "wb") as file:
            np.lib.format.write_array(file, array, version=version)

    run("i64", np.arange(6).reshape(2, 3), save)
print("versions 2 and 3")
