# Registers, spills and widths of accesses of kernels, where the tools are here.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: nvptx-registered-target, amdgpu-registered-target
# RUN: %python %s

from rope_testing import assembly
from rope_testing.applies import Apply
from rope_testing.compare import Report
from rope_testing.opencl import binary_of
from rope_testing.runner import run

SPILLS = """
.version 7.0
.target sm_80
.address_size 64
.visible .entry few(.param .u64 p) {{ .reg .b64 %d<2>; .reg .b32 %r<2>; .shared .align 4 .b8 s[64];
  ld.param.u64 %d1, [p]; mov.u32 %r1, s; st.shared.u32 [%r1], %r1; ld.shared.u32 %r1, [%r1]; st.global.u32 [%d1], %r1; ret; }}
.visible .entry many(.param .u64 p) .maxntid 1024, 1, 1 .minnctapersm 2 {{
  .reg .b64 %d<2>; .reg .b32 %r<{n}>; ld.param.u64 %d1, [p]; {loads} bar.sync 0; {stores} ret; }}
"""


def check_ptxas(report, ptxas):
    """Few registers, and more than a thread may have."""
    n = 200
    loads = " ".join(f"ld.volatile.global.u32 %r{i}, [%d1+{4 * i}];" for i in range(n))
    stores = " ".join(f"st.volatile.global.u32 [%d1+{4 * i}], %r{n - 1 - i};" for i in range(n))
    text = SPILLS.format(n=n, loads=loads, stores=stores)
    for chip in ("sm_80", "sm_90"):
        usage = assembly.assemble(text, chip, ptxas)
        few, many = usage["few"], usage["many"]
        report.true("few", few.registers < 32 and few.stack == few.spills == 0 and few.shared == 64, f"{few}")
        report.true("many", many.registers == 32 and many.stack > 500 and many.spills > 1000, f"{many}")
    try:
        assembly.assemble(text.replace("bar.sync 0", "bar.sink 0"), "sm_80", ptxas)
        report.true("errors", False, "no error")
    except RuntimeError as error:
        report.true("errors", "bar.sink" in str(error) or "line" in str(error), f"{error}")


def compile_for(text, pipeline, chip):
    module = run("rope-opt", "-", f"--{pipeline}=chip={chip} kernels-only=1", stdin=text)
    return binary_of(module, "assembly").decode()


def check_rotations(report, ptxas):
    """Rotations of rows of a model: accesses of 16 bytes, no stack, few registers."""
    for dtype in ("bf16", "f16", "f32"):
        for pairing in ("half", "interleaved"):
            case = Apply("f", (2, 100, 8, 128), 64, dtype=dtype, position_dims=(0, 1), pairing=pairing,
                         dynamic=frozenset({0, 1}), dynamic_table=frozenset({0, 1}))  # fmt: skip
            name = f"{dtype} {pairing}"
            for chip in ("sm_80", "sm_90"):
                text = compile_for(case.ir(), "rope-to-nvvm", chip)
                widths = [max(s.loads, default=0) for s in assembly.summarize_ptx(text).values()]
                report.true(name, max(widths) == 16, f"accesses of {widths} bytes")
                if ptxas:
                    for kernel, usage in assembly.assemble(text, chip, ptxas).items():
                        report.true(f"{name} {chip}", usage.stack == usage.spills == 0, f"{kernel}: {usage}")
                        report.true(f"{name} {chip}", usage.registers <= 64, f"{kernel}: {usage}")
            text = compile_for(case.ir(), "rope-to-rocdl", "gfx942")
            summaries = assembly.summarize_amd(text)
            report.true(name, max(max(s.loads, default=0) for s in summaries.values()) == 16, f"{summaries}")
            for kernel, summary in summaries.items():
                good = summary.usage.stack == summary.usage.spills == 0 and not summary.count("scratch_")
                report.true(f"{name} gfx942", good and summary.usage.registers <= 128, f"{kernel}: {summary.usage}")


def main():
    report = Report()
    ptxas = assembly.find_ptxas()
    print(f"ptxas: {f'{ptxas}, {assembly.ptxas_version(ptxas)}' if ptxas else 'is not here; registers are not looked at'}")
    if ptxas:
        check_ptxas(report, ptxas)
    check_rotations(report, ptxas)
    report.finish()


if __name__ == "__main__":
    main()
