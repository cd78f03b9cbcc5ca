//===- Function.cpp - compiled functions ----------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Function.h"
#include "Arrays.h"
#include "Module.h"
#include "nanobind/stl/optional.h"
#include "nanobind/stl/string.h"
#include "nanobind/stl/vector.h"
#include "rope-c/Execution.h"

namespace nb = nanobind;
using namespace nb::literals;
using namespace rope_python;

namespace {
class Function {
public:
  explicit Function(RopeFunction handle);
  ~Function() { ropeFunctionDestroy(handle); }
  Function(const Function &) = delete;
  Function &operator=(const Function &) = delete;

  nb::object call(PyObject *arguments, PyObject *out) const;

  RopeFunction handle;
  std::string signature;
  std::vector<RopeParameter> arguments, results;
  bool hasKnownSizes;

  [[noreturn]] void refuse(PyObject *type, const std::string &text) const {
    raise(type, text + "\n  " + signature);
  }
  [[noreturn]] void refuseCall(const std::string &text,
                               const std::vector<RopeArray> &values) const;

private:
  nb::object allocate(const Arrays &arrays,
                      const std::vector<RopeArray> &values) const;
};
} // namespace

Function::Function(RopeFunction handle)
    : handle(handle), signature(toString(ropeFunctionGetSignature(handle))),
      hasKnownSizes(ropeFunctionHasKnownSizes(handle)) {
  for (intptr_t i = 0, e = ropeFunctionGetNumArguments(handle); i < e; ++i)
    arguments.push_back(ropeFunctionGetArgument(handle, i));
  for (intptr_t i = 0, e = ropeFunctionGetNumResults(handle); i < e; ++i)
    results.push_back(ropeFunctionGetResult(handle, i));
}

/// Whether an array's elements are what a parameter asks for; a type without
/// sign takes either kind.
static bool fits(RopeElementType type, RopeElementType expected) {
  return type == expected || (expected >= ROPE_I8 && expected <= ROPE_I64 &&
                              type == expected + (ROPE_U8 - ROPE_I8));
}

void Function::refuseCall(const std::string &text,
                          const std::vector<RopeArray> &values) const {
  // The library checks everything; the class of the error depends on what.
  bool isTypeError = false;
  for (size_t i = 0; i < values.size(); ++i)
    isTypeError |=
        !fits(values[i].type, i < arguments.size()
                                  ? arguments[i].type
                                  : results[i - arguments.size()].type);
  refuse(isTypeError ? PyExc_TypeError : PyExc_ValueError, text);
}

/// Calls `add`, and names the array of which it complains.
template <typename Add>
static RopeArray name(const Function &function, const char *kind, size_t index,
                      Add &&add) {
  try {
    return add();
  } catch (Refusal &refusal) {
    function.refuse(refusal.type,
                    kind + (" " + std::to_string(index)) + ": " + refusal.text);
  }
}

/// Calls a function of the C interface, and raises its error.
template <typename Body>
static void attempt(const Function &function,
                    const std::vector<RopeArray> &values, Body &&body) {
  ErrorScope error;
  if (mlirLogicalResultIsFailure(body()))
    function.refuseCall(error.text, values);
}

/// Results in memory that the library has allocated.
nb::object Function::allocate(const Arrays &arrays,
                              const std::vector<RopeArray> &values) const {
  RopeResults made = {nullptr};
  attempt(*this, values, [&] {
    nb::gil_scoped_release release;
    made = ropeFunctionCallAndAllocate(
        handle, static_cast<intptr_t>(values.size()), values.data());
    return ropeResultsIsNull(made) ? mlirLogicalResultFailure()
                                   : mlirLogicalResultSuccess();
  });
  nb::capsule owner(made.ptr,
                    [](void *data) noexcept { ropeResultsDestroy({data}); });
  nb::list list;
  for (size_t i = 0; i < results.size(); ++i)
    list.append(toArray(arrays.getMaker(),
                        ropeResultsGet(made, static_cast<intptr_t>(i)), owner));
  if (results.size() == 1)
    return list[0];
  return results.empty() ? nb::none() : nb::object(nb::tuple(list));
}

nb::object Function::call(PyObject *given, PyObject *out) const {
  auto numArguments = static_cast<size_t>(PyTuple_GET_SIZE(given));
  auto signedArguments = static_cast<intptr_t>(numArguments);
  if (numArguments != arguments.size())
    refuse(PyExc_TypeError, "expected " + std::to_string(arguments.size()) +
                                " arguments, but got " +
                                std::to_string(numArguments));
  Arrays arrays;
  std::vector<RopeArray> values;
  values.reserve(numArguments + results.size());
  for (size_t i = 0; i < numArguments; ++i)
    values.push_back(name(*this, "argument", i, [&] {
      return arrays.addArgument(PyTuple_GET_ITEM(given, i), arguments[i]);
    }));
  if (!hasKnownSizes) {
    if (out)
      refuse(PyExc_TypeError,
             "the function allocates its results, so it takes no out=");
    return allocate(arrays, values);
  }

  nb::object made;
  if (out) {
    bool isOne = !PyTuple_Check(out) && !PyList_Check(out);
    // Others may change a list while it is used.
    made = isOne ? nb::borrow(out) : nb::steal(PySequence_Tuple(out));
    size_t numOutputs = isOne ? 1 : PyTuple_GET_SIZE(made.ptr());
    if (numOutputs != results.size())
      refuse(PyExc_TypeError,
             "expected out= to be " + std::to_string(results.size()) +
                 " arrays, but got " + std::to_string(numOutputs));
    for (size_t i = 0; i < numOutputs; ++i)
      values.push_back(name(*this, "result", i, [&] {
        return arrays.addOutput(isOne ? out : PyTuple_GET_ITEM(made.ptr(), i));
      }));
  } else if (results.empty()) {
    made = nb::none();
  } else {
    bool isOne = results.size() == 1;
    if (!isOne)
      made = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(results.size())));
    for (size_t i = 0; i < results.size(); ++i) {
      const RopeParameter &result = results[i];
      int64_t *sizes = arrays.take(result.rank);
      attempt(*this, values, [&] {
        return ropeFunctionGetResultSizes(handle, signedArguments,
                                          values.data(),
                                          static_cast<intptr_t>(i), sizes);
      });
      nb::object array;
      values.push_back(name(*this, "result", i, [&] {
        return arrays.addResult(arrays.getMaker(), result.type, result.rank,
                                sizes, array);
      }));
      if (isOne)
        made = std::move(array);
      else
        PyTuple_SET_ITEM(made.ptr(), i, array.release().ptr());
    }
  }
  attempt(*this, values, [&] {
    nb::gil_scoped_release release;
    return ropeFunctionCall(handle, signedArguments, values.data(),
                            static_cast<intptr_t>(results.size()),
                            values.data() + numArguments);
  });
  return out ? nb::borrow(out) : made;
}

/// Function.__call__, as a slot of the type: nothing is converted on the way.
static PyObject *callFunction(PyObject *self, PyObject *arguments,
                              PyObject *keywords) {
  try {
    if (!nb::inst_ready(self))
      raise(PyExc_TypeError, "the function is not initialized");
    const Function &function = *nb::inst_ptr<Function>(self);
    // Whoever calls may drop it meanwhile.
    nb::object kept = nb::borrow(self);
    PyObject *out = nullptr, *key = nullptr, *value = nullptr;
    Py_ssize_t position = 0;
    while (keywords && PyDict_Next(keywords, &position, &key, &value)) {
      if (PyUnicode_CompareWithASCIIString(key, "out") != 0)
        function.refuse(PyExc_TypeError,
                        "expected no keyword but 'out', but got '" +
                            std::string(nb::str(nb::handle(key)).c_str()) +
                            "'");
      out = value == Py_None ? nullptr : value;
    }
    return function.call(arguments, out).release().ptr();
  } catch (nb::python_error &error) {
    error.restore();
  } catch (const std::bad_alloc &) {
    PyErr_NoMemory();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

static nb::object compile(nb::handle source, const std::string &fileName,
                          const std::string &name, bool optimize,
                          const std::string &targetCPU,
                          const std::string &targetFeatures,
                          bool singleThreaded, int32_t optLevel,
                          const std::string &cacheDirectory) {
  Module module = nb::isinstance<Module>(source)
                      ? nb::cast<Module>(source)
                      : parseModule(source, fileName);
  RopeCompileOptions options = ropeCompileOptionsGetDefault();
  options.targetCPU = toRef(targetCPU);
  options.targetFeatures = toRef(targetFeatures);
  options.cacheDirectory = toRef(cacheDirectory);
  options.optimize = optimize;
  options.singleThreaded = singleThreaded;
  options.optLevel = optLevel;
  ModuleState &state = *module.state;
  Messages messages;
  RopeFunction function = state.alone([&] {
    Collector collector(state.context, messages);
    return ropeFunctionCompile(state.module, toRef(name), &options);
  });
  if (ropeFunctionIsNull(function) && messages.kind == ROPE_ERROR_NAME)
    raise(getErrorType("FunctionNotFoundError"), messages.error);
  if (ropeFunctionIsNull(function) && messages.diagnostics.empty() &&
      messages.kind == ROPE_ERROR_ARGUMENT)
    raise(PyExc_ValueError, messages.error);
  if (ropeFunctionIsNull(function))
    raiseMLIRError(messages, state.source, "the function cannot be compiled");
  return nb::cast(new Function(function), nb::rv_policy::take_ownership);
}

/// As in `float32[?, 8]`.
static std::vector<std::string>
describe(const std::vector<RopeParameter> &parameters) {
  std::vector<std::string> texts;
  for (const RopeParameter &parameter : parameters) {
    std::string sizes;
    for (int32_t i = 0; i < parameter.rank; ++i)
      sizes += (i ? ", " : "") + (parameter.sizes[i] == ROPE_DYNAMIC
                                      ? "?"
                                      : std::to_string(parameter.sizes[i]));
    texts.push_back(getName(parameter.type) +
                    (parameter.rank ? "[" + sizes + "]" : ""));
  }
  return texts;
}

void rope_python::addFunction(nb::module_ &m) {
  static const PyType_Slot slots[] = {
      {Py_tp_call, reinterpret_cast<void *>(callFunction)}, {0, nullptr}};
  nb::class_<Function>(
      m, "Function", nb::type_slots(slots),
      "A compiled function, which is called with arrays: see "
      "`rope_mlir.compile`.\n\n"
      "It may be called by any number of threads at once, and lets other "
      "threads of Python run meanwhile.")
      .def_prop_ro(
          "name",
          [](const Function &self) {
            return self.signature.substr(0, self.signature.find(": ("));
          },
          "Its name in the module.")
      .def_ro("signature", &Function::signature,
              "Name and type, printed as MLIR.")
      .def_prop_ro(
          "argument_types",
          [](const Function &self) { return describe(self.arguments); },
          "Element type and sizes of each argument, as in `float32[?, 8]`, "
          "`?` being any size and `float32` a number or an array of rank 0.")
      .def_prop_ro(
          "result_types",
          [](const Function &self) { return describe(self.results); },
          "Element type and sizes of each result.")
      .def_prop_ro(
          "from_cache",
          [](const Function &self) {
            return ropeFunctionIsFromCache(self.handle);
          },
          "Whether the code comes from the cache.")
      .def("__repr__", [](const Function &self) {
        return "<Function " + self.signature + ">";
      });
  m.def(
      "set_num_threads",
      [](int64_t threads) {
        if (threads < 0)
          raise(PyExc_ValueError,
                "expected a number of threads of 0 or more, but got " +
                    std::to_string(threads));
        ropeSetNumThreads(threads);
      },
      "threads"_a,
      "Sets how many threads later calls of compiled functions run on, the "
      "calling one included; 0 for the default.\n\n"
      "Raises:\n"
      "    ValueError: the number is negative.");
  m.def("get_num_threads", &ropeGetNumThreads,
        "How many threads the next call runs on, the calling one included.");
  m.def("_compile", &compile, "source"_a, "filename"_a, "function"_a,
        "optimize"_a, "target_cpu"_a, "target_features"_a, "single_threaded"_a,
        "opt_level"_a, "cache_directory"_a,
        nb::sig("def _compile(source: Module | str | bytes, filename: str, "
                "function: str, optimize: bool, target_cpu: str, "
                "target_features: str, single_threaded: bool, opt_level: int, "
                "cache_directory: str) -> Function"),
        "See `rope_mlir.compile`.");
}
