"""Random calls of the Python package with objects of all kinds: nothing ends the
interpreter, and what is raised is an exception that says what is wrong.

RUN: %python %s 1 2000
"""

import faulthandler
import gc
import random
import sys

import ml_dtypes
import numpy as np
import rope_mlir
from rope_mlir import ir, passes

TEXT = """
!x = tensor<?x2x8xf32>
!t = tensor<?x4xf32>
func.func @rotate(%x: !x, %cos: !t, %sin: !t, %o: !x) -> !x {
  %y = rope.apply ins(%x, %cos, %sin : !x, !t, !t) outs(%o : !x)
    {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : !x
}
func.func @numbers(%x: tensor<3xbf16>, %i: i64, %b: i1, %f: f32) -> (tensor<3xbf16>, i64) {
  return %x, %i : tensor<3xbf16>, i64
}
func.func @nothing(%m: memref<4xf32>) { return }
"""
DTYPES = [
    *[np.float32] * 8,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    np.int64,
    np.int8,
    np.bool_,
    np.uint16,
]
DTYPES += [np.complex64, ">f4", "U3", "M8[s]", object, [("a", "f4")]]
SHAPES = [
    (5, 2, 8),
    (5, 2, 8),
    (5, 4),
    (5, 4),
    (3,),
    (),
    (0, 2, 8),
    (4,),
    (1, 2, 8),
    (2, 8),
    (1,) * 9,
    (5, 2, 7),
]


class Hostile:
    """Whatever is asked of it goes wrong, in one way or another."""

    def __init__(self, way):
        self.way = way

    def __dlpack__(self, *arguments, **keywords):
        gc.collect()
        if self.way == 0:
            raise MemoryError("__dlpack__")
        return [None, 3, np.zeros(3).__dlpack__(), "x", object()][self.way % 5]

    def __dlpack_device__(self):
        if self.way == 1:
            raise KeyError("__dlpack_device__")
        return [(1, 0), (2, 0), "x", (1,), (10**30, 0)][self.way % 5]

    def fail(self, *arguments):
        raise ZeroDivisionError("hostile")

    __len__ = __index__ = __float__ = __str__ = __eq__ = __bool__ = items = keys = __iter__ = fail
    __hash__ = object.__hash__

    def __fspath__(self):
        return 3


def array():
    made = np.zeros(random.choice(SHAPES), random.choice(DTYPES))
    way = random.randrange(20)
    if way == 0 and made.ndim:
        return made[::-1]
    if way == 1 and made.size:
        return np.broadcast_to(made.reshape(-1)[:1].reshape((1,) * made.ndim), made.shape)
    if way == 2:
        return made.T
    if way == 3:
        made.flags.writeable = False
    if way == 4 and made.dtype == np.float32:
        return np.frombuffer(bytes(made.nbytes + 1), np.uint8)[1:].view(np.float32).reshape(made.shape)
    return made


def anything():
    if random.random() < 0.4:
        return array()
    value = random.choice(VALUES)
    return value() if callable(value) and not isinstance(value, type) else value


def pick(*values):
    return lambda: random.choice(values)


module = ir.Module.parse(TEXT)
functions = [rope_mlir.compile(module, name, cache=False) for name in ("rotate", "numbers", "nothing")]
Operation, Function = type(next(module.walk())), type(functions[0])
bytecode = module.bytecode()
VALUES = [None, 0, 1, -1, 2**70, 1.5, float("nan"), True, "", TEXT, "module {}", "\ud800", "a\0b", "garbage"]
VALUES += [b"", bytecode, lambda: bytecode[: random.randrange(len(bytecode))], bytearray(b"module {}")]
VALUES += [
    memoryview(bytes(8))[::2],
    [],
    [1, 2],
    (),
    {},
    {"model_type": "llama"},
    {"a": {1, 2}},
    object,
    type,
]
VALUES += [module, lambda: random.choice(list(module.walk())), pick(*functions), np.float32(1), np.int64(3)]
VALUES += [
    lambda: Hostile(random.randrange(10)),
    lambda: [array() for _ in range(2)],
    lambda: (array(), array()),
]
# Objects that nobody has initialized.
VALUES += [lambda: random.choice([ir.Module, Operation, Function]).__new__]
VALUES += [lambda: random.choice([ir.Module.__new__(ir.Module), Function.__new__(Function)])]
VALUES += [
    lambda: Operation.__new__(Operation),
    "rotate",
    "canonicalize",
    "builtin.module(cse)",
    "rope-optimize",
]
VALUES += ["func.func(nope", "host", "/", "/nowhere", (i for i in [1])]
CALLABLES = [getattr(passes, name) for name in passes.__all__]
CALLABLES += [ir.Module.parse, ir.Module.load, rope_mlir.import_hf_config, rope_mlir.compile]
CALLABLES += [rope_mlir.set_num_threads, rope_mlir.MLIRError, rope_mlir.Diagnostic, rope_mlir.Location]
raised = {}


def attempt(function, /, *arguments, **keywords):
    try:
        return function(*arguments, **keywords)
    except SystemError:
        raise  # the interpreter's word for an extension's mistake
    except Exception as error:
        raised[type(error).__name__] = raised.get(type(error).__name__, 0) + 1
        return None


def call_function():
    """Right arguments, some of which are something else."""
    zeros = np.zeros((5, 2, 8), np.float32), np.zeros((5, 4), np.float32)
    three = np.zeros(3, ml_dtypes.bfloat16)
    number = random.randrange(3)
    arguments = [[zeros[0], zeros[1], zeros[1], zeros[0]], [three, 3, True, 1.0], [np.zeros(4, np.float32)]][
        number
    ]
    arguments = [anything() if random.random() < 0.2 else argument for argument in arguments]
    del arguments[random.choice([9, 9, 9, 9, 9, 9, 9, 0]) :]
    keywords = {}
    if random.random() < 0.4:
        right = [np.zeros((5, 2, 8), np.float32), (three, np.zeros((), np.int64)), ()][number]
        keywords["out"] = random.choice([right, right, anything(), arguments[0] if arguments else None])
    if random.random() < 0.03:
        keywords["other"] = anything()
    attempt(functions[number], *arguments, **keywords)


def call_method():
    target = random.choice([module, random.choice(list(module.walk())), random.choice(functions)])
    if random.random() < 0.2:
        target = type(target).__new__(type(target))
    name = random.choice([name for name in dir(target) if name not in ("__class__", "__init_subclass__")])
    method = attempt(getattr, target, name)
    if callable(method):
        attempt(method, *[anything() for _ in range(random.choice([0, 0, 1, 1, 2]))])
    elif random.random() < 0.3:
        attempt(setattr, target, name, anything())


def call_package():
    function = random.choice(CALLABLES)
    arguments = [anything() for _ in range(random.choice([0, 1, 1, 2, 2, 3]))]
    if function in CALLABLES[: len(passes.__all__)] and random.random() < 0.6:
        arguments[:1] = [ir.Module.parse(TEXT)]
    names = ["filename", "dtype", "exact", "function", "optimize", "target_cpu", "opt_level", "cache", "x"]
    attempt(function, *arguments, **{name: anything() for name in names if random.random() < 0.05})


def use_stale_handles():
    changed = ir.Module.parse(TEXT)
    operations = list(changed.walk())
    passes.run(changed, "canonicalize")
    for operation in operations:
        attempt(str, operation)
        attempt(getattr, operation, random.choice(["attributes", "parent", "regions", "location", "name"]))


def main():
    faulthandler.enable()
    seed, count = map(int, sys.argv[1:])
    random.seed(seed)
    for _ in range(count):
        random.choice([call_function, call_function, call_method, call_package, use_stale_handles])()
        rope_mlir.set_num_threads(0)
    x = np.random.default_rng(seed).random((5, 2, 8), np.float32)
    same = functions[0](x, np.ones((5, 4), np.float32), np.zeros((5, 4), np.float32), np.zeros_like(x))
    assert np.array_equal(x, same), "the function does not compute what it did"
    print(dict(sorted(raised.items())))
    assert {"TypeError", "ValueError", "MLIRError", "RuntimeError"} <= set(raised), "errors were not met"


main()
