#!/usr/bin/env python3
# Tables of benchmarks/cpu.py's results.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes the tables of README.md and docs/benchmarks.md, between the lines
<!-- benchmark:begin NAME --> and <!-- benchmark:end -->, from docs/benchmarks/cpu.json.

  benchmarks/report.py [--check]

`--check` writes nothing and fails where a file differs from what it would be.
`make bench-report` takes over the results of the last `make bench`.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = ("README.md", "docs/benchmarks.md")
ANGLES = [("half, exact angles", dtype) for dtype in ("f32", "bf16", "f16")]
CALLS = [(name, dtype) for name in ("1 token", "16 tokens", "64 tokens") for dtype in ("f32", "bf16")]
MAIN = [(name, dtype) for name in ("half", "interleaved") for dtype in ("f32", "bf16", "f16")]
SIZES = (128, 512, 1024, 4096)
DECODE = [(name, dtype) for name in ("decode, 32768 keys", "decode, 32768 keys, exact angles", "decode, 4096 keys")
          for dtype in ("f32", "bf16", "f16")]  # fmt: skip
PROJECTIONS = [(name, dtype) for name in ("projection", "projection into a cache") for dtype in ("f32", "bf16")]
COPIES = ("best copy", "in-place touch")
# In a second table.
SETTINGS = ("tables given", "near positions")


def ratio(rows, name, dtype, peer):
    """`1.52 / 1.60`, by number of threads; rows are by name, type, threads and peer."""
    threads = sorted({key[2] for key in rows})
    found = [rows.get((name, dtype, n, peer)) for n in threads]
    if not any(row and row["ratio"] for row in found):
        return ""
    return " / ".join(number(row["ratio"]) if row and row["ratio"] else "-" for row in found)


def number(x):
    return f"{x:.2f}" if x < 9.95 else f"{x:.0f}"


def plain(x):
    return f"{x:,.0f}" if x >= 10 else f"{x:.2g}"


def lines_of(header, body):
    return ["| " + " | ".join(header) + " |", "| --- |" + " --- |" * (len(header) - 1),
            *("| " + " | ".join(line) + " |" for line in body)]  # fmt: skip


def machine(content):
    m = content["machine"]
    threads = " / ".join(map(str, m["threads"])) + (" threads" if m["threads"] != [1] else " thread")
    return f"{m['processor']}, {m['cores']} processors, {threads}"


def beside(content, rows, columns, prefix="", suffix=""):
    """Peers down, workloads and types across; their names less what all have."""
    peers = list(dict.fromkeys(key[3] for key in rows if key[:2] in columns and key[3] not in SETTINGS))
    peers.sort(key=lambda peer: (peer != "best copy", peer != "best peer"))
    body = [[peer, *(ratio(rows, name, dtype, peer) for name, dtype in columns)] for peer in peers]
    titles = [f"{name.removeprefix(prefix).removesuffix(suffix)} {dtype}" for name, dtype in columns]
    return lines_of(["times as fast as", *titles], [line for line in body if any(line[1:])])


def attention(content, rows, channels):
    """Peers down, numbers of tokens and types across."""
    suffix = f", D={channels}"
    columns = [(f"attention, S={size}{suffix}", dtype) for dtype in ("f32", "bf16") for size in SIZES]
    return [f"Causal, 32 heads of {channels} channels, 8 of keys and values, {machine(content)}:", "",
            *beside(content, rows, columns, "attention, ", suffix)]  # fmt: skip


def shapes(content, rows):
    """Other shapes down, peers and types across."""
    usual = {f"attention, S={size}, D={channels}" for size in SIZES for channels in (64, 128)}
    names = dict.fromkeys(key[0] for key in rows if key[0].startswith("attention") and key[0] not in usual)
    columns = [(peer, dtype) for dtype in ("f32", "bf16") for peer in ("no rope", "PyTorch eager", "PyTorch compiled")]
    body = [[name.removeprefix("attention, "), *(ratio(rows, name, dtype, peer) for peer, dtype in columns)]
            for name in names]  # fmt: skip
    return lines_of(["times as fast as", *(f"{peer}, {dtype}" for peer, dtype in columns)], body)


def summary(content, rows):
    return [f"q [1, 4096, 32, 128] and k [1, 4096, 8, 128], {machine(content)}:", "", *beside(content, rows, MAIN)]


def against(content, rows, peers, title):
    """Workloads down, types across: against the first of `peers` that a workload has."""
    names = list(dict.fromkeys(key[0] for key in rows if key[3] in peers))
    dtypes = [dtype for dtype in ("f32", "bf16", "f16") if any(key[1] == dtype for key in rows)]
    body = []
    for name in names:
        peer = next(peer for peer in peers if any((key[0], key[3]) == (name, peer) for key in rows))
        line = [ratio(rows, name, dtype, peer) for dtype in dtypes]
        if any(line):
            body.append([name + (f": {peer}" if peers == SETTINGS else ""), *line])
    return lines_of([title, *dtypes], body)


def checks(content, rows):
    many = {"error, ": "largest share of the error allowed",
            "mean error beside PyTorch's, ": "largest mean error beside PyTorch's"}  # fmt: skip
    others = [c for c in content["checks"] if not c["name"].startswith(tuple(many))]
    body = [[c["name"], plain(c["value"]), plain(c["limit"])] for c in others]
    for prefix, title in many.items():
        errors = [c for c in content["checks"] if c["name"].startswith(prefix)]
        if errors:
            worst, unit = max(errors, key=lambda c: c["value"] / c["limit"]), prefix == "error, "
            body.append([f"{title}, of {len(errors)} measured functions",
                         f"{worst['value'] / (worst['limit'] if unit else 1):.2f}",
                         "1" if unit else plain(worst["limit"])])  # fmt: skip
    return lines_of(["check", "value", "limit"], body)


def versions(content, rows):
    found = content["machine"].get("versions", {})
    return ["Versions: " + ", ".join(f"{name} {version}" for name, version in found.items() if version) + "."]


TABLES = {
    "summary": summary,
    "angles": lambda content, rows: beside(content, rows, ANGLES),
    "calls": lambda content, rows: beside(content, rows, CALLS),
    "copies": lambda content, rows: against(content, rows, COPIES, "of the best copy's speed"),
    "attention": lambda content, rows: attention(content, rows, 128),
    "narrow": lambda content, rows: attention(content, rows, 64),
    "shapes": shapes,
    "decode": lambda content, rows: beside(content, rows, DECODE, "decode, "),
    "projections": lambda content, rows: beside(content, rows, PROJECTIONS),
    "settings": lambda content, rows: against(content, rows, SETTINGS, "times as fast as the same with"),
    "checks": checks,
    "versions": versions,
}


def fill(text, content):
    """`text` with its tables written anew."""
    rows = {(r["name"], r["dtype"], r["threads"], r["peer"]): r for r in content["results"]}

    def table(match):
        if match[2] not in TABLES:
            sys.exit(f"error: expected a table of {', '.join(TABLES)}, but got '{match[2]}'")
        return "\n".join([match[1], *TABLES[match[2]](content, rows), match[3]])

    return re.sub(r"(<!-- benchmark:begin (\w+) -->)\n.*?(<!-- benchmark:end -->)", table, text, flags=re.DOTALL)


def main():
    if set(sys.argv[1:]) - {"--check"}:
        sys.exit(__doc__.strip())
    content = json.loads((ROOT / "docs" / "benchmarks" / "cpu.json").read_text())
    old = [file for file in FILES if fill((ROOT / file).read_text(), content) != (ROOT / file).read_text()]
    if "--check" in sys.argv:
        if old:
            sys.exit(f"error: expected the tables of docs/benchmarks/cpu.json in {' and '.join(old)}, "
                     "but found others: run benchmarks/report.py")  # fmt: skip
        return
    for file in old:
        (ROOT / file).write_text(fill((ROOT / file).read_text(), content))
        print(f"wrote the tables of {file}")


if __name__ == "__main__":
    main()
