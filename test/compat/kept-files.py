"""The newest kept file holds all that the dialect has, and names its version.

Whoever adds to the dialect is told here what to do, so that files which hold
the addition are kept as well.

RUN: %python %s %rope_root
"""

import json
import pathlib
import re
import subprocess
import sys
from collections import defaultdict

root = pathlib.Path(sys.argv[1])
kept = root / "test/compat"
problems = []


def output(*command, text=True):
    return subprocess.run(command, capture_output=True, text=text, check=True).stdout


def version_of(path):
    return tuple(map(int, path.stem.split(".")))


def section(version):
    """How a version of three small numbers stands in a file."""
    return bytes([7, 2 * 3 + 1, *(2 * number + 1 for number in version)])


def split(text):
    """What stands between commas, outside of brackets."""
    depth, start = 0, 0
    for i, character in enumerate(text):
        depth += (character in "<([{") - (character in ">)]}")
        if character == "," and depth == 0:
            yield text[start:i].strip()
            start = i + 1
    yield text[start:].strip()


def parts(text):
    """Names and values of `a = 1, b, c = [2]`."""
    return {name: value for name, _, value in (part.partition(" = ") for part in split(text)) if name}


def enclosed(text, start):
    """What is inside the brackets that the character before `start` opens."""
    depth = 1
    for i in range(start, len(text)):
        depth += (text[i] in "<([{") - (text[i] in ">)]}")
        if depth == 0:
            return text[start:i]
    raise ValueError(text)


# What the files hold, by the generic form, in which arrows would read as brackets.
newest = max(kept.glob("*.mlirbc"), key=version_of)
name = newest.name
text = output("rope-opt", newest, "--mlir-print-op-generic").replace("->", "to")
held = defaultdict(list)  # the parts of each operation and attribute of a name
counts = defaultdict(set)  # numbers of operands, results, regions that are not empty
for match in re.finditer(r'"(rope\.\w+)"\(', text):
    operands = list(filter(None, split(enclosed(text, match.end()))))
    rest = text[match.end() + len(enclosed(text, match.end())) + 1 :]
    properties = enclosed(rest, 3) if rest.startswith(" <{") else ""
    rest = rest[len(properties) + 5 :] if properties else rest
    regions = enclosed(rest, 3).count("^bb") if rest.startswith(" ({") else 0
    held[match[1]].append(parts(properties))
    result = re.search(r"(?:%\w+(?::(\d+))? = )?$", text[: match.start()])
    results = int(result[1] or 1) if result[0] else 0
    sizes = re.search(r"operandSegmentSizes = array<i32: ([\d, ]+)>", properties)
    counts[match[1]].add((len(operands), results, regions, sizes[1] if sizes else ""))
marks = set(re.findall(r"[{ ](rope\.\w+)(?=[ ,}])", text))
for match in re.finditer(r"#(rope\.\w+)<", text):
    body = enclosed(text, match.end())
    held["#" + match[1]].append(parts(body))
    angles = parts(body).get("angles")
    if angles:
        held["#rope.angles"].append(parts(angles[1:-1]))

# What the dialect has.
includes = ["-I", root / "include", "-I", output("llvm-config", "--includedir").strip()]
records = json.loads(output("llvm-tblgen", "--dump-json", *includes, root / "include/Rope/IR/RopeOps.td"))


def of_dialect(kind, field):
    for record in map(records.get, records["!instanceof"][kind]):
        if record[field] and record[field]["def"] == "Rope_Dialect":
            yield record


def check(what, found):
    if not found:
        problems.append(f"{name} holds no {what}")


def check_part(owner, part, optional, default):
    values = {found.get(part) for found in held[owner]}
    if default and None not in values:  # an operation has its defaults written out
        check(f"{owner} with another {part}", len(values) > 1)
    elif default or optional:
        check(f"{owner} with {part}", values - {None})
        check(f"{owner} without {part}", None in values)
    else:
        check(f"{owner} with {part}", values and None not in values)


for op in of_dialect("Op", "opDialect"):
    owner = "rope." + op["opName"]
    check(owner, held[owner])
    groups = []
    for reference, part in op["arguments"]["args"]:
        argument = records[reference["def"]]
        if "AttrConstraint" in argument["!superclasses"]:
            check_part(owner, part, argument["isOptional"], argument["defaultValue"])
        else:
            groups.append((part, {"Optional", "Variadic"} & set(argument["!superclasses"])))
    segments = [list(map(int, sizes.split(", "))) for *_, sizes in counts[owner] if sizes]
    for i, (part, varies) in enumerate(groups):
        if segments:
            seen = {sizes[i] for sizes in segments if i < len(sizes)}
        else:
            seen = {count[0] for count in counts[owner]}
        if varies:
            check(f"{owner} with another number of {part}", len(seen) > 1)
    if any(
        "Variadic" in records[reference["def"]]["!superclasses"] for reference, _ in op["results"]["args"]
    ):
        check(f"{owner} on both tensors and memrefs", len({min(count[1], 1) for count in counts[owner]}) > 1)
    if op["regions"]["args"]:
        check(f"{owner} with and without a region", {count[2] for count in counts[owner]} >= {0, 1})
for attribute in of_dialect("AttrDef", "dialect"):
    owner = "#rope." + attribute["mnemonic"]
    check(owner, held[owner])
    enumeration = attribute.get("enum")
    for reference, part in [] if enumeration else attribute["parameters"]["args"]:
        check_part(owner, part, records[reference["def"]]["defaultValue"], None)
    for case in records[enumeration["def"]]["enumerants"] if enumeration else []:
        symbol = records[case["def"]]["str"]
        check(f"{owner}<{symbol}>", {symbol: ""} in held[owner])
for mark in re.findall(r"`(rope\.\w+)`", (root / "include/Rope/IR/RopeDialect.td").read_text()):
    check(mark, mark in marks or mark in held)
assert len(held) > 15 and len(marks) > 3, "the dialect was not found in the file"

# The file names the version that is in it, which is that of today.
written = output("rope-opt", newest, "--emit-bytecode", text=False)
data = newest.read_bytes()
if data.count(section(version_of(newest))) != 1:
    problems.append(f"{name} is not of the version that its name says")
if written.count(section(version_of(newest))) != 1:
    problems.append(f"{name} is kept, but another version is written")
project = re.search(r"project\(rope-mlir VERSION ([\d.]+)", (root / "CMakeLists.txt").read_text())[1]
if version_of(newest) > tuple(map(int, project.split("."))):
    problems.append(f"{name} names a later release than CMakeLists.txt, {project}")
if b"#rope" in data:
    problems.append(f"{name} holds attributes as text, whose form may change")
if problems:
    problems.append("""\
What is new has a version: let lib/IR/Bytecode.h name the next release X, write
test/compat/X.mlir with all that the dialect has, and keep what this writes:
    rope-opt test/compat/X.mlir --strip-debuginfo --emit-bytecode -o test/compat/X.mlirbc""")
sys.exit("\n".join(problems) or None)
