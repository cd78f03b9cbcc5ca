"""Takes published model configurations all the way to rotated arrays.

Imports each configuration, compiles it for this processor, compares the tables
of cosines and sines with float64 at positions up to 1048575, rotates queries,
and prints error and speed. Run by `make demo`.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / "build" / "bin"
CONFIGS = ROOT / "test" / "configs"
TOKENS = 1024

# Configuration, kind of layer, and which length to pass where the frequencies
# depend on it.
MODELS = [
    ("Llama-2-7B", "", None),
    ("Llama-3.1-8B", "", None),
    ("Qwen2.5-7B-Instruct-yarn-128k", "", None),
    ("Phi-3.5-mini", "", 131072),
    ("Gemma-3-4B", "_full_attention", None),
    ("Gemma-4-E2B", "_full_attention", None),
    ("Hunyuan-A13B", "", None),
    ("DeepSeek-V3", "", None),
    ("gpt-oss-20b", "_full_attention", None),
    ("Qwen3-VL-4B", "", None),
]


def run(tool, *arguments):
    """Runs a tool and returns what it printed; stops the demo if it fails."""
    command = [str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def oracle_row(config, suffix, length):
    """The float64 frequencies and magnitude that this table must have."""
    index = json.loads((CONFIGS / "index.json").read_text())
    tables = json.loads((ROOT / "test" / "oracle" / "oracle_tables.json").read_text())["tables"]
    for row in index[config + ".json"]:
        if suffix != row["suffix"] and suffix not in row.get("or", []):
            continue
        if length is not None and (row["length"] is None or "long" not in row["case"]):
            continue
        return next(t for t in tables
                    if t["id"] in row["oracle"] and t["seq_len_case"] == row["case"])
    sys.exit(f"test/configs/index.json has no row for {config}{suffix}")


def table_error(module, suffix, row, length, last, folder):
    """The largest error of cosine and sine at positions up to `last`, divided
    by the magnitude, against float64."""
    random = np.random.default_rng(0)
    positions = np.unique(np.concatenate(
        [random.integers(0, last + 1, 2000), np.arange(64), last - np.arange(64)]))
    array, axes = positions, row.get("axis_of_pair")
    if axes:
        array = np.broadcast_to(positions, (max(axes) + 1, positions.size))
    np.save(folder / "positions.npy", np.ascontiguousarray(array, dtype=np.int64))
    extra = [] if length is None else [f"--input={length}"]
    run("rope-run", module, f"--function=rope_table{suffix}", f"--input=@{folder}/positions.npy",
        *extra, f"--output=@{folder}/cos.npy", f"--output=@{folder}/sin.npy")
    angles = np.outer(positions.astype(np.longdouble), np.array(row["inv_freq"], np.longdouble))
    magnitude = row["attention_factor"]
    return max(np.abs(np.load(folder / "cos.npy") / magnitude - np.cos(angles)).max(),
               np.abs(np.load(folder / "sin.npy") / magnitude - np.sin(angles)).max())


def signature(module, function):
    text = module.read_text()
    match = re.search(rf"func.func @{function}\(%\w+: tensor<\?x\?x(\d+)x(\d+)x(\w+)>, %\w+: tensor<(.*?)xi64>",
                      text)
    return int(match[1]), int(match[2]), match[3], match[4]


def time_for_a_token(module, suffix, length, folder):
    """Nanoseconds to rotate the query heads of one token, angles included."""
    heads, head, _, positions = signature(module, f"rope_apply{suffix}")
    shape = positions.split("x")
    index = np.arange(TOKENS, dtype=np.int64)[None]
    if len(shape) == 3:
        index = np.broadcast_to(index, (int(shape[0]), *index.shape))
    np.save(folder / "positions.npy", np.ascontiguousarray(index))
    extra = [] if length is None else [f"--input={length}"]
    out = run("rope-run", module, f"--function=rope_apply{suffix}",
              f"--input=1x{TOKENS}x{heads}x{head}xbf16=1", f"--input=@{folder}/positions.npy", *extra,
              "--threads=1", "--benchmark=5", "--benchmark_repetitions=10", "--benchmark_format=json")
    runs = json.loads(out)["benchmarks"]
    return min(each["real_time"] for each in runs if each["run_type"] == "iteration") / TOKENS


def kind(text):
    """Which scaling rule and pairing stand in the module."""
    rules = dict.fromkeys(re.findall(r"#rope\.(linear|ntk_alpha|dynamic_ntk|ntk|yarn|llama3|longrope|factors)<", text))
    words = list(rules) or ["default"]
    if "dimension(" in text:
        words = ["proportional"]
    if "axes =" in text:
        words.append("multi-axis")
    if "interleaved" in text:
        words.append("interleaved")
    return " ".join(words)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shown = MODELS[1][0]
        module = folder / "model.mlir"
        run("rope-translate", "--import-hf-config", CONFIGS / f"{shown}.json", "-o", module)
        body = module.read_text().split("func.func @rope_apply")[1].split("\n  }")[0]
        print(f"The rotation of test/configs/{shown}.json as rope operations:\n")
        print("  func.func @rope_apply" + body + "\n  }\n")
        run("rope-compile", module, "--target-cpu=host", "-o", folder / "model.s")
        assembly = (folder / "model.s").read_text().split("\n_mlir_ciface_rope_apply:")[1].split(".Lfunc_end")[0]
        rotation = [line.split("#")[0].rstrip() for line in assembly.splitlines()
                    if re.match(r"\s+v?f?n?m(add|sub|ul|la)", line)]
        print("and part of what they become on this processor:\n")
        print("\n".join(rotation[-6:]) + "\n")

        print("Largest error of cosine and sine against float64, and the time to rotate the queries of one\n"
              f"token ({TOKENS} tokens, bf16, one thread), with the angles made on the fly:\n")
        print(f"{'model':32}{'variant':26}{'n':>4}{'to 131071':>12}{'to 1048575':>12}{'ns/token':>10}")
        worst = 0.0
        for config, suffix, length in MODELS:
            run("rope-translate", "--import-hf-config", "--dtype=bf16", CONFIGS / f"{config}.json", "-o", module)
            row = oracle_row(config, suffix, length)
            errors = [table_error(module, suffix, row, length, last, folder) for last in (131071, 1048575)]
            worst = max(worst, *errors)
            text = module.read_text()
            functions = [part for part in text.split("func.func ") if part.startswith(f"@rope_apply{suffix}(")]
            print(f"{config + suffix.replace('_', ' ', 1):32.32}{kind(functions[0]):26}{row['pairs']:4}"
                  f"{errors[0]:12.1e}{errors[1]:12.1e}{time_for_a_token(module, suffix, length, folder):10.0f}")
        print()
        if worst > 3e-7:
            sys.exit(f"error: expected errors of at most 3e-7, but got {worst:.1e}")

    print("""Next, with a configuration of your own or one of test/configs:

  build/bin/rope-translate --import-hf-config config.json -o model.mlir
  build/bin/rope-opt model.mlir --rope-to-llvm
  build/bin/rope-run model.mlir --function=rope_table --input='3xi64=0 1 131071'
  build/bin/rope-compile model.mlir --target-cpu=host -o model.so     # and model.h beside it
  make test""")


if __name__ == "__main__":
    main()
