# Compiled code on disk.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %pytest %s

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import rope_mlir
from modules import binary
from rope_mlir import ir

TEXT = binary("f32")
X = np.arange(12, dtype=np.float32).reshape(3, 4)


def compiled(cache, text=TEXT, **options):
    function = rope_mlir.compile(text, cache=cache, **options)
    assert np.array_equal(function(X, X), X + X)
    return function.from_cache


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 100)


def test_hits(tmp_path):
    folder = tmp_path / "made" / "when needed"
    assert not compiled(folder)
    assert compiled(folder) and compiled(str(folder)) and compiled(os.fsencode(folder))
    # Found by content, however it came about.
    assert compiled(folder, ir.Module.parse(TEXT, "named.mlir").bytecode())
    assert len(entries(folder)) == 1
    # Whatever makes other code is another entry.
    for options in (
        {"opt_level": 1},
        {"single_threaded": True},
        {"optimize": True},
        {"target_features": "-avx512f"},
    ):
        assert not compiled(folder, **options) and compiled(folder, **options)
    assert not compiled(folder, TEXT.replace("@f", "@g"))
    assert len(entries(folder)) == 6
    # Nobody else may write code that this user runs.
    assert folder.stat().st_mode & 0o077 == 0


def test_default_folders(tmp_path, monkeypatch):
    home, cache = tmp_path / "home", tmp_path / "cache"
    monkeypatch.setenv("HOME", str(home))
    for name in ("ROPE_MLIR_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert not compiled(False) and not compiled(True) and compiled(True)
    assert entries(home / ".cache" / "rope-mlir")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert not compiled(True) and entries(cache / "rope-mlir")
    monkeypatch.setenv("ROPE_MLIR_CACHE_DIR", str(tmp_path / "own"))
    assert not compiled(True) and entries(tmp_path / "own")


def damages(data):
    yield "empty", b""
    yield "garbage", os.urandom(len(data))
    yield "zeros", bytes(len(data))
    yield "longer", data + b"\0"
    for size in {1, 31, 32, 33, 40, len(data) // 2, len(data) - 1}:
        yield f"first {size} bytes", data[:size]
    for place in range(0, len(data), max(1, len(data) // 40)):
        yield f"other bit at {place}", data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_damaged_entries_are_replaced(tmp_path):
    compiled(tmp_path)
    (entry,) = entries(tmp_path)
    data = entry.read_bytes()
    for name, damaged in damages(data):
        entry.unlink()
        entry.write_bytes(damaged)
        assert not compiled(tmp_path), name
        assert compiled(tmp_path), name
        assert entry.read_bytes() == data, name


def test_entries_of_others(tmp_path):
    # One entry in another's place.
    compiled(tmp_path / "a")
    rope_mlir.compile(binary("f64"), cache=tmp_path / "b")
    (ours,), (others,) = entries(tmp_path / "a"), entries(tmp_path / "b")
    ours.write_bytes(others.read_bytes())
    assert not compiled(tmp_path / "a") and compiled(tmp_path / "a")
    ours.unlink()
    ours.mkdir()
    assert not compiled(tmp_path / "a")


def test_folders_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below", "/proc/none", "/dev/null/x"):
        assert not compiled(folder) and not compiled(folder)


def test_folders_without_a_name():
    for folder in ("\0", "a\0b", b"a\0b"):
        with pytest.raises(ValueError, match="expected a folder"):
            compiled(folder)


def test_read_only_folder():
    # Root may write anywhere, so it is somebody else meanwhile, who must get at the folder and its files.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        compiled(folder)
        for path in pathlib.Path(folder).iterdir():
            path.chmod(0o644)
        os.chmod(folder, 0o555)
        is_root = os.geteuid() == 0
        try:
            if is_root:
                os.seteuid(65534)
            assert not os.access(folder, os.W_OK, effective_ids=True)
            assert compiled(folder)
            assert not compiled(folder, opt_level=0) and not compiled(folder, opt_level=0)
        finally:
            if is_root:
                os.seteuid(0)
            os.chmod(folder, 0o700)


WRITER = """
import sys, time, numpy as np, rope_mlir
x = np.ones((3, 4), np.float32)
texts = [sys.argv[2].replace("@f", f"@f{i}") for i in range(10)]
sys.stdin.readline()
for _ in range(3):
    for text in texts:
        assert np.array_equal(rope_mlir.compile(text, cache=sys.argv[1])(x, x), x + x)
"""


def test_processes_write_at_once(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), TEXT], stdin=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0
    assert all(compiled(tmp_path, TEXT.replace("@f", f"@f{i}")) for i in range(10))
    # Nothing is left half written.
    assert len(entries(tmp_path)) == 10 and not [path for path in tmp_path.iterdir() if "tmp" in path.name]
