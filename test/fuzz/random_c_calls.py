"""Random calls of the C interface: every function of its headers, with null
handles, handles of other kinds and contexts, and numbers at the edges. Nothing
crashes, and what is refused is reported.

RUN: %python %s %rope_root %rope_prefix/lib/librope-c%shlibext 1 400
UNSUPPORTED: instrumented
"""

import ctypes
import math
import os
import pathlib
import random
import re
import subprocess
import sys

HANDLES = [
    "MlirContext",
    "MlirLocation",
    "MlirValue",
    "MlirAttribute",
    "MlirType",
    "MlirModule",
    "MlirRegion",
    "MlirOperation",
    "MlirOpPassManager",
    "MlirDialectRegistry",
    "MlirDialectHandle",
    "MlirPass",
    "RopeFunction",
    "RopeResults",
    "MlirAffineMap",
    "MlirTypeID",
]
SLOW = ["ropeRegisterAllPasses", "ropeRegisterAllDialects", "ropeFunctionCompile"]
# What takes its argument away: a handle must not be used after.
SKIPPED = r"rope(FunctionDestroy|ResultsDestroy|SetErrorCallback)"
MODULE = b"""
!x = tensor<?x2x8xf32>
!c = tensor<?x4xf32>
!p = tensor<?xi64>
!f = tensor<4xf64>
func.func @f(%x: !x, %c: !c, %p: !p, %o: !x) -> !x {
  %y = rope.apply ins(%x, %c, %c : !x, !c, !c) outs(%o : !x)
    {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %g = rope.frequencies base(1.0e+04) : !f
  %t:2 = rope.table ins(%p, %g : !p, !f) outs(%c, %c : !c, !c)
  %q, %l = builtin.unrealized_conversion_cast to tensor<3x4x8xf16>, i64
  %b, %m = builtin.unrealized_conversion_cast to memref<?x2x8xf32>, memref<?x4xf32>
  %z = rope.attention {indexing_maps = [affine_map<(b, h, i, j, d, e) -> (i, h, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j, h, d)>,
                                        affine_map<(b, h, i, j, d, e) -> (j, h, e)>,
                                        affine_map<(b, h, i, j, d, e) -> (i, h, e)>]}
    ins(%x, %x, %x : !x, !x, !x) outs(%o : !x)
  return %y : !x
}
func.func @g(%x: !x, %c: !c, %s: !c, %n: i64, %o: !x) -> !x {
  %y = rope.apply ins(%x, %c, %s : !x, !c, !c) outs(%o : !x)
    {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  return %y : !x
}
"""


def structure(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": list(fields)})


class Count(ctypes.c_ssize_t):
    """A number of elements."""


class Interface:
    """The headers' structures, enumerations and functions."""

    def __init__(self, root, library):
        self.library = ctypes.CDLL(library)
        self.types = {name: structure(name, ("ptr", ctypes.c_void_p)) for name in HANDLES}
        self.types |= {
            "MlirStringRef": structure(
                "MlirStringRef", ("data", ctypes.c_char_p), ("length", ctypes.c_size_t)
            ),
            "MlirLogicalResult": structure("MlirLogicalResult", ("value", ctypes.c_int8)),
            "intptr_t": Count,
            "int64_t": ctypes.c_int64,
            "int32_t": ctypes.c_int32,
            "double": ctypes.c_double,
            "bool": ctypes.c_bool,
            "void": None,
        }
        texts = [path.read_text() for path in sorted((root / "include/rope-c").glob("*.h"))]
        text = re.sub(r"/\*.*?\*/", "", "".join(texts), flags=re.DOTALL)
        text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
        self.values = {}
        for body, name in re.findall(r"typedef enum \w+ \{(.*?)\} (\w+);", text, re.DOTALL):
            self.types[name] = ctypes.c_int
            self.values[name] = body.count(",") + 1
        self.pointers = {}  # pointed to by a class of pointers
        for body, name in re.findall(r"typedef struct \w+ \{([^}]*)\} (\w+);", text, re.DOTALL):
            if name not in self.types:
                self.types[name] = structure(name, *map(self.field, filter(str.strip, body.split(";"))))
        self.functions, self.parameters = {}, {}
        for result, name, arguments in re.findall(r"MLIR_CAPI_EXPORTED\s+(\w+)\s+(\w+)\(([^)]*)\);", text):
            if re.fullmatch(SKIPPED, name):
                continue
            fields = (
                [] if arguments.strip() == "void" else [self.field(part) for part in arguments.split(",")]
            )
            function = self.library[name]
            function.restype, function.argtypes = self.types[result], [kind for _, kind in fields]
            self.functions[name] = function
            self.parameters[name] = [parameter for parameter, _ in fields]

    def field(self, text):
        pattern = r"\s*(?:const\s+)?(\w+)(\s*\*)?\s*(\w+)(?:\[(\d+)\])?\s*"
        kind, star, name, count = re.fullmatch(pattern, text).groups()
        kind = self.types[kind]
        if star:
            pointer = ctypes.POINTER(kind)
            self.pointers[pointer] = kind
            return name, pointer
        return name, kind * int(count) if count else kind

    def call(self, name, result, *arguments):
        function = self.library[name]
        function.restype = self.types[result]
        return function(*arguments)

    def string(self, data):
        return self.types["MlirStringRef"](data, len(data))


class Random:
    """Arguments of all kinds. Most fit what the parameter's name says."""

    def __init__(self, interface):
        self.interface = interface
        self.alive = []
        self.memory = ctypes.create_string_buffer(1 << 20)
        self.pools = [self.fill() for _ in range(2)]
        self.pool = self.pools[0]

    def fill(self):
        """What one context has, by the kind of handle and by the names of parameters that it fits."""
        call, string = self.interface.call, self.interface.string
        pool = {name: [] for name in HANDLES}
        registry = call("mlirDialectRegistryCreate", "MlirDialectRegistry")
        call("ropeRegisterAllDialects", "void", registry)
        context = call("mlirContextCreateWithRegistry", "MlirContext", registry, ctypes.c_bool(False))
        module = call("ropeParseModule", "MlirModule", context, string(MODULE), string(b"m.mlir"))
        assert module.ptr, "the module is not parsed"
        pool["MlirContext"].append(context)
        pool["MlirDialectRegistry"].append(registry)
        pool["MlirModule"].append(module)
        pool["MlirLocation"].append(call("mlirLocationUnknownGet", "MlirLocation", context))
        manager = call("mlirPassManagerCreate", "MlirOpPassManager", context)
        pool["MlirOpPassManager"].append(
            call("mlirPassManagerGetAsOpPassManager", "MlirOpPassManager", manager)
        )
        for text in [
            b"#rope.linear<factor = 2.0>",
            b"#rope.pairing<half>",
            b"#rope.precision<f32>",
            b"unit",
            b"1.0",
            b"#rope.yarn<base = 1.0e4, factor = 2.0, original_max_position = 9.0>",
            b"#rope.ntk<factor = 2.0>",
            b"#rope.factors<divisors = [1.0, 2.0, 3.0, 4.0]>",
            b"#rope.ntk_alpha<alpha = 2.0>",
            b"#rope.longrope<short_factors = [1.0], long_factors = [2.0], original_max_position = 9.0>",
            b"#rope.dynamic_ntk<factor = 2.0, max_position = 9.0>",
            b"#rope.angles<magnitude = 1.0>",
            b"#rope.rotation<pairing = half, position_dims = [0]>",
            b"affine_map<(d0) -> (d0)>",
            b"[1]",
            b"#rope.llama3<factor = 2.0, low_freq_factor = 1.0, high_freq_factor = 2.0, "
            b"original_max_position = 9.0>",
        ]:
            attribute = call("mlirAttributeParseGet", "MlirAttribute", context, string(text))
            assert attribute.ptr, text
            pool["MlirAttribute"].append(attribute)
        body = call("mlirModuleGetBody", "MlirRegion", module)
        operation = call("mlirBlockGetFirstOperation", "MlirOperation", body)
        region = call("mlirOperationGetRegion", "MlirRegion", operation, ctypes.c_ssize_t(0))
        block = call("mlirRegionGetFirstBlock", "MlirRegion", region)
        pool["MlirValue"] += [
            call("mlirBlockGetArgument", "MlirValue", block, ctypes.c_ssize_t(i)) for i in range(4)
        ]
        inner = call("mlirBlockGetFirstOperation", "MlirOperation", block)
        while inner.ptr:
            count = call("mlirOperationGetNumResults", "intptr_t", inner).value
            pool["MlirValue"] += [
                call("mlirOperationGetResult", "MlirValue", inner, ctypes.c_ssize_t(i)) for i in range(count)
            ]
            maps = call("mlirOperationGetAttributeByName", "MlirAttribute", inner, string(b"indexing_maps"))
            for i in range(call("mlirArrayAttrGetNumElements", "intptr_t", maps).value if maps.ptr else 0):
                element = call("mlirArrayAttrGetElement", "MlirAttribute", maps, ctypes.c_ssize_t(i))
                pool["MlirAffineMap"].append(call("mlirAffineMapAttrGetValue", "MlirAffineMap", element))
            inner = call("mlirOperationGetNextInBlock", "MlirOperation", inner)
        options = self.interface.library.ropeCompileOptionsGetDefault
        options.restype = self.interface.types["RopeCompileOptions"]
        default = options()
        function = call("ropeFunctionCompile", "RopeFunction", module, string(b"g"), ctypes.byref(default))
        assert function.ptr, "the function is not compiled"
        pool["RopeFunction"].append(function)
        x, c, p, o, *_ = pool["MlirValue"]
        ladder = next(
            value
            for value in pool["MlirValue"][4:]
            if call("ropeEvaluateFrequencies", "intptr_t", value, Count(0), None).value == 4
        )
        scaling, *_, rotation = [pool["MlirAttribute"][i] for i in (0, 12)]
        pool |= dict.fromkeys(["x", "query", "key", "value"], x) | dict.fromkeys(["cos", "sin"], c)
        pool |= {
            "positions": p,
            "init": o,
            "inits": [o],
            "frequencies": ladder,
            "scaling": scaling,
            "indexingMaps": pool["MlirAffineMap"],
            "numInits": 1,
            "numMaps": 4,
            "n": 4,
            "capacity": 8,
            "numArguments": 5,
            "numResults": 1,
            "index": 0,
            "numAxes": 0,
            "numScoreOperands": 0,
            "queryRotation": rotation,
            "keyRotation": rotation,
            "queryRotationOperands": [c, c],
            "keyRotationOperands": [c, c],
            "numPositionDims": 1,
            "positionDims": [0],
            "name": string(b"g"),
        }
        return pool

    # Most options are left out, most of the time.
    OPTIONAL = [
        "keyScales",
        "valueScales",
        "pages",
        "queryOffset",
        "lengths",
        "sinks",
        "region",
        "length",
        "queryRotation",
        "keyRotation",
        "window",
        "chunk",
        "dimension",
        "axes",
        "scoreOperands",
        "offset",
        "pairStride",
        "resultPairing",
    ]

    def value(self, kind, name=""):
        of = kind.__name__
        if name in self.OPTIONAL and random.random() < 0.85:
            return kind() if issubclass(kind, ctypes.Structure) or kind in self.interface.pointers else 0
        target = self.interface.pointers.get(kind)
        if target is self.interface.types["RopeArray"] and random.random() < 0.8:
            return self.pointer(kind, [self.fitting(i) for i in ([4] if name == "results" else range(5))])
        fits = self.pool.get(name)
        if random.random() < 0.92:
            if isinstance(fits, kind) or (kind is Count and isinstance(fits, int)):
                return fits
            if isinstance(fits, list) and target and isinstance(fits[0], (target, int)):
                return self.pointer(kind, fits)
            if isinstance(fits, list) and issubclass(kind, ctypes.Array):
                return kind(*fits)
        if target:
            if random.random() < 0.15:
                return kind()
            return self.pointer(kind, [self.value(target, name) for _ in range(8)])
        if of in HANDLES:
            if random.random() < 0.04:
                return kind(None)
            known = random.choice(self.pools)[of] if random.random() < 0.04 else self.pool[of]
            return random.choice(known) if known else kind(None)
        if of == "MlirStringRef":
            return self.interface.string(
                random.choice(
                    [b"", b"", b"f", b"g", b"host", b"sm_80", b"{}", b"f32", b"x" * 99, b"\xff\x00"]
                )
            )
        if of == "RopeArray":
            return self.array()
        if issubclass(kind, ctypes.Array):
            return kind(*[self.value(kind._type_, name) for _ in range(kind._length_)])
        if issubclass(kind, ctypes.Structure):
            return kind(**{field: self.value(part, field) for field, part in kind._fields_})
        if kind is ctypes.c_double:
            return random.choice([1.0, 2.0, 1e4, 8.0, 0.0, -1.0, math.inf, math.nan, 1e308])
        if kind is ctypes.c_bool:
            return random.random() < 0.5
        if kind is ctypes.c_int64:
            return random.choice([0, 0, 1, 2, 4, -1, 2**63 - 1, -(2**63)])
        if kind is Count:  # arrays have 8 elements
            return random.choice([0, 1, 2, 3, 4, 4, 6, 8, -1, -(2**31)])
        return random.choice([0, 0, 1, 2, 3, 99, -1])

    def pointer(self, kind, values):
        target = self.interface.pointers[kind]
        array = (target * max(8, len(values)))(*values)
        self.alive.append(array)
        return ctypes.cast(array, kind)

    def place(self):
        return ctypes.addressof(self.memory) + random.choice(range(1 << 18, 1 << 19, 1 << 14))

    def make(self, element, sizes, strides=None, address=None, rank=None):
        kind = self.interface.types["RopeArray"]
        pointer = dict(kind._fields_)["sizes"]
        return kind(
            data=self.place() if address is None else address,
            type=element,
            rank=len(sizes) if rank is None else rank,
            sizes=self.pointer(pointer, sizes),
            strides=self.pointer(pointer, strides) if strides else pointer(),
        )

    def fitting(self, i):
        """An argument of @g, or its result behind them, mostly."""
        if random.random() < 0.05:
            return self.array()
        return self.make(*[(11, [5, 2, 8]), (11, [5, 4]), (11, [5, 4]), (4, []), (11, [5, 2, 8])][i])

    def array(self):
        """Arrays of any kind that lie within the memory."""
        sizes = [random.choice([0, 1, 2, 4, 5, 8]) for _ in range(random.choice([0, 1, 2, 2, 3, 3, 4]))]
        return self.make(
            random.choice([11, 11, 4, 12, 99, -1]),
            random.choice([sizes, [5, 4], [5, 2, 8]]),
            random.choice([None, [random.choice([0, 1, -1, 8, 16, 64]) for _ in range(4)]]),
            random.choice([None, None, None, 0]),
            random.choice([None, None, None, -1, 0, 1, 3]),
        )


def work(root, library, seed, count):
    random.seed(seed)
    interface = Interface(pathlib.Path(root), library)
    handler = ctypes.CFUNCTYPE(None, interface.types["MlirStringRef"], ctypes.c_int, ctypes.c_void_p)
    errors = []
    callback = handler(lambda text, kind, data: errors.append(text.data[: text.length]))
    interface.library.ropeSetErrorCallback(callback, None)
    arguments = Random(interface)
    assert len(interface.functions) > 80, "the headers' functions were not found"
    names = sorted(interface.functions)
    for i in range(count):
        name = names[i % len(names)] if i < len(names) else random.choice(names)
        if name in SLOW and random.random() < 0.9:
            continue
        function = interface.functions[name]
        arguments.pool = random.choice(arguments.pools)
        parameters = zip(function.argtypes, interface.parameters[name])
        given = [arguments.value(kind, parameter) for kind, parameter in parameters]
        print(name, given, file=sys.stderr, flush=True)
        result = function(*given)
        if isinstance(result, interface.types["RopeResults"]):
            arguments.pool["RopeResults"].append(result)
        arguments.alive.clear()
    print(len(errors), "errors were reported", flush=True)
    sys.stdout.flush()
    # What is in use is not taken down: operations stand in no block.
    os._exit(0 if errors else 1)


def main():
    root, library, seed, count = sys.argv[1:5]
    if sys.argv[5:]:
        return work(root, library, int(seed), int(count))
    failures = 0
    for part in range(4):
        worker = [root, library, str(int(seed) * 100 + part), count, "work"]
        done = subprocess.run(
            [sys.executable, __file__, *worker], capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            failures += 1
            end = "\n".join(done.stderr.splitlines()[-5:])
            print(f"seed {worker[2]} ends with {done.returncode} in\n{end}")
    sys.exit(failures)


main()
