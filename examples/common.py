"""From an exported module to numbers beside the framework's; shared by the examples."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / "build" / "bin"
# All on one processor, so that times do not tell what else the machine does. Threads
# are counted when a framework is loaded, so this module is imported before.
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def run(*command, stdin=None):
    """What a program prints; ends the example where it fails."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def iree(program, *arguments, stdin=None):
    """A program that iree-base-compiler brings."""
    return run(pathlib.Path(sys.executable).parent / program, *arguments, stdin=stdin)


def best_time(call, seconds=2.0):
    """The least time of one call, in seconds, the first calls left out."""
    call(), call()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return min(times)


def compiled_time(module, inputs):
    out = run(TOOLS / "rope-run", module, "--function=main", *inputs, "--benchmark=2",
              "--benchmark_repetitions=3", "--benchmark_format=json")
    runs = [r for r in json.loads(out)["benchmarks"] if r["run_type"] == "iteration"]
    return min(r["real_time"] for r in runs) * {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[runs[0]["time_unit"]]


def compare(name, framework, text, arguments, expected, call, tolerance):
    """Optimizes the module, calls its `main` and prints error and time beside those
    of the framework, whose results are `expected`. Ends with an error where a result
    is further off than `tolerance` times the largest, or no table was found."""
    folder = ROOT / "build" / "examples" / name
    folder.mkdir(parents=True, exist_ok=True)
    exported, optimized = folder / "exported.mlir", folder / "optimized.mlir"
    exported.write_text(text)
    run(TOOLS / "rope-opt", exported, "--rope-optimize", "-o", optimized)
    inputs = []
    for i, array in enumerate(arguments):
        np.save(folder / f"in{i}.npy", np.ascontiguousarray(array))
        inputs.append(f"--input=@{folder}/in{i}.npy")

    code = optimized.read_text()
    found = ", ".join(f"{code.count(f'rope.{op} ')} rope.{op}" for op in ("table", "apply", "attention"))
    print(f"{framework}: a block of attention, exported to {exported.relative_to(ROOT)},")
    print(f"  optimized to {optimized.relative_to(ROOT)}: {found}. On one processor:")
    reference = best_time(call)
    print(f"  {'':14} {'ms':>8} {'speed':>8} {'error':>9}")
    print(f"  {framework:14} {reference * 1e3:8.2f} {1:8.2f}")
    bound, failed = tolerance * np.abs(expected).max(), False
    for kind, module in (("as exported", exported), ("optimized", optimized)):
        run(TOOLS / "rope-run", module, "--function=main", *inputs, f"--output=@{folder}/out.npy")
        error = np.abs(np.load(folder / "out.npy").astype(np.float64) - expected).max()
        failed |= not error <= bound
        time_of_call = compiled_time(module, inputs)
        print(f"  {kind:14} {time_of_call * 1e3:8.2f} {reference / time_of_call:8.2f} {error:9.1e}")
    if failed:
        sys.exit(f"error: expected errors of at most {bound:.1e}")
    if "rope.table" not in code:
        sys.exit(f"error: no rotation is raised in {optimized.relative_to(ROOT)}")
