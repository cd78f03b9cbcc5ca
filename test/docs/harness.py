# RUN: %python %s %rope_prefix
# UNSUPPORTED: instrumented
"""What runs the documentation's blocks finds what is wrong with them, and the check of
links what is wrong with links.
"""

import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

import blocks
import links

PAGES = [
    # A page, and what is said of it; none where it is right.
    ("```mlir\n%y = arith.addf %x, %x : f32\n```\n", None),
    ("```mlir\n%y = arith.addf %x, %x : i32\n```\n", ":2: "),
    ("```mlir\n%a = arith.addf %x, %x : f32\n```\n\n```mlir\nfunc.func @f() {\n```\n", ":6: "),
    ("```mlir\n#rope.linear<factor = 2.0>\n#rope.linear<factor = -2.0>\n```\n", "(scaling_c1)"),
    ("```mlir\nrope.yield %s : f64\n```\n", "different type"),
    ("```sh\ntrue\nfalse\n```\n", "exit status 1"),
    ("```sh\nfalse | true\n```\n", "exit status 1"),
    ("<!-- exit: 3 -->\n```sh\nexit 3\n```\n", None),
    ("```console\n$ echo one && \\\n  echo two\none\ntwo\n$ rope-opt --version\n...\n```\n", None),
    ("```console\n$ echo a few words\na ... words\n$ echo 1\n2\n```\n", "echo 1\nprints\n1"),
    ("```console\necho 1\n```\n", "starts with a command"),
    ("```python\nx = 1\n```\ntext\n```python\nprint(x + 1)\n```\n<!-- output -->\n```text\n2\n```\n", None),
    ("```python\nprint(2)\n```\n<!-- output -->\n```text\n3\n```\n", "printed was\n2"),
    ("```python\nx = 1\n1 / 0\n```\n", "line 3"),
    ('```json\n{"a": 1,}\n```\n', ":2: "),
    ("<!-- file: a.py -->\n```python\nprint(40 + 2)\n```\n```console\n$ python3 a.py\n42\n```\n", None),
    ("<!-- file: a.c -->\n```c\nint x;\n```\n", "no other block uses a.c"),
    ("```fortran\nEND\n```\n", "nothing runs a block of 'fortran'"),
    ("```\nfree text\n```\n", "nothing runs a block of ''"),
    ("<!-- not run: -->\n```fortran\nEND\n```\n", "nothing runs"),
    ("<!-- not run: why -->\n```fortran\nEND\n```\n", "a reason is missing"),
    ("<!-- not run: needs a compiler of Fortran -->\n```fortran\nEND\n```\n", None),
    ("<!-- needs: json -->\n```python\n1 / 0\n```\n", "line 3"),
    ("<!-- needs: no_such_module -->\n```python\n1 / 0\n```\n", None),
    ("<!-- not run: a comment for another block -->\nText.\n```fortran\nEND\n```\n", "nothing runs"),
    ("<!-- from: test/docs/harness.py -->\n```python\nimport blocks\nimport links\n```\n", None),
    ("<!-- from: test/docs/harness.py -->\n```python\nimport links\nimport blocks\n```\n", "this is not in"),
    ("<!-- from: lib/IR/RopeOps.cpp -->\n```cpp\nnamespace\n```\n", "is no file of the tests"),
    ('- in a list:\n  ```sh\n  test "$(echo a)" = a\n  ```\n', None),
    ("```sh\ntrue\n", "is not closed"),
]

LINKS = [
    ("docs/index.md", "benchmarks.md", ""),
    ("docs/index.md", "benchmark.md", "is not there"),
    ("README.md", "docs/architecture.md#angles", ""),
    ("README.md", "docs/architecture.md#angle", "has no such heading"),
    ("README.md", "../elsewhere", "is not there"),
    ("README.md", "https://mlir.llvm.org/docs/", ""),
    ("README.md", "https//mlir.llvm.org", "is not there"),
    ("README.md", "https://mlir", "is no address"),
]


def main() -> None:
    wrong = []
    with tempfile.TemporaryDirectory() as folder:

        def run(case: tuple) -> tuple:
            page = pathlib.Path(folder) / f"page{PAGES.index(case)}.md"
            page.write_text(case[0])
            return (
                *case,
                subprocess.run(
                    [sys.executable, blocks.__file__, "--prefix", sys.argv[1], str(page)],
                    capture_output=True,
                    text=True,
                ),
            )

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = list(pool.map(run, PAGES))
        for text, said, done in results:
            if bool(done.returncode) != bool(said) or (said or "") not in done.stderr:
                wrong.append(f"of\n{text}is said\n{done.stderr or 'nothing'}")
    wrong += [
        f"{page} {target}: {found}"
        for page, target, said in LINKS
        if (found := links.check(page, target)) != said
    ]
    sys.exit("\n".join(wrong) or 0)


main()
