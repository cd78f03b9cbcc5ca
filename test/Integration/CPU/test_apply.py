# rope.apply: layout x placement x type x positions x size.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s

import itertools

import numpy as np
from rope_testing.applies import Apply
from rope_testing.compare import Report
from rope_testing.memory import in_child
from rope_testing.runner import Module

PAIRINGS = [
    ("half", None),
    ("interleaved", None),
    ("interleaved", "half"),
    ("half", "interleaved"),
]
FORMS = ["tensor", "memref", "in_place", "tensor_in_place"]
TYPES = ["f16", "bf16", "f32", "f64"]

# Rank of x, then the dimensions that positions follow.
POSITION_DIMS = [
    (1, ()), (2, ()), (2, (0,)), (3, (0,)), (3, (1,)), (3, (0, 1)), (3, (1, 0)),
    (4, ()), (4, (1,)), (4, (2,)), (4, (0,)), (4, (0, 1)), (4, (0, 2)), (4, (2, 0)),
    (4, (0, 1, 2)), (4, (2, 1, 0)), (5, (0, 3)), (5, (4 - 1, 1, 0)),
]  # fmt: skip


def placements(pairing, result_pairing, pairs, extra):
    """(head size, offset, pair_stride) with `extra` channels left alone."""
    yield 2 * pairs, 0, None  # full
    yield 2 * pairs + extra, 0, None  # leading
    yield 2 * pairs + extra, extra, None  # trailing
    yield 2 * pairs + 2 * extra, extra, None  # middle
    if pairing == "half" and result_pairing is None:
        yield 2 * (pairs + extra), 0, pairs + extra  # proportional
        yield 2 * (pairs + extra) + 1, 1, pairs + extra


def choose(rng, items):
    return items[rng.integers(len(items))]


def random_form(rng, result_pairing):
    form = choose(rng, FORMS)
    return "memref" if form == "in_place" and result_pairing else form


def dynamic(rng, rank, keep_last):
    """Some dimensions."""
    dims = [d for d in range(rank) if rng.integers(2)]
    return frozenset(d for d in dims if not (keep_last and d == rank - 1))


def cases():
    rng = np.random.default_rng(1)
    number = itertools.count()

    def case(pairing, placement, pairs, outer, position_dims, **more):
        head, offset, stride = placement
        rank, table_rank = len(outer) + 1, len(position_dims) + 1
        keep = bool(rng.integers(3))
        arguments = dict(
            form=random_form(rng, pairing[1]),
            transpose=bool(rng.integers(2)),
            dynamic=dynamic(rng, rank, keep),
            dynamic_table=dynamic(rng, table_rank, keep),
        )
        arguments.update(more)
        return Apply(
            f"f{next(number)}", (*outer, head), pairs, position_dims=position_dims,
            pairing=pairing[0], result_pairing=pairing[1], offset=offset,
            pair_stride=stride, **arguments,
        )  # fmt: skip

    # Every layout, placement, element type and table type.
    for pairing in PAIRINGS:
        for dtype, table_dtype in itertools.product(TYPES, TYPES):
            pairs, extra = choose(rng, [8, 16, 20, 3]), choose(rng, [1, 2, 16, 7])
            for placement in placements(*pairing, pairs, extra):
                yield case(
                    pairing, placement, pairs, (2, 3, 2), (0, 1),
                    dtype=dtype, table_dtype=table_dtype,
                )  # fmt: skip

    # Every layout and every way that positions lie in x.
    for pairing in PAIRINGS:
        for rank, position_dims in POSITION_DIMS:
            outer = tuple(rng.integers(1, 4, rank - 1))
            for dtype in ("f32", "bf16"):
                placement = choose(rng, list(placements(*pairing, 12, 4)))
                yield case(pairing, placement, 12, outer, position_dims, dtype=dtype)

    # Numbers of pairs around the widths of vectors, static and dynamic.
    for pairing in PAIRINGS:
        for pairs in (1, 2, 3, 5, 7, 8, 15, 16, 17, 20, 31, 33, 63, 64, 65, 129, 300):
            for is_static in (True, False):
                placement = choose(rng, list(placements(*pairing, pairs, 3)))
                every = frozenset() if is_static else frozenset(range(4))
                yield case(
                    pairing, placement, pairs, (1, 3, 2), (1,),
                    dtype=choose(rng, TYPES), dynamic=every, dynamic_table=every,
                )  # fmt: skip

    # Heads with nothing or little in them, and outer sizes of zero and one.
    for pairing in PAIRINGS:
        for outer in ((0, 3, 2), (2, 0, 2), (2, 3, 0), (1, 1, 1), (2, 5, 1), (1, 257, 3)):
            placement = choose(rng, list(placements(*pairing, 6, 5)))
            for every in (frozenset(), frozenset(range(4))):
                yield case(pairing, placement, 6, outer, (0, 1), dynamic=every)
        for placement in ((0, 0, None), (7, 0, None), (7, 7, None)):
            for every in (frozenset(), frozenset(range(4))):
                yield case(
                    pairing, placement, 0, (2, 3), (0, 1), dynamic=every & {0, 1, 2},
                    dynamic_table=every & {0, 1, 2},
                )  # fmt: skip

    # Rows of a real size.
    for pairing in PAIRINGS:
        for dtype in TYPES:
            yield case(pairing, (128, 0, None), 64, (2, 100, 8), (0, 1), dtype=dtype)
    yield case(PAIRINGS[0], (192, 128, None), 32, (1, 37, 16), (1,), dtype="bf16")
    yield case(PAIRINGS[1], (192, 128, None), 32, (1, 37, 16), (1,), dtype="bf16")
    yield case(PAIRINGS[0], (512, 0, 256), 64, (1, 37, 16), (1,), dtype="bf16")


def main():
    report = Report()
    everything = list(cases())
    some = everything[::7]
    # The host, and the vector widths of older processors.
    for cpu, chosen in (("host", everything), ("x86-64-v3", some), ("x86-64", some)):
        module = Module("".join(case.ir() for case in chosen), cpu)
        for i, case in enumerate(chosen):
            case.check(module, report, np.random.default_rng(i))
    print(f"{len(everything)} applications")
    report.finish()


if __name__ == "__main__":
    in_child(main)
