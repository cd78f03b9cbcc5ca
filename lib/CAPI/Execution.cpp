//===- Execution.cpp - functions compiled in memory, from C ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "rope-c/Execution.h"
#include "Errors.h"
#include "Rope/Execution/Executable.h"
#include "Rope/Execution/FunctionCode.h"
#include "Rope/Runtime/Runtime.h"
#include "mlir/CAPI/IR.h"
#include "mlir/CAPI/Support.h"
#include <list>

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

static_assert(static_cast<int>(ElementKind::boolean) == ROPE_BOOL &&
              static_cast<int>(ElementKind::i64) == ROPE_I64 &&
              static_cast<int>(ElementKind::u8) == ROPE_U8 &&
              static_cast<int>(ElementKind::f16) == ROPE_F16 &&
              static_cast<int>(ElementKind::f64) == ROPE_F64 &&
              numElementKinds == ROPE_F64 + 1);
static_assert(ROPE_DYNAMIC == ShapedType::kDynamic);

static bool isElementType(RopeElementType type) {
  return type >= ROPE_BOOL && type <= ROPE_F64;
}

intptr_t ropeElementTypeGetBytes(RopeElementType type) {
  return isElementType(type) ? getElementBytes(static_cast<ElementKind>(type))
                             : 0;
}

void ropeSetNumThreads(int64_t threads) { rope_set_num_threads(threads); }

int64_t ropeGetNumThreads() { return rope_get_num_threads(); }

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

namespace {
/// What a RopeFunction points at.
struct CompiledFunction {
  std::unique_ptr<Executable> executable;
  std::string signature;
  bool isFromCache;
  /// Of arguments, then of results.
  std::vector<RopeParameter> parameters;
};
} // namespace

static CompiledFunction *unwrap(RopeFunction function) {
  return static_cast<CompiledFunction *>(function.ptr);
}

static FunctionType getType(const CompiledFunction &function) {
  return function.executable->getSignature().type;
}

RopeCompileOptions ropeCompileOptionsGetDefault() {
  RopeCompileOptions options = {};
  options.optLevel = 3;
  return options;
}

static RopeParameter describe(Type type) {
  auto shaped = dyn_cast<ShapedType>(type);
  RopeParameter parameter;
  // A function with another type is not compiled.
  parameter.type = static_cast<RopeElementType>(
      *getElementKind(shaped ? shaped.getElementType() : type));
  parameter.rank = shaped ? static_cast<int32_t>(shaped.getRank()) : 0;
  parameter.isWritten = isa<MemRefType>(type);
  // Types live as long as the function.
  parameter.sizes = shaped ? shaped.getShape().data() : nullptr;
  return parameter;
}

/// The processor to compile for, which must be this machine's or less.
static Expected<TargetInfo> getTarget(const RopeCompileOptions &options) {
  if (options.optLevel < 0 || options.optLevel > 3)
    return createStringError("unknown level of optimization " +
                             Twine(options.optLevel) + ": expected 0 to 3");
  StringRef cpu = unwrap(options.targetCPU);
  Expected<TargetInfo> target = resolveTarget("", cpu.empty() ? "host" : cpu,
                                              unwrap(options.targetFeatures));
  if (target)
    if (Error error = checkRunsOnHost(*target))
      return std::move(error);
  return target;
}

static Expected<std::unique_ptr<CompiledFunction>>
compile(ModuleOp module, StringRef name, const TargetInfo &target,
        const RopeCompileOptions &options) {
  FunctionCodeOptions codeOptions;
  codeOptions.optLevel = options.optLevel;
  codeOptions.optimize = options.optimize;
  codeOptions.singleThreaded = options.singleThreaded;
  codeOptions.cacheDirectory = unwrap(options.cacheDirectory).str();
  Expected<CachedFunctionCode> code =
      compileFunction(module, name, target, codeOptions);
  if (!code)
    return code.takeError();
  Expected<std::unique_ptr<Executable>> executable =
      Executable::load(code->code);
  if (!executable)
    return executable.takeError();
  auto function = std::make_unique<CompiledFunction>();
  function->executable = std::move(*executable);
  function->signature = function->executable->getSignature().str();
  function->isFromCache = code->isFromCache;
  FunctionType type = getType(*function);
  for (TypeRange types :
       {TypeRange(type.getInputs()), TypeRange(type.getResults())})
    for (Type parameter : types)
      function->parameters.push_back(describe(parameter));
  return std::move(function);
}

RopeFunction ropeFunctionCompile(MlirModule module, MlirStringRef name,
                                 const RopeCompileOptions *options) {
  if (mlirModuleIsNull(module)) {
    reportNull("ropeFunctionCompile", "module");
    return {nullptr};
  }
  RopeCompileOptions defaults = ropeCompileOptionsGetDefault();
  if (!options)
    options = &defaults;
  Expected<std::string> found =
      findFunction(unwrap(module), unwrap(name), "the module", "a name");
  if (!found) {
    reportError(found.takeError(), ROPE_ERROR_NAME);
    return {nullptr};
  }
  Expected<TargetInfo> target = getTarget(*options);
  if (!target) {
    reportError(target.takeError());
    return {nullptr};
  }
  Expected<std::unique_ptr<CompiledFunction>> function =
      compile(unwrap(module), *found, *target, *options);
  if (!function) {
    reportError(function.takeError(), ROPE_ERROR_MODULE);
    return {nullptr};
  }
  return {function->release()};
}

void ropeFunctionDestroy(RopeFunction function) { delete unwrap(function); }

//===----------------------------------------------------------------------===//
// Signatures
//===----------------------------------------------------------------------===//

/// Reports a null function.
static bool isMissing(RopeFunction function, const char *caller) {
  if (function.ptr)
    return false;
  reportNull(caller, "function");
  return true;
}

MlirStringRef ropeFunctionGetSignature(RopeFunction function) {
  if (isMissing(function, "ropeFunctionGetSignature"))
    return wrap(StringRef());
  return wrap(StringRef(unwrap(function)->signature));
}

bool ropeFunctionIsFromCache(RopeFunction function) {
  return !isMissing(function, "ropeFunctionIsFromCache") &&
         unwrap(function)->isFromCache;
}

intptr_t ropeFunctionGetNumArguments(RopeFunction function) {
  if (isMissing(function, "ropeFunctionGetNumArguments"))
    return 0;
  return getType(*unwrap(function)).getNumInputs();
}

intptr_t ropeFunctionGetNumResults(RopeFunction function) {
  if (isMissing(function, "ropeFunctionGetNumResults"))
    return 0;
  return getType(*unwrap(function)).getNumResults();
}

static bool isInRange(intptr_t index, intptr_t size, const char *caller) {
  if (index >= 0 && index < size)
    return true;
  reportError(Twine(caller) + ": expected an index below " + Twine(size) +
              ", but got " + Twine(index));
  return false;
}

RopeParameter ropeFunctionGetArgument(RopeFunction function, intptr_t index) {
  const char *caller = "ropeFunctionGetArgument";
  if (isMissing(function, caller) ||
      !isInRange(index, getType(*unwrap(function)).getNumInputs(), caller))
    return {ROPE_F32, -1, false, nullptr};
  return unwrap(function)->parameters[index];
}

RopeParameter ropeFunctionGetResult(RopeFunction function, intptr_t index) {
  const char *caller = "ropeFunctionGetResult";
  if (isMissing(function, caller) ||
      !isInRange(index, getType(*unwrap(function)).getNumResults(), caller))
    return {ROPE_F32, -1, false, nullptr};
  return unwrap(function)
      ->parameters[getType(*unwrap(function)).getNumInputs() + index];
}

bool ropeFunctionHasKnownSizes(RopeFunction function) {
  return !isMissing(function, "ropeFunctionHasKnownSizes") &&
         unwrap(function)->executable->hasKnownSizes();
}

//===----------------------------------------------------------------------===//
// Calling
//===----------------------------------------------------------------------===//

namespace {
/// Arrays of the caller as the library takes them. What it points at lives as
/// long as it does.
class Views {
public:
  Error add(intptr_t size, const RopeArray *arrays, const char *kind) {
    if (size < 0 || (size && !arrays))
      return createStringError("expected arrays, but got a null pointer for " +
                               Twine(size) + " " + kind + "s");
    for (intptr_t index = 0; index < size; ++index)
      if (Error error = add(arrays[index]))
        return createStringError(Twine(kind) + " " + Twine(index) + ": " +
                                 llvm::toString(std::move(error)));
    return Error::success();
  }
  operator ArrayRef<ArrayView>() const { return views; }

private:
  Error add(const RopeArray &array) {
    if (!isElementType(array.type))
      return createStringError("unknown element type " +
                               Twine(static_cast<int>(array.type)));
    if (array.rank < 0 || (array.rank && !array.sizes))
      return createStringError("expected sizes of an array of rank " +
                               Twine(array.rank));
    ArrayView &view = views.emplace_back();
    view.data = static_cast<char *>(array.data);
    view.kind = static_cast<ElementKind>(array.type);
    view.sizes = ArrayRef(array.sizes, array.rank);
    if (array.strides || !array.rank)
      view.strides = ArrayRef(array.strides, array.rank);
    else
      view.strides = computed.emplace_back(getContiguousStrides(view.sizes));
    return Error::success();
  }

  SmallVector<ArrayView, 8> views;
  /// Kept in a list, so that they stay where they are.
  std::list<SmallVector<int64_t>> computed;
};
} // namespace

static MlirLogicalResult toResult(Error error) {
  if (!error)
    return mlirLogicalResultSuccess();
  reportError(std::move(error));
  return mlirLogicalResultFailure();
}

MlirLogicalResult ropeFunctionGetResultSizes(RopeFunction function,
                                             intptr_t numArguments,
                                             const RopeArray *arguments,
                                             intptr_t index, int64_t *sizes) {
  const char *caller = "ropeFunctionGetResultSizes";
  if (isMissing(function, caller) ||
      !isInRange(index, getType(*unwrap(function)).getNumResults(), caller))
    return mlirLogicalResultFailure();
  const Executable &executable = *unwrap(function)->executable;
  if (!executable.hasKnownSizes())
    return toResult(createStringError(
        "the sizes of the results are not known before the call"));
  Views views;
  if (Error error = views.add(numArguments, arguments, "argument"))
    return toResult(std::move(error));
  if (Error error = executable.checkArguments(views))
    return toResult(std::move(error));
  SmallVector<int64_t> found = executable.getResultSizes(views, index);
  if (!found.empty() && !sizes) {
    reportNull(caller, "sizes");
    return mlirLogicalResultFailure();
  }
  llvm::copy(found, sizes);
  return mlirLogicalResultSuccess();
}

MlirLogicalResult ropeFunctionCall(RopeFunction function, intptr_t numArguments,
                                   const RopeArray *arguments,
                                   intptr_t numResults,
                                   const RopeArray *results) {
  if (isMissing(function, "ropeFunctionCall"))
    return mlirLogicalResultFailure();
  Views argumentViews, resultViews;
  if (Error error = argumentViews.add(numArguments, arguments, "argument"))
    return toResult(std::move(error));
  if (Error error = resultViews.add(numResults, results, "result"))
    return toResult(std::move(error));
  return toResult(
      unwrap(function)->executable->call(argumentViews, resultViews));
}

static SmallVector<Array> *unwrap(RopeResults results) {
  return static_cast<SmallVector<Array> *>(results.ptr);
}

RopeResults ropeFunctionCallAndAllocate(RopeFunction function,
                                        intptr_t numArguments,
                                        const RopeArray *arguments) {
  if (isMissing(function, "ropeFunctionCallAndAllocate"))
    return {nullptr};
  Views views;
  if (Error error = views.add(numArguments, arguments, "argument")) {
    reportError(std::move(error));
    return {nullptr};
  }
  Expected<SmallVector<Array>> results =
      unwrap(function)->executable->callAndAllocate(views);
  if (!results) {
    reportError(results.takeError());
    return {nullptr};
  }
  return {new SmallVector<Array>(std::move(*results))};
}

RopeArray ropeResultsGet(RopeResults results, intptr_t index) {
  if (ropeResultsIsNull(results))
    reportNull("ropeResultsGet", "results");
  else if (isInRange(index, static_cast<intptr_t>(unwrap(results)->size()),
                     "ropeResultsGet")) {
    ArrayView view = (*unwrap(results))[index].view();
    return {view.data, static_cast<RopeElementType>(view.kind),
            static_cast<int32_t>(view.sizes.size()), view.sizes.data(),
            view.strides.data()};
  }
  return {nullptr, ROPE_F32, -1, nullptr, nullptr};
}

void ropeResultsDestroy(RopeResults results) { delete unwrap(results); }
