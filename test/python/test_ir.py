# Modules and operations of the Python package.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %pytest %s

import random
import threading

import pytest
import rope_mlir
from modules import CONFIG, binary, copy
from rope_mlir import ir, passes

TEXT = """func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.addf %x, %x {note = "twice"} : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @g(i32)
"""


def test_parse_and_print():
    module = ir.Module.parse(TEXT, "model.mlir")
    assert str(ir.Module.parse(str(module))) == str(module) == module.print()
    assert '"func.func"()' in module.print(generic=True)
    assert 'loc("model.mlir":2:8)' in module.print(debug_info=True)
    module.verify()


def test_bytecode(tmp_path):
    module = ir.Module.parse(TEXT, "model.mlir")
    data = module.bytecode()
    assert data[:4] == b"ML\xefR"
    for source in (data, bytearray(data), memoryview(data)):
        assert str(ir.Module.parse(source)) == str(module)
    path = tmp_path / "model.mlirbc"
    path.write_bytes(data)
    assert str(ir.Module.load(path)) == str(ir.Module.load(str(path))) == str(module)
    for end in range(0, len(data), 7):
        with pytest.raises(ir.MLIRError):
            print(end, ir.Module.parse(data[:end] if end > 3 else data[4:]))
    with pytest.raises(OSError):
        ir.Module.load(tmp_path / "nothing.mlir")


def test_walk():
    module = ir.Module.parse(TEXT, "model.mlir")
    ops = list(module.walk())
    assert [op.name for op in ops] == [
        "builtin.module",
        "func.func",
        "arith.addf",
        "func.return",
        "func.func",
    ]
    add = ops[2]
    assert add.location == ir.Location("model.mlir", 2, 8)
    assert add.attributes["note"] == '"twice"'
    assert add.operand_types == ["tensor<4xf32>"] * 2 and add.result_types == ["tensor<4xf32>"]
    assert str(add).startswith("%0 = arith.addf ")
    assert add.parent == ops[1] and ops[1].parent == ops[0] == module.operation and ops[0].parent is None
    assert add in module.operation.regions[0][0][0].regions[0][0]
    assert list(ops[1].walk()) == ops[1:4]
    assert len({*ops, *module.walk()}) == 5
    assert add != ops[1] and add != "arith.addf" and repr(add) == "<Operation arith.addf>"
    # The operation keeps its module.
    del module, ops
    assert add.name == "arith.addf"


def test_location_unknown():
    module = ir.Module.parse("module {} loc(unknown)")
    assert module.operation.location is None
    named = ir.Module.parse('module {} loc(fused["a"("b":3:4), "c":5:6])')
    assert named.operation.location == ir.Location("b", 3, 4)


def test_stale_operations_raise():
    module = ir.Module.parse(TEXT)
    op = list(module.walk())[2]
    walk = module.walk()
    passes.run(module, "")
    uses = [
        lambda: op.name,
        lambda: op.location,
        lambda: op.attributes,
        lambda: op.operand_types,
        lambda: op.result_types,
        lambda: op.parent,
        lambda: op.regions,
        lambda: op.walk(),
        lambda: str(op),
        lambda: repr(op),
        lambda: next(walk).name,
    ]
    for use in uses:
        with pytest.raises(RuntimeError, match="the operation is gone"):
            use()
    assert op == op and op != list(module.walk())[2] and isinstance(hash(op), int)
    # A pipeline that fails leaves the module as it was.
    kept = list(module.walk())[2]
    with pytest.raises(ir.MLIRError):
        passes.run(module, "canonicalize,no-such-pass")
    assert kept.name == "arith.addf"


@pytest.mark.filterwarnings("ignore:nanobind:RuntimeWarning")
def test_no_instances_of_their_own():
    for kind in (ir.Module, ir.Operation):
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(TypeError):
            str(kind.__new__(kind))


@pytest.mark.parametrize(
    "text, line, column, message, shown",
    [
        (
            "func.func @f() {\n  return %x : i32\n}",
            2,
            10,
            "undeclared SSA value",
            "  return %x : i32\n         ^",
        ),
        (
            "func.func @f() {\n\treturn %x : i32\n}",
            2,
            9,
            "undeclared SSA value",
            "\treturn %x : i32\n\t       ^",
        ),
        ("foo", 1, 1, "custom op 'foo' is unknown", "foo\n^"),
        ("func.func @f() {\n  foo.bar\n}", 2, 3, "Dialect `foo' not found", "  foo.bar\n  ^"),
        (
            "func.func @f(%x: i32) -> i64 {\n  return %x : i32\n}",
            2,
            3,
            "doesn't match function result",
            "  ^",
        ),
        ("module {", 1, None, "expected operation name in quotes", "module {\n"),
        (
            "func.func @f(%x: tensor<3xf64>) {\n"
            "  %0 = rope.scale_frequencies %x by(#rope.linear<factor = 0.0>) : tensor<3xf64>\n  return\n}",
            2,
            None,
            "factor",
            "",
        ),
    ],
)
def test_errors_have_locations(text, line, column, message, shown):
    with pytest.raises(ir.MLIRError) as error:
        ir.Module.parse(text, "model.mlir")
    first = error.value.diagnostics[0]
    assert first.severity == "error" and message in first.message
    assert first.location[:2] == ("model.mlir", line) and column in (None, first.location.column)
    assert f"model.mlir:{line}:{first.location.column}: error: " in str(error.value)
    assert shown in str(error.value) and first.source == text.split("\n")[line - 1]


def test_notes_and_pickle():
    import pickle

    with pytest.raises(ir.MLIRError) as error:
        ir.Module.parse("func.func @f(%x: i32) -> i64 {\n  return %x : i32\n}")
    note = error.value.diagnostics[0].notes[0]
    assert note.severity == "note" and note.message.startswith("see current operation")
    assert str(note) in str(error.value)
    copied = pickle.loads(pickle.dumps(error.value))
    assert str(copied) == str(error.value) and copied.diagnostics == error.value.diagnostics


@pytest.mark.parametrize("source", [None, 1, ["module {}"], object()])
def test_sources_of_other_types(source):
    with pytest.raises(TypeError):
        ir.Module.parse(source)


def test_text_that_is_no_unicode():
    with pytest.raises(ir.MLIRError):
        ir.Module.parse(b"module \xff\xfe {}")
    with pytest.raises(UnicodeEncodeError):
        ir.Module.parse("\ud800")
    # What a message quotes may be anything.
    with pytest.raises(ir.MLIRError) as error:
        ir.Module.parse(b'"a\xffb.c"() : () -> ()')
    assert str(error.value)


def test_texts_that_are_damaged():
    """Each is a module or an error. Of text: MLIR's reader of bytecode does not check all of it."""
    rng = random.Random(0)
    source = str(rope_mlir.import_hf_config(CONFIG)).encode()
    outcomes = []
    for _ in range(300):
        data = bytearray(source)
        for _ in range(rng.randrange(1, 4)):
            place, other = rng.randrange(len(data)), rng.randrange(len(data))
            change = rng.randrange(3)
            if change == 0:
                data[place] = rng.randrange(256)
            elif change == 1:
                del data[place : place + rng.randrange(1, 9)]
            else:
                data[place:place] = data[other : other + rng.randrange(1, 30)]
        try:
            module = ir.Module.parse(bytes(data))
        except ir.MLIRError as error:
            outcomes.append(bool(error.diagnostics))
        else:
            outcomes.append(str(ir.Module.parse(str(module))) == str(module))
    assert all(outcomes)


def test_threads_share_a_module():
    module = ir.Module.parse("\n".join(binary("f32").replace("@f", f"@f{i}") for i in range(20)))
    errors = []

    def use(index):
        try:
            for _ in range(20):
                if index % 2:
                    passes.canonicalize(module)
                else:
                    assert str(module).count("func.func") == 20
                    module.verify()
                    try:
                        assert all(op.name for op in module.walk())
                    except RuntimeError:
                        pass  # Another thread's pass has changed the module meanwhile.
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=use, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_large_module():
    text = (
        "func.func @f() {\n"
        + "".join(f"  %{i} = arith.constant {i} : i32\n" for i in range(50000))
        + "  return\n}"
    )
    module = ir.Module.parse(text)
    assert sum(1 for _ in module.walk()) == 50003
    assert str(passes.canonicalize(module)).count("\n") < 10
    assert copy("f32") != str(module)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
