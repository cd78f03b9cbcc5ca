#!/usr/bin/env python3
# Figures of benchmarks/cpu.py's results.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Draws what a JSON file of benchmarks/cpu.py holds, as SVG and PNG:

  benchmarks/plot.py FILE.json FOLDER [--svg]

  peers      time of each peer, as a multiple of the best copy's
  attention  useful operations in a second by number of tokens, with one thread
  sizes      fraction of the best copy's speed by number of tokens
  accuracy   largest error of cosine and sine by position

Needs matplotlib, which build/benchmarks/venv has. `--svg` leaves out the PNGs.
Backgrounds are transparent and colours of middle lightness, for light and dark pages.
"""

import json
import pathlib
import re
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: E402

OURS, SECOND, OTHERS, TEXT = "#e0662f", "#3f8fd2", "#8f98a3", "#7d8691"
STYLE = {"svg.hashsalt": "rope", "svg.fonttype": "none", "font.family": "sans-serif",
         "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"], "font.size": 10,
         "text.color": TEXT, "axes.labelcolor": TEXT, "axes.edgecolor": TEXT, "xtick.color": TEXT, "ytick.color": TEXT,
         "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10}  # fmt: skip
SHORT = {"best copy": "copy", "torch.compile chunk form": "torch.compile, chunks",
         "torch.compile Hugging Face form": "torch.compile, HF", "PyTorch eager": "PyTorch eager, HF",
         "PyTorch eager complex": "PyTorch eager, complex"}  # fmt: skip


def times(x, _=None):
    return f"{x:g}x"


def peers(content):
    """Bars of the two pairings and two types, with one thread."""
    figure, grid = plt.subplots(2, 2, figsize=(8.6, 5.6), layout="constrained", sharex=True)
    largest = 1
    for axes, (name, dtype) in zip(grid.flat, [(n, d) for d in ("f32", "bf16") for n in ("half", "interleaved")]):
        rows = {r["peer"]: r for r in content["results"]
                if (r["name"], r["dtype"], r["threads"]) == (name, dtype, 1) and r["ratio"]}  # fmt: skip
        if "best copy" not in rows:
            axes.set_visible(False)
            continue
        copy = rows["best copy"]["peer_milliseconds"]
        bars = {SHORT.get(peer, peer): row["peer_milliseconds"] / copy for peer, row in rows.items()}
        bars["rope"] = rows["best copy"]["milliseconds"] / copy
        order = sorted(bars, key=lambda bar: -bars[bar])
        largest = max(largest, *bars.values())
        drawn = axes.barh(order, [bars[bar] for bar in order], height=0.7, log=True,
                          color=[OURS if bar == "rope" else OTHERS for bar in order])  # fmt: skip
        axes.bar_label(drawn, [f"{bars[bar]:.2f}" if bars[bar] < 9.95 else f"{bars[bar]:.0f}" for bar in order],
                       padding=3, fontsize=8.5)  # fmt: skip
        axes.set_title(f"{name}, {dtype}", loc="left")
        axes.tick_params(axis="y", length=0)
        axes.axvline(1, color=TEXT, linewidth=0.8, zorder=0)
        for label in axes.get_yticklabels():
            if label.get_text() == "rope":
                label.set_color(OURS)
                label.set_fontweight("bold")
    for axes in grid.flat:
        axes.set_xlim(0.5, 1.8 * largest)
        axes.xaxis.set_major_formatter(FuncFormatter(times))
        axes.xaxis.set_minor_formatter(NullFormatter())
    for axes in grid[1]:
        axes.set_xlabel("time, that of the best copy = 1x")
    return figure


def attention(content):
    """Lines of 32 heads of 128 channels. A file of other workloads gives none."""
    figure, grid = plt.subplots(1, 2, figsize=(8.6, 3.6), layout="constrained")
    shown = ("PyTorch eager", "PyTorch compiled", "flex_attention", "onnxruntime", "OpenVINO", "attention alone")
    for axes, dtype in zip(grid, ("f32", "bf16")):
        lines = {}
        for row in content["results"]:
            match = re.fullmatch(r"attention, S=(\d+), D=128", row["name"])
            if match and (row["dtype"], row["threads"]) == (dtype, 1) and row["ratio"]:
                speed, size = row["gigaflops_per_second"], int(match[1])
                lines.setdefault("rope", {})[size] = speed
                if row["peer"] in shown:
                    lines.setdefault(row["peer"], {})[size] = speed / row["ratio"]
        if not lines:
            plt.close(figure)
            return None
        top = 1.1 * max(max(points.values()) for points in lines.values())
        height = -1.0
        # Names stand beside the ends of the lines, and apart from each other.
        for name, points in sorted(lines.items(), key=lambda line: line[1][max(line[1])]):
            colour = {"rope": OURS, "attention alone": SECOND}.get(name, OTHERS)
            sizes = sorted(points)
            axes.plot(sizes, [points[size] for size in sizes], marker="o", markersize=4, color=colour)
            height = max(height + 0.07 * top, points[sizes[-1]])
            axes.annotate("best attention alone" if name == "attention alone" else name, (sizes[-1], points[sizes[-1]]),
                          (1.25 * sizes[-1], height), fontsize=8.5, color=colour, va="center",
                          fontweight="bold" if name == "rope" else None)  # fmt: skip
        ticks = sorted({size for points in lines.values() for size in points})
        # Numbers that lie beside each other would be written over each other.
        ticks = [tick for tick, after in zip(ticks, [*ticks[1:], 2 * ticks[-1]]) if after > 1.2 * tick]
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(0, top)
        axes.set_title(dtype, loc="left")
        axes.set_xlabel("tokens")
    grid[0].set_ylabel("Gflop/s")
    return figure


def sizes(content):
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    ticks = set()
    for dtype, colour in (("f32", OURS), ("bf16", SECOND)):
        points = sorted((int(r["name"].split()[0]), r["ratio"]) for r in content["results"]
                        if r["name"].endswith(("tokens", "token")) and r["name"][0].isdigit() and r["ratio"]
                        and (r["dtype"], r["threads"], r["peer"]) == (dtype, 1, "best copy"))  # fmt: skip
        if points:
            axes.plot(*zip(*points), marker="o", markersize=4, color=colour)
            axes.annotate(dtype, points[-1], (8, 0), textcoords="offset points", color=colour, va="center")
            ticks |= {tokens for tokens, _ in points}
    axes.axhline(1, color=TEXT, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(ticks), [str(tick) if tick < 1024 else f"{tick >> 10} K" for tick in sorted(ticks)])
    axes.set_ylim(0, 1.15)
    axes.set_xlabel("tokens of 40 heads of 128 channels, 1 thread")
    axes.set_ylabel("of the best copy's speed")
    return figure


def accuracy(content):
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    lines = {}
    for row in content["accuracy"]:
        lines.setdefault(row["peer"], []).append((row["position"] + 1, row["error"]))
    for peer, points in lines.items():
        axes.plot(*zip(*points), marker="o", markersize=4, color=OURS if peer == "rope" else OTHERS)
    # Others compute the same angles in f32: their lines lie on each other.
    ends = {}
    for peer, points in lines.items():
        ends.setdefault(f"{points[-1][1]:.0e}", []).append(peer)
    for together in ends.values():
        axes.annotate("\n".join(together), lines[together[0]][-1], (8, 0), textcoords="offset points", va="center",
                      color=OURS if together == ["rope"] else OTHERS)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks([4096, 32768, 131072, 1 << 20], ["4 K", "32 K", "128 K", "1 M"])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("position")
    axes.set_ylabel("largest error of cos and sin")
    return figure


def main():
    names = [x for x in sys.argv[1:] if not x.startswith("--")]
    if len(names) != 2:
        sys.exit(__doc__.strip())
    content, folder = json.loads(pathlib.Path(names[0]).read_text()), pathlib.Path(names[1])
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update(STYLE)
    for draw in (peers, attention, sizes, accuracy):
        figure = draw(content)
        if figure is None:
            continue
        for ending in ("svg",) if "--svg" in sys.argv else ("svg", "png"):
            figure.savefig(folder / f"{draw.__name__}.{ending}", transparent=True, dpi=160,
                           metadata={"Date": None} if ending == "svg" else None)  # fmt: skip
        plt.close(figure)


if __name__ == "__main__":
    main()
