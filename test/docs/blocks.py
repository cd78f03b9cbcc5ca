# RUN: %python %s --prefix %rope_prefix --python %page_python
# REQUIRES: rope-python
# Programs of the pages are built without what an instrumented library needs.
# UNSUPPORTED: instrumented
"""Runs the code blocks of the documentation.

  test/docs/blocks.py --prefix DIR [--python PROGRAM] [PAGE ...]

Pages are all Markdown files of the project unless named. The blocks of a page run in
their order, in one temporary folder, with DIR/bin on the path and as build/bin:

- `sh`: a script that must succeed; `console`: commands behind `$ `, and what they print
  where it is shown, `...` standing for anything;
- `python`: statements, all of a page in one namespace;
- `mlir`: parsed and verified by rope-opt; values that a fragment does not define get the
  type that it uses them with, attributes a place;
- `json`: parsed;
- `text`, formulas, syntax, output: not code.

A comment in front of a block says more: `<!-- file: NAME -->` writes the block to a file,
which a later block of the page uses; `<!-- from: PATH -->` says that it is part of a file
that the tests build or run, which is checked; `<!-- output -->` that it is what the block
before prints; `<!-- exit: N -->` how a command ends; `<!-- needs: MODULE -->` that it is run
where Python finds that; `<!-- not run: WHY -->` leaves it out. Those that are not run are
printed, with the reason. A block of any other language is an error without one of these. What a
page starts with lies in Inputs, in a folder of its name, as made by a setup.py there.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import glob
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
INPUTS = pathlib.Path(__file__).resolve().parent / "Inputs"
RUN = ("sh", "console", "python", "mlir", "json")
SECONDS = 300


@dataclasses.dataclass
class Block:
    page: str
    line: int  # of the first line of text
    language: str
    text: str
    notes: dict  # what the comments in front of it say

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Wrong(Exception):
    """What a block did that it should not."""


def pages() -> list:
    """The Markdown files of the project, by their path in it."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(
            name for name in folders if name[0] != "." and not name.startswith(("build", "install", "Inputs"))
        )
        found += [
            str((pathlib.Path(folder) / name).relative_to(ROOT))
            for name in sorted(files)
            if name.endswith(".md")
        ]
    return found


def parse(page: str) -> list:
    """The blocks of a page."""
    blocks, notes, start = [], {}, None
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        fence = re.match(r"( *)(```+|~~~+) *(.*)$", line)
        if start is None and fence:
            start, language, lines = fence, fence[3].strip(), []
        elif start is not None and fence and fence[2] == start[2] and not fence[3]:
            blocks.append(Block(page, number - len(lines), language, "".join(lines), notes))
            start, notes = None, {}
        elif start is not None:
            lines.append(line[len(start[1]) :] + "\n" if line.startswith(start[1]) else line.lstrip() + "\n")
        elif note := re.match(r" *<!-- (file|from|output|exit|needs|not run)(?:: (.*))? -->$", line):
            notes[note[1]] = note[2] or ""
        elif line.strip():
            notes = {}
    if start is not None:
        raise Wrong(f"{page}: a block is not closed")
    return blocks


def left_out(blocks: list, python: str = sys.executable) -> list:
    """Those that are not run, with the reason; `python` is what runs the others."""
    needed = {block.notes["needs"] for block in blocks if "needs" in block.notes}
    program = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if not u.find_spec(m)])"
    done = subprocess.run([python, "-c", program, *sorted(needed)], capture_output=True, text=True)
    missing = done.stdout.split() if not done.returncode else needed
    reasons = [
        (block, block.notes.get("not run") or f"{block.notes['needs']} is not installed")
        for block in blocks
        if "not run" in block.notes or block.notes.get("needs") in missing
    ]
    return reasons


def is_code(block: Block) -> bool:
    return block.language != "text" and not block.language.startswith("{")


def check_kinds(blocks: list) -> None:
    """Each block is one that something runs, or says why it is not."""
    for i, block in enumerate(blocks):
        if "not run" in block.notes:
            if len(block.notes["not run"]) < 10:
                raise Wrong(f"{block}: a reason is missing")
        elif "from" in block.notes:
            contains(block)
        elif "file" in block.notes:
            name = block.notes["file"].replace("CMakeLists.txt", "cmake")
            others = [
                other
                for other in blocks
                if other is not block and (other.language in RUN or "file" in other.notes)
            ]
            if not any(name in other.text for other in others):
                raise Wrong(f"{block}: no other block uses {name}")
        elif "output" in block.notes:
            if not i or blocks[i - 1].language not in ("sh", "python"):
                raise Wrong(f"{block}: no block in front of it prints")
        elif is_code(block) and block.language not in RUN:
            raise Wrong(f"{block}: nothing runs a block of '{block.language}'")


def contains(block: Block) -> None:
    """The lines of the block follow each other in the file that it names."""
    path = ROOT / block.notes["from"]
    if not path.is_file() or not path.is_relative_to(ROOT / "test"):
        raise Wrong(f"{block}: {block.notes['from']} is no file of the tests")
    words = " ".join(block.text.split())
    if not words or words not in " ".join(path.read_text().split()):
        raise Wrong(f"{block}: this is not in {block.notes['from']}")


# --- MLIR ---


def wrapped(text: str) -> str:
    """A block as top-level operations."""
    first = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE).strip()
    if re.match(r"#[\w.]+\s*<", first):  # attributes, one behind the other
        statements = re.split(r"^(?=#)", first, flags=re.MULTILINE)
        return "".join(
            f"func.func private @attribute{i}() attributes {{a = {statement.strip()}}}\n"
            for i, statement in enumerate(filter(None, statements))
        )
    if first.startswith("rope.yield"):
        value = re.match(r"rope.yield (%\w+)", first)[1]
        maps = ", ".join(
            f"affine_map<(b, h, i, j, d, e) -> ({loops})>" for loops in ("i, d", "j, d", "j, e", "i, e")
        )
        return (
            "%o = rope.attention {scale = 1.0 : f64, indexing_maps = [" + maps + "]}\n"
            "  ins(%q, %k, %k : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>)\n"
            "  outs(%q : tensor<4x8xf32>) {\n"
            f"^bb0({value}: f32, %b: index, %h: index, %i: index, %j: index):\n{text}}}\n"
        )
    return text


def check_mlir(blocks: list, opt: str) -> None:
    """Parses and verifies blocks, all in one run of rope-opt; again and again, with
    definitions of values that are missing, whose types are those of the uses."""
    texts = [wrapped(block.text) for block in blocks]
    types: list = [{} for _ in blocks]
    for _ in range(100):
        starts, source = [], ""
        for text, known in zip(texts, types, strict=True):
            starts.append(source.count("\n") + 1)
            # The body of a module is a graph: what defines a value may follow its uses.
            source += (
                text
                + "".join(
                    f"{name} = builtin.unrealized_conversion_cast to {kind}\n" for name, kind in known.items()
                )
                + "// -----\n"
            )
        with tempfile.NamedTemporaryFile("w", suffix=".mlir") as file:
            file.write(source)
            file.flush()
            done = subprocess.run(
                [opt, "--split-input-file", "--mlir-print-local-scope", file.name],
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        if not done.returncode:
            return
        learned, lines = False, source.splitlines()
        for error in re.split(
            rf"^(?={re.escape(file.name)}:\d+:\d+: error: )", done.stderr, flags=re.MULTILINE
        )[1:]:
            line, column, message = re.match(r"[^:]*:(\d+):(\d+): error: ([^\n]*)", error).groups()
            which = max(i for i, first in enumerate(starts) if first <= int(line))
            missing = (
                re.match(r"%\w+", lines[int(line) - 1][int(column) - 1 :])
                if "undeclared SSA" in message
                else None
            )
            defined = re.match(r"definition of SSA value '(%\w+)#0' has type", message)
            used = re.search(r"note: previously used here with type '(.*)'$", error, re.MULTILINE)
            if missing:
                types[which].setdefault(missing[0], "i1")
            elif defined and used:
                types[which][defined[1]] = used[1]
            else:
                raise Wrong(f"{blocks[which]}: {error.strip()}")
            learned = True
        if not learned:
            raise Wrong(f"{blocks[0].page}: {done.stderr.strip()}")
    raise Wrong(f"{blocks[0].page}: the types of values are not found")


# --- Commands and statements ---


def same(shown: str, printed: str) -> bool:
    """Whether that was printed, `...` being anything."""
    pattern = "".join(
        ".*" if part == "..." else re.escape(part) for part in re.split(r"(\.\.\.)", shown.strip())
    )
    tidy = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return re.fullmatch(pattern, tidy, re.DOTALL) is not None


def shell(block: Block, script: str, environment: dict) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != int(block.notes.get("exit", 0)):
        raise Wrong(f"{block}: exit status {done.returncode} of\n{script}{done.stdout[-3000:]}")
    return done.stdout


def console(block: Block, environment: dict) -> str:
    """Runs each command with its continuation, compares what is shown behind it."""
    session: list = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            session.append([line[2:], []])
        elif not session:
            raise Wrong(f"{block}: a console block starts with a command behind '$ '")
        elif session[-1][0].endswith("\\") and not session[-1][1]:
            session[-1][0] += "\n" + line
        else:
            session[-1][1].append(line.rstrip())
    for i, (command, shown) in enumerate(session):
        last = i == len(session) - 1
        plain = block if last else dataclasses.replace(block, notes={})
        printed = shell(plain, command + "\n", environment)
        if shown and not same("\n".join(shown), printed):
            raise Wrong(f"{block}: {command}\nprints\n{printed}and not\n" + "\n".join(shown))
    return ""


def python(block: Block, namespace: dict) -> str:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), namespace)
    except BaseException:
        raise Wrong(f"{block}: {traceback.format_exc()}") from None
    return out.getvalue()


def run_page(page: str, prefix: pathlib.Path) -> None:
    """Runs what a page has, in a folder of its own."""
    blocks = parse(page)
    check_kinds(blocks)
    missing = [block for block, _ in left_out(blocks)]
    todo = [block for block in blocks if block not in missing and "from" not in block.notes]
    mlir = [block for block in todo if block.language == "mlir" and "output" not in block.notes]
    if mlir:
        check_mlir(mlir, str(prefix / "bin/rope-opt"))
    environment = dict(os.environ, PATH=f"{prefix}/bin:{os.environ['PATH']}", ROPE_PREFIX=str(prefix))
    # No device that is here by chance: Mesa's software driver of Vulkan.
    if drivers := glob.glob("/usr/share/vulkan/icd.d/lvp_icd*.json"):
        environment |= {"VK_DRIVER_FILES": drivers[0], "VK_ICD_FILENAMES": drivers[0]}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        pathlib.Path("build").mkdir()
        pathlib.Path("build/bin").symlink_to(prefix / "bin")
        inputs = INPUTS / page.removesuffix(".md")
        if inputs.is_dir():
            shutil.copytree(inputs, ".", dirs_exist_ok=True)
            if (setup := pathlib.Path("setup.py")).exists():
                subprocess.run([sys.executable, setup, ROOT], check=True)
        os.environ.update(environment)
        namespace: dict = {"__name__": "__main__"}
        printed = ""
        for block in todo:
            if "file" in block.notes:
                path = pathlib.Path(block.notes["file"])
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
            elif "output" in block.notes:
                if not same(block.text, printed):
                    raise Wrong(f"{block}: printed was\n{printed}")
            elif block.language == "sh":
                printed = shell(block, block.text, environment)
            elif block.language == "console":
                printed = console(block, environment)
            elif block.language == "python":
                printed = python(block, namespace)
            elif block.language == "json":
                try:
                    json.loads(block.text)
                except json.JSONDecodeError as error:
                    raise Wrong(f"{block}: {error}") from None
        os.chdir("/")


def summary(names: list, python: str = sys.executable) -> str:
    """How many blocks `python` runs, and which it does not."""
    blocks = [block for page in names for block in parse(page)]
    code = [block for block in blocks if is_code(block) and "output" not in block.notes]
    reasons = left_out(blocks, python)
    missing = [block for block, _ in reasons]
    kinds: dict = {}
    for block in code:
        if block not in missing:
            kinds[block.language] = kinds.get(block.language, 0) + 1
    each = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    lines = [
        f"code blocks on {len(names)} pages: {sum(kinds.values())} run ({each}), {len(missing)} not run",
        *(f"  not run: {block}: {reason}" for block, reason in reasons),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", type=pathlib.Path, required=True, help="where the project is installed")
    parser.add_argument("--python", default=sys.executable, help="a Python with what `python` blocks import")
    parser.add_argument("--here", action="store_true", help="run the page in this process")
    parser.add_argument("pages", nargs="*")
    options = parser.parse_args()
    prefix, names = options.prefix.resolve(), options.pages or pages()
    if options.here:
        try:
            return run_page(names[0], prefix)
        except Wrong as wrong:
            sys.exit(str(wrong))

    def start(page: str) -> str:
        done = subprocess.run(
            [options.python, __file__, "--here", f"--prefix={prefix}", page],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.stdout.strip() or f"{page}: exit status {done.returncode}" if done.returncode else ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = list(filter(None, pool.map(start, names)))
    if failures:
        sys.exit("\n".join(failures))
    print(summary(names, options.python))


if __name__ == "__main__":
    main()
