"""What the tests hold goes to bytecode and back and reads the same, and every
target of MLIR's format does for what the dialect has.

RUN: %python %s %test_root %rope_lib_dir/libRopeTestPlugin%shlibext
"""

import pathlib
import subprocess
import sys

root, plugin = pathlib.Path(sys.argv[1]), sys.argv[2]
problems = []

# --verify-roundtrip writes and reads each module, as text and as bytecode, and
# compares the generic form.
options = [
    "--split-input-file",
    "--verify-roundtrip",
    "--allow-unregistered-dialect",
    f"--load-dialect-plugin={plugin}",
    "-o",
    "/dev/null",
]
count = 0
for path in sorted(root.rglob("*.mlir")):
    if "invalid" in path.name or path.parent.name in ("Inputs", "exports"):
        continue
    count += 1
    done = subprocess.run(["rope-opt", path, *options], capture_output=True, text=True)
    if done.returncode:
        problems.append(f"{path.relative_to(root)}:\n{done.stderr}")
assert count > 70, f"only {count} files were found"

kept = root / "compat/0.1.0.mlir"
expected = subprocess.run(
    ["rope-opt", kept, "--mlir-print-op-generic"], capture_output=True, check=True
).stdout
for version in range(7):
    written = subprocess.run(
        ["rope-opt", kept, "--emit-bytecode", f"--emit-bytecode-version={version}"],
        capture_output=True,
        check=True,
    ).stdout
    read = subprocess.run(["rope-opt", "--mlir-print-op-generic"], input=written, capture_output=True)
    if read.stdout != expected:
        problems.append(
            f"version {version} of the format: {read.stderr.decode() or 'another text comes back'}"
        )
sys.exit("\n".join(problems) or None)
