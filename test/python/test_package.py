# The Python package as it is installed: import, configurations, what it needs.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %pytest -s %s

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rope_mlir
from modules import CONFIG
from rope_mlir import ir

PACKAGE = Path(rope_mlir.__file__).parent
COMPILER = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang-22")


def run(code, *, path=PACKAGE.parent, **environment):
    environment = {**os.environ, "PYTHONPATH": str(path), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )


def test_import_time():
    code = (
        "import time; wall, used = time.perf_counter(), time.process_time(); import rope_mlir;"
        " print(time.perf_counter() - wall, time.process_time() - used)"
    )
    wall, used = (min(times) for times in zip(*(map(float, run(code).stdout.split()) for _ in range(5))))
    print(f"import rope_mlir: {wall:.3f} s, {used:.3f} s of the processor's time")
    # Others use this machine as well, so what is bounded is the work.
    assert used < 0.3


def test_import_brings_no_array_library():
    code = (
        "import sys, rope_mlir;"
        " print([name for name in ('numpy', 'torch', 'jax', 'ml_dtypes') if name in sys.modules])"
    )
    assert run(code).stdout.strip() == "[]"


def test_versions():
    assert rope_mlir.__version__.count(".") == 2
    metadata = next(PACKAGE.parent.glob("rope_mlir-*.dist-info"))
    assert f"\nVersion: {rope_mlir.__version__}\n" in (metadata / "METADATA").read_text()


def test_size():
    size = sum(path.stat().st_size for path in PACKAGE.rglob("*") if path.is_file())
    print(f"installed: {size / 1e6:.1f} MB")
    assert size < 10e6


def test_types():
    assert (PACKAGE / "py.typed").exists()
    stub = (PACKAGE / "_core.pyi").read_text()
    names = {node.name for node in ast.parse(stub).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    assert {"Module", "Operation", "Function", "set_num_threads"} <= names
    assert "def __call__(self, *arrays: Any, out: Any = None) -> Any:" in stub


def linked(folder, *, soname):
    """Replaces librope-c.so in a copy of the package by one that needs a library which is not there."""
    copy = folder / "rope_mlir"
    shutil.copytree(PACKAGE, copy)
    (folder / "needed.c").write_text("int needed(void) { return 0; }\n")
    (folder / "stub.c").write_text("int needed(void); int stub(void) { return needed(); }\n")
    needed = folder / "libneeded.so"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", f"-Wl,-soname,{soname}", "needed.c", "-o", needed],
        cwd=folder,
        check=True,
    )
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "stub.c", needed, "-o", copy / "lib" / "librope-c.so"],
        cwd=folder,
        check=True,
    )
    return folder


@pytest.mark.skipif(COMPILER is None, reason="no C compiler makes a library that misses another")
def test_missing_libraries(tmp_path):
    result = run("import rope_mlir", path=linked(tmp_path, soname="libMLIR.so.99.1"))
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: rope_mlir needs the shared libraries of LLVM and MLIR 22")
    assert "libMLIR.so.99.1" in last and "apt-get install libmlir-22" in last


@pytest.mark.skipif(COMPILER is None, reason="no C compiler makes another LLVM")
def test_another_llvm(tmp_path):
    # Another answer to the question which LLVM is loaded.
    (tmp_path / "other.c").write_text(
        "void LLVMGetVersion(unsigned *major, unsigned *minor, unsigned *patch) {\n"
        "  *major = 21; *minor = 1; *patch = 7;\n}\n"
    )
    library = tmp_path / "other.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "other.c", "-o", library], cwd=tmp_path, check=True)
    result = run("import rope_mlir", LD_PRELOAD=str(library))
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ") and "LLVM 21.1.7" in last and "built for LLVM 22." in last


def test_configurations(tmp_path):
    expected = str(rope_mlir.import_hf_config(CONFIG))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    for source in (path, str(path), tmp_path, os.fsencode(path)):
        assert str(rope_mlir.import_hf_config(source)) == expected
    for dtype in ("f32", "bf16", "f16"):
        assert f"x2x32x{dtype}>" in str(rope_mlir.import_hf_config(CONFIG, dtype=dtype))


@pytest.mark.parametrize(
    "config, message",
    [
        ({}, "missing"),
        ({**CONFIG, "hidden_size": "many"}, "'hidden_size'"),
        ({**CONFIG, "rope_scaling": {"rope_type": "none-such"}}, "none-such"),
        ({**CONFIG, "rope_theta": float("nan")}, ""),
        ({"model_type": "\ud800"}, ""),
    ],
)
def test_configurations_with_errors(config, message):
    with pytest.raises(ir.MLIRError) as error:
        rope_mlir.import_hf_config(config)
    assert message in str(error.value) and error.value.diagnostics


def test_configurations_that_are_none(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ir.MLIRError):
        rope_mlir.import_hf_config(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UnicodeDecodeError):
        rope_mlir.import_hf_config(tmp_path)
    with pytest.raises(OSError):
        rope_mlir.import_hf_config(tmp_path / "nothing.json")
    with pytest.raises(ir.MLIRError, match="f64"):
        rope_mlir.import_hf_config(CONFIG, dtype="f64")
    for config in (None, 3, [CONFIG], {**CONFIG, "x": object()}):
        with pytest.raises(TypeError):
            rope_mlir.import_hf_config(config)
