//===- Module.cpp - modules and operations --------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Module.h"
#include "mlir-c/Pass.h"
#include "nanobind/stl/optional.h"
#include "nanobind/stl/pair.h"
#include "nanobind/stl/string.h"
#include "nanobind/stl/vector.h"
#include "rope-c/Dialect.h"
#include "rope-c/Import.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rope_python;

/// The dialects of every module. It lives as long as the process.
static MlirDialectRegistry getRegistry() {
  static MlirDialectRegistry registry = [] {
    MlirDialectRegistry result = mlirDialectRegistryCreate();
    ropeRegisterAllDialects(result);
    ropeRegisterAllPasses();
    return result;
  }();
  return registry;
}

ModuleState::ModuleState()
    : context(mlirContextCreateWithRegistry(getRegistry(),
                                            /*threadingEnabled=*/false)) {}

ModuleState::~ModuleState() {
  if (!mlirModuleIsNull(module))
    mlirModuleDestroy(module);
  mlirContextDestroy(context);
}

Module rope_python::parseModule(nb::handle source,
                                const std::string &fileName) {
  auto state = std::make_shared<ModuleState>();
  state->source.file = fileName;
  std::string_view text;
  if (PyUnicode_Check(source.ptr())) {
    Py_ssize_t length = 0;
    const char *data = PyUnicode_AsUTF8AndSize(source.ptr(), &length);
    if (!data)
      throw nb::python_error();
    text = {data, static_cast<size_t>(length)};
    state->source.text = nb::borrow(source);
  } else if (PyObject_CheckBuffer(source.ptr())) {
    // Bytes do not change while they are parsed.
    nb::object bytes = nb::steal(PyBytes_FromObject(source.ptr()));
    if (!bytes.is_valid())
      throw nb::python_error();
    text = {PyBytes_AS_STRING(bytes.ptr()),
            static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
    state->source.text = bytes;
  } else {
    raise(PyExc_TypeError, "expected a module as str or bytes, but got " +
                               std::string(nb::inst_name(source).c_str()));
  }
  Messages messages;
  state->alone([&] {
    Collector collector(state->context, messages);
    state->module =
        ropeParseModule(state->context, toRef(text), toRef(fileName));
  });
  if (mlirModuleIsNull(state->module))
    raiseMLIRError(messages, state->source, "the module cannot be parsed");
  return {std::move(state)};
}

//===----------------------------------------------------------------------===//
// Operation
//===----------------------------------------------------------------------===//

namespace {
struct Operation {
  std::shared_ptr<ModuleState> state;
  MlirOperation op;
  uint64_t generation;

  /// Calls `body` alone, or raises where the operation is gone.
  template <typename Body>
  auto read(Body &&body) const {
    auto result = state->alone([&] {
      using Result = decltype(body());
      return generation == state->generation ? std::optional<Result>(body())
                                             : std::nullopt;
    });
    if (!result)
      raise(PyExc_RuntimeError,
            "the operation is gone: a pass has changed its module since");
    return std::move(*result);
  }

  Operation with(MlirOperation other) const {
    return {state, other, generation};
  }
};
} // namespace

static std::vector<MlirOperation> walk(MlirOperation root) {
  std::vector<MlirOperation> result;
  mlirOperationWalk(
      root,
      [](MlirOperation op, void *data) {
        static_cast<std::vector<MlirOperation> *>(data)->push_back(op);
        return MlirWalkResultAdvance;
      },
      &result, MlirWalkPreOrder);
  return result;
}

static nb::object toIterator(const Operation &root,
                             const std::vector<MlirOperation> &ops) {
  nb::list list;
  for (MlirOperation op : ops)
    list.append(root.with(op));
  return nb::iter(list);
}

static std::string print(MlirOperation op, bool generic, bool debugInfo,
                         bool localScope = false) {
  std::string text;
  MlirOpPrintingFlags flags = mlirOpPrintingFlagsCreate();
  if (generic)
    mlirOpPrintingFlagsPrintGenericOpForm(flags);
  if (debugInfo)
    mlirOpPrintingFlagsEnableDebugInfo(flags, /*enable=*/true,
                                       /*prettyForm=*/false);
  if (localScope)
    mlirOpPrintingFlagsUseLocalScope(flags);
  mlirOperationPrintWithFlags(op, flags, append, &text);
  mlirOpPrintingFlagsDestroy(flags);
  return text;
}

static std::string toText(MlirAttribute attribute) {
  std::string text;
  mlirAttributePrint(attribute, append, &text);
  return text;
}
static std::string toText(MlirType type) {
  std::string text;
  mlirTypePrint(type, append, &text);
  return text;
}

static nb::str getName(const Operation &self) {
  std::string name = self.read([&] {
    return toString(mlirIdentifierStr(mlirOperationGetName(self.op)));
  });
  return nb::str(name.c_str(), name.size());
}

static nb::dict getAttributes(const Operation &self) {
  auto texts = self.read([&] {
    std::vector<std::pair<std::string, std::string>> result;
    for (intptr_t i = 0, e = mlirOperationGetNumAttributes(self.op); i < e;
         ++i) {
      MlirNamedAttribute attribute = mlirOperationGetAttribute(self.op, i);
      result.emplace_back(toString(mlirIdentifierStr(attribute.name)),
                          toText(attribute.attribute));
    }
    return result;
  });
  nb::dict result;
  for (auto &[name, text] : texts)
    result[nb::str(name.c_str(), name.size())] =
        nb::str(text.c_str(), text.size());
  return result;
}

static std::vector<std::string> getOperandTypes(const Operation &self) {
  return self.read([&] {
    std::vector<std::string> result;
    for (intptr_t i = 0, e = mlirOperationGetNumOperands(self.op); i < e; ++i)
      result.push_back(
          toText(mlirValueGetType(mlirOperationGetOperand(self.op, i))));
    return result;
  });
}

static std::vector<std::string> getResultTypes(const Operation &self) {
  return self.read([&] {
    std::vector<std::string> result;
    for (intptr_t i = 0, e = mlirOperationGetNumResults(self.op); i < e; ++i)
      result.push_back(
          toText(mlirValueGetType(mlirOperationGetResult(self.op, i))));
    return result;
  });
}

static std::optional<Operation> getParent(const Operation &self) {
  MlirOperation parent =
      self.read([&] { return mlirOperationGetParentOperation(self.op); });
  if (mlirOperationIsNull(parent))
    return std::nullopt;
  return self.with(parent);
}

/// Operations by region and block.
static std::vector<std::vector<std::vector<Operation>>>
getRegions(const Operation &self) {
  return self.read([&] {
    std::vector<std::vector<std::vector<Operation>>> regions;
    for (MlirRegion region = mlirOperationGetFirstRegion(self.op);
         !mlirRegionIsNull(region);
         region = mlirRegionGetNextInOperation(region)) {
      auto &blocks = regions.emplace_back();
      for (MlirBlock block = mlirRegionGetFirstBlock(region);
           !mlirBlockIsNull(block); block = mlirBlockGetNextInRegion(block)) {
        auto &operations = blocks.emplace_back();
        for (MlirOperation op = mlirBlockGetFirstOperation(block);
             !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
          operations.push_back(self.with(op));
      }
    }
    return regions;
  });
}

static void addOperation(nb::module_ &m) {
  nb::class_<Operation>(
      m, "Operation",
      "An operation of a `Module`, which it keeps alive.\n\n"
      "Handles are for reading, and last until a pass has changed the module: "
      "then whatever is asked of them raises `RuntimeError`.")
      .def_prop_ro("name", &getName, nb::sig("def name(self) -> str"),
                   "Name with its dialect, as in `rope.apply`.")
      .def_prop_ro(
          "location",
          [](const Operation &self) {
            return toPython(self.read([&] {
              return getLocation(mlirOperationGetLocation(self.op));
            }));
          },
          nb::sig("def location(self) -> rope_mlir._errors.Location | None"),
          "The first place in a text that its location names; None where it "
          "names none.")
      .def_prop_ro("attributes", &getAttributes,
                   nb::sig("def attributes(self) -> dict[str, str]"),
                   "Attributes by name, printed as MLIR.")
      .def_prop_ro("operand_types", &getOperandTypes,
                   "Types of the operands, printed as MLIR.")
      .def_prop_ro("result_types", &getResultTypes,
                   "Types of the results, printed as MLIR.")
      .def_prop_ro("parent", &getParent,
                   "The operation around it; None for the module.")
      .def_prop_ro("regions", &getRegions,
                   "Operations by region and block: `op.regions[0][0]` are "
                   "those of the first block of the first region.")
      .def(
          "walk",
          [](const Operation &self) {
            return toIterator(self, self.read([&] { return walk(self.op); }));
          },
          nb::sig("def walk(self) -> collections.abc.Iterator[Operation]"),
          "Iterates over this operation and all in it, each before what it "
          "holds.")
      .def("__str__",
           [](const Operation &self) {
             return self.read([&] {
               return print(self.op, /*generic=*/false, /*debugInfo=*/false,
                            /*localScope=*/true);
             });
           })
      .def("__repr__",
           [](nb::handle self) {
             const auto &op = nb::cast<const Operation &>(self);
             return "<Operation " + std::string(getName(op).c_str()) + ">";
           })
      .def(
          "__eq__",
          [](const Operation &self, nb::handle other) {
            const Operation *op = nullptr;
            return nb::try_cast(other, op) && op && op->state == self.state &&
                   op->op.ptr == self.op.ptr &&
                   op->generation == self.generation;
          },
          nb::arg().none(),
          nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__hash__", [](const Operation &self) {
        return std::hash<void *>()(self.op.ptr);
      });
}

//===----------------------------------------------------------------------===//
// Module
//===----------------------------------------------------------------------===//

static Operation getOperation(const Module &self) {
  return self.state->alone([&] {
    return Operation{self.state, mlirModuleGetOperation(self.state->module),
                     self.state->generation};
  });
}

static void verify(const Module &self) {
  ModuleState &state = *self.state;
  Messages messages;
  bool isValid = state.alone([&] {
    Collector collector(state.context, messages);
    return mlirOperationVerify(mlirModuleGetOperation(state.module));
  });
  if (!isValid)
    raiseMLIRError(messages, state.source, "the module does not verify");
}

/// Runs a pipeline on a copy, which takes the module's place where it succeeds.
static void runPipeline(const Module &self, const std::string &pipeline) {
  ModuleState &state = *self.state;
  Messages messages;
  bool succeeded = state.alone([&] {
    Collector collector(state.context, messages);
    MlirPassManager manager = mlirPassManagerCreateOnOperation(
        state.context, toRef("builtin.module"));
    MlirOpPassManager passes = mlirPassManagerGetAsOpPassManager(manager);
    size_t begin = pipeline.find_first_not_of(" \t\n");
    bool isAnchored = begin != pipeline.npos &&
                      pipeline.find("builtin.module(", begin) == begin;
    MlirLogicalResult result =
        isAnchored ? mlirParsePassPipeline(passes, toRef(pipeline), append,
                                           &messages.error)
                   : mlirOpPassManagerAddPipeline(passes, toRef(pipeline),
                                                  append, &messages.error);
    if (mlirLogicalResultIsSuccess(result)) {
      MlirOperation copy =
          mlirOperationClone(mlirModuleGetOperation(state.module));
      result = mlirPassManagerRunOnOp(manager, copy);
      if (mlirLogicalResultIsSuccess(result)) {
        mlirModuleDestroy(state.module);
        state.module = mlirModuleFromOperation(copy);
        ++state.generation;
      } else {
        mlirOperationDestroy(copy);
      }
    }
    mlirPassManagerDestroy(manager);
    return mlirLogicalResultIsSuccess(result);
  });
  if (!succeeded)
    raiseMLIRError(messages, state.source,
                   "the pipeline '" + pipeline + "' failed");
}

static nb::bytes writeBytecode(const Module &self) {
  std::string bytes = self.state->alone([&] {
    std::string result;
    mlirOperationWriteBytecode(mlirModuleGetOperation(self.state->module),
                               append, &result);
    return result;
  });
  return nb::bytes(bytes.data(), bytes.size());
}

static Module load(nb::handle path) {
  nb::object name = nb::module_::import_("os").attr("fsdecode")(path);
  nb::object bytes;
  {
    nb::object file = nb::module_::import_("io").attr("open")(name, "rb");
    bytes = file.attr("read")();
    file.attr("close")();
  }
  return parseModule(bytes, nb::cast<std::string>(name));
}

static Module importHFConfig(const std::string &json, const std::string &file,
                             const std::string &dtype) {
  auto state = std::make_shared<ModuleState>();
  state->source.file = file;
  state->source.text = nb::str(json.c_str(), json.size());
  Messages messages;
  state->alone([&] {
    Collector collector(state->context, messages);
    state->module = ropeImportHFConfig(state->context, toRef(json), toRef(file),
                                       toRef(dtype));
  });
  if (mlirModuleIsNull(state->module))
    raiseMLIRError(messages, state->source,
                   "the configuration cannot be imported");
  return {std::move(state)};
}

void rope_python::addModule(nb::module_ &m) {
  addOperation(m);
  nb::class_<Module>(m, "Module",
                     "A module of MLIR operations, with a context of its own.")
      .def_static(
          "parse",
          [](nb::handle source, const std::optional<std::string> &fileName) {
            return parseModule(source, fileName.value_or("-"));
          },
          "source"_a, "filename"_a = nb::none(),
          nb::sig("def parse(source: str | bytes, filename: str | None = "
                  "None) -> Module"),
          "Parses and verifies a module.\n\n"
          "Args:\n"
          "    source: text, or bytecode as `bytecode` writes it. Several "
          "operations without a module around them get one. MLIR's reader of "
          "bytecode does not check all that it reads: take it from those whom "
          "you would take code from.\n"
          "    filename: what locations name; `-` where None.\n\n"
          "Raises:\n"
          "    MLIRError: the text is no module, or an operation in it is not "
          "valid.\n"
          "    TypeError: the source is neither text nor bytes.")
      .def_static("load", &load, "path"_a,
                  nb::sig("def load(path: str | os.PathLike[str]) -> Module"),
                  "Parses and verifies a file.\n\n"
                  "Args:\n"
                  "    path: a file of text or bytecode.\n\n"
                  "Raises:\n"
                  "    MLIRError: the file holds no module, or an operation "
                  "in it is not valid.\n"
                  "    OSError: the file cannot be read.")
      .def("verify", &verify,
           "Checks every operation.\n\n"
           "Raises:\n"
           "    MLIRError: one is not valid; all messages are in "
           "`diagnostics`.")
      .def(
          "print",
          [](const Module &self, bool generic, bool debugInfo) {
            return self.state->alone([&] {
              return print(mlirModuleGetOperation(self.state->module), generic,
                           debugInfo);
            });
          },
          nb::kw_only(), "generic"_a = false, "debug_info"_a = false,
          "The text of the module.\n\n"
          "Args:\n"
          "    generic: print operations in their generic form.\n"
          "    debug_info: print locations.")
      .def("bytecode", &writeBytecode,
           "The module as bytecode, which `parse` reads and `rope-opt` too.")
      .def_prop_ro("operation", &getOperation,
                   "The module as an operation: `module.operation.regions` "
                   "holds its functions.")
      .def(
          "walk",
          [](const Module &self) {
            Operation root = getOperation(self);
            return toIterator(root, root.read([&] { return walk(root.op); }));
          },
          nb::sig("def walk(self) -> collections.abc.Iterator[Operation]"),
          "Iterates over the module's operation and all in it, each before "
          "what it holds.")
      .def("__str__",
           [](const Module &self) {
             return self.state->alone([&] {
               return print(mlirModuleGetOperation(self.state->module),
                            /*generic=*/false, /*debugInfo=*/false);
             });
           })
      .def("_run", &runPipeline, "pipeline"_a,
           "Runs a pipeline: see `rope_mlir.passes.run`.");
  m.def("_import_hf_config", &importHFConfig, "json"_a, "filename"_a, "dtype"_a,
        "See `rope_mlir.import_hf_config`.");
}
