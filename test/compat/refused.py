"""Files of newer releases, of none and of half are refused with a sentence.

RUN: %python %s %S %t
"""

import pathlib
import subprocess
import sys

kept, scratch = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
TOOLS = [["rope-opt"], ["rope-compile", "--emit=s", "-o", "/dev/null"], ["rope-run", "--function=f"]]
data = (kept / "0.1.0.mlirbc").read_bytes()
# A section of three numbers, each twice itself and one.
version = bytes([7, 7, 1, 3, 1])
assert data.count(version) == 1, "the version was not found in the file"
half = data[: len(data) // 2]


def newer(*numbers):
    return data.replace(version, bytes([7, 7, *(2 * number + 1 for number in numbers)]))


CASES = [
    (
        newer(0, 1, 1),
        "this file holds version 0.1.1 of the rope dialect, but this rope-mlir reads versions up to "
        "0.1.0: read it with rope-mlir 0.1.1 or a later release",
    ),
    (newer(0, 2, 0), "holds version 0.2.0"),
    (newer(12, 0, 3), "holds version 12.0.3"),
    (
        (kept / "Inputs/unversioned.mlirbc").read_bytes(),
        "this file holds no version of the rope dialect, so it is from before release 0.1.0: write it again "
        "from its text",
    ),
    (half, ""),
    (data[:7], ""),
]
problems = []
for case, expected in CASES:
    scratch.write_bytes(case)
    for tool in TOOLS:
        done = subprocess.run([*tool, scratch], capture_output=True, text=True)
        if done.returncode != 1 or "error: " not in done.stderr or expected not in done.stderr:
            problems.append(f"{tool[0]} exits {done.returncode}, expected 1 and '{expected}':\n{done.stderr}")
sys.exit("\n".join(problems) or None)
