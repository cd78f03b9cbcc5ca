# RUN: %python %s %rope_root
"""The documentation, the verifiers and the tests say the same.

Each rule's label stands in the documentation, in a verifier's message and in
the name of a negative test; no label stands in one of them alone. Each example
of the documentation is, word for word, part of a round-trip test.
"""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
definitions = {
    name: (root / "include/Rope/IR" / name).read_text()
    for name in [
        "RopeDialect.td", "RopeAttrs.td", "RopeOps.td", "AttentionOps.td"]
}
sources = "".join(path.read_text() for path in (root / "lib/IR").glob("*.cpp"))
tests = "// -----".join(
    (root / "test/IR" / name).read_text()
    for name in ["invalid.mlir", "attention-invalid.mlir"])
failures = []

# Rules.
label = r"(?:frequencies|scale_frequencies|scaling|table|apply|attention|online_attention)_c\d+"
documented = set()
for text in definitions.values():
    documented |= set(re.findall(rf"^ *- \(({label})\)", text, re.MULTILINE))
verified = set(re.findall(rf"\"\(?({label})\)?", sources))
tested = set(re.findall(rf"^func\.func (?:private )?@({label})_", tests, re.MULTILINE))
assert len(documented) > 20, "the documentation's rules were not found"
for what, labels in [("verifier", verified), ("negative test", tested)]:
    failures += [f"{name} is documented but has no {what}" for name in documented - labels]
    failures += [f"{name} has a {what} but is not documented" for name in labels - documented]

# Rules of rewriting, each named by a test.
rewriting = "".join(text for text in definitions.values()) + (root / "include/Rope/Transforms/Passes.td").read_text()
rewritten = "".join(path.read_text() for path in (root / "test").glob("*/*.mlir"))
rewrites = set(re.findall(r"^ *- \(((?:apply_f|simplify_)\d+)\)", rewriting, re.MULTILINE))
assert len(rewrites) > 10, "the documentation's rules of rewriting were not found"
failures += [f"{name} is documented but no test names it" for name in rewrites if f"({name})" not in rewritten]

# Each negative test expects the label it is named after.
for case in tests.split("// -----"):
    name = re.search(rf"@({label})_", case)
    if name and f"({name[1]})" not in case:
        failures.append(f"the test of {name[1]} expects another message")

# Examples.
def words(text):
    text = re.sub(r"//.*", "", text)
    return " ".join(text.split())

roundtrips = words("".join(
    (root / "test/IR" / name).read_text() for name in ["ops.mlir", "attributes.mlir"]))
examples = 0
for name, text in definitions.items():
    for block in re.findall(r"```mlir\n(.*?)```", text, re.DOTALL):
        # One statement each: it starts where a line starts like the first one.
        indent = re.match(r" *", block)[0]
        statements = re.split(rf"^{indent}(?=[%#\w])", block, flags=re.MULTILINE)
        for statement in filter(None, map(words, statements)):
            examples += 1
            if statement not in roundtrips:
                failures.append(f"{name}: this example is in no test: {statement}")
assert examples > 15, "the documentation's examples were not found"

sys.exit("\n".join(sorted(failures)) or 0)
