# The picture of docs/how-it-works.md.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes way-down.svg: from what a model is given as, to what runs.

  python3 docs/figures/way_down.py

Text stands on boxes of their own colour, or is grey, so that light and dark
pages can show it.
"""

import pathlib
import xml.sax.saxutils

WIDTH, ROW, GAP = 920, 56, 26
LEFT, MIDDLE = 20, 470
# Fill and text.
SOURCE, DIALECT, CPU, GPU, END = (
    ("#f6d9a8", "#3b2500"),
    ("#bcd7f5", "#062a4f"),
    ("#c9e8c4", "#0e3208"),
    ("#e3cdf1", "#34114a"),
    ("#f5c4bd", "#4d0f07"),
)
GREY = "#80868f"
out: list = []


def text(
    x: float, y: float, words: str, size: float, color: str, mono: bool = False, bold: bool = False
) -> None:
    family = (
        "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
        if mono
        else "system-ui, 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif"
    )
    out.append(
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" text-anchor="middle" '
        f'font-family="{family}"{" font-weight=" + chr(34) + "600" + chr(34) if bold else ""}>'
        f"{xml.sax.saxutils.escape(words)}</text>"
    )


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    colors: tuple,
    title: str,
    below: str = "",
    mono: bool = False,
) -> None:
    out.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{colors[0]}"/>')
    center = x + width / 2
    if below:
        text(center, y + height / 2 - 6, title, 14, colors[1], bold=True)
        text(center, y + height / 2 + 14, below, 11.5, colors[1], mono=mono)
    else:
        text(center, y + height / 2 + 5, title, 13, colors[1], mono=mono)


def arrow(x0: float, y0: float, x1: float, y1: float, label: str = "", side: float = 0) -> None:
    out.append(
        f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="{GREY}" stroke-width="1.8" '
        'marker-end="url(#tip)"/>'
    )
    if label:
        text((x0 + x1) / 2 + side, (y0 + y1) / 2 + 4, label, 12.5, GREY, mono=True)


def main() -> None:
    full, half = WIDTH - 2 * LEFT, 430
    y = 16.0
    # What a model is given as.
    third = (full - 2 * GAP) / 3
    sources = [
        ("config.json", "as models publish it", "rope-translate --import-hf-config"),
        ("exported graphs", "PyTorch, ONNX, JAX, TensorFlow", "rope-raise"),
        ("your compiler or program", "C++, C, Python", "builders, parser"),
    ]
    for i, (title, below, label) in enumerate(sources):
        x = LEFT + i * (third + GAP)
        box(x, y, third, ROW, SOURCE, title, below)
        arrow(x + third / 2, y + ROW, x + third / 2, y + ROW + 22)
        text(x + third / 2, y + ROW + 39, label, 12.5, GREY, mono=True)
        arrow(x + third / 2, y + ROW + 46, x + third / 2, y + ROW + 68)
    y += ROW + 72
    # The dialect.
    height = 128
    out.append(f'<rect x="{LEFT}" y="{y}" width="{full}" height="{height}" rx="8" fill="{DIALECT[0]}"/>')
    text(WIDTH / 2, y + 24, "the rope dialect, on tensors", 14, DIALECT[1], bold=True)
    operations = [
        ("rope.frequencies", "symbolic"),
        ("rope.scale_frequencies", "a rule as attribute"),
        ("rope.table", "cosine, sine"),
        ("rope.apply", "pairs turn"),
        ("rope.attention", "query, key, value"),
    ]
    widths = [148, 196, 120, 120, 150]
    x = LEFT + (full - sum(widths) - 4 * 24) / 2
    for i, ((title, below), width) in enumerate(zip(operations, widths)):
        out.append(f'<rect x="{x}" y="{y + 40}" width="{width}" height="46" rx="6" fill="#ffffff"/>')
        text(x + width / 2, y + 59, title, 12.5, DIALECT[1], mono=True)
        text(x + width / 2, y + 76, below, 11.5, DIALECT[1])
        if i < 4:
            out.append(
                f'<line x1="{x + width}" y1="{y + 63}" x2="{x + width + 20}" y2="{y + 63}" '
                f'stroke="{DIALECT[1]}" stroke-width="1.6" marker-end="url(#dark)"/>'
            )
        x += width + 24
    text(
        WIDTH / 2,
        y + 110,
        "rope-optimize: simplify; fold rotations into attention, caches, projections, products",
        12,
        DIALECT[1],
        mono=True,
    )
    y += height
    # Two ways down.
    columns = [
        (
            LEFT,
            CPU,
            "rope-to-llvm",
            [
                ("blocks and tasks, on tensors", "rope-parallelize-loops, -tile-matmul, -tile-apply"),
                ("memrefs", "one-shot-bufferize, rope-stream-apply"),
                ("tiles and panels", "rope-pack-matmul, rope-tile-attention"),
                ("linalg, polynomials", "convert-rope-to-linalg, rope-approximate-math"),
                ("vectors", "rope-vectorize, rope-expand-bf16"),
                ("calls of the threads' runtime", "rope-outline-parallel-loops"),
            ],
        ),
        (
            MIDDLE,
            GPU,
            "rope-to-nvvm, -rocdl, -spirv",
            [
                ("threads, on tensors", "rope-parallelize-loops"),
                ("memrefs of the device", "one-shot-bufferize"),
                ("kernels of one form, launches", "convert-rope-to-gpu"),
                ("the form of each target", "rope-specialize-kernels"),
                ("PTX, code objects, SPIR-V", "rope-serialize-kernels"),
                ("calls of the GPU's runtime", "rope-lower-launches"),
            ],
        ),
    ]
    top = y
    for x, colors, name, stages in columns:
        y = top
        center = x + half / 2
        arrow(center, y, center, y + 14)
        text(center, y + 31, name, 12.5, GREY, mono=True, bold=True)
        arrow(center, y + 38, center, y + 52)
        y += 56
        for title, below in stages:
            box(x, y, half, ROW, colors, title, below, mono=True)
            y += ROW
            arrow(center, y, center, y + GAP - 5)
            y += GAP
    box(LEFT, y, full, 40, DIALECT, "the llvm dialect, LLVM")
    y += 40
    # What runs.
    ends = [
        ("in memory", "rope_mlir.compile, C API, rope-run"),
        (".o .so + C header", "rope-compile"),
        (".so with kernels", "or alone: .ptx .cubin .hsaco .spv"),
    ]
    for i, (title, below) in enumerate(ends):
        x = LEFT + i * (third + GAP)
        arrow(x + third / 2, y, x + third / 2, y + GAP - 5)
        box(x, y + GAP, third, ROW, END, title, below, mono=True)
    y += GAP + ROW + 16
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{color}"/></marker>'
        for name, color in [("tip", GREY), ("dark", DIALECT[1])]
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:g}" width="{WIDTH}" height="{y:g}" '
        'role="img" aria-label="From configurations, exported graphs and programs through the rope dialect '
        f'to code for processors and GPUs">\n<defs>{tips}</defs>\n' + "\n".join(out) + "\n</svg>\n"
    )
    (pathlib.Path(__file__).parent / "way-down.svg").write_text(svg)


main()
