//===- Executable.cpp - functions compiled in memory ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/Executable.h"
#include "Rope/Runtime/GPURuntime.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h"
#include "llvm/ExecutionEngine/Orc/SelfExecutorProcessControl.h"

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

/// What an argument or a result is.
struct Executable::Parameter {
  explicit Parameter(Type type) : type(type), isArray(rope::isArray(type)) {
    Type element = type;
    if (auto shaped = dyn_cast<ShapedType>(type)) {
      element = shaped.getElementType();
      sizes.assign(shaped.getShape().begin(), shaped.getShape().end());
    }
    for (int32_t kind = 0; kind < numElementKinds; ++kind)
      if (fits(element, static_cast<ElementKind>(kind)))
        kinds |= 1u << kind;
    if (auto memref = dyn_cast<MemRefType>(type)) {
      // A view starts at its first element.
      int64_t offset;
      (void)memref.getStridesAndOffset(strides, offset);
      needsOffset = !ShapedType::isDynamic(offset) && offset != 0;
    }
  }

  bool takes(ElementKind kind) const {
    return kinds >> static_cast<uint32_t>(kind) & 1;
  }

  Type type;
  uint32_t kinds = 0;
  bool isArray;
  bool needsOffset = false;
  SmallVector<int64_t> sizes;
  /// Of a memref, by its layout.
  SmallVector<int64_t> strides;
};

Executable::~Executable() = default;

/// A session that links object files into this process.
struct Executable::Memory {
  explicit Memory(std::unique_ptr<llvm::orc::ExecutorProcessControl> process)
      : session(std::move(process)),
        layer(session, session.getExecutorProcessControl().getMemMgr()) {
    // Errors are returned as well.
    session.setErrorReporter(
        [](Error error) { llvm::consumeError(std::move(error)); });
  }
  ~Memory() { llvm::consumeError(session.endSession()); }

  llvm::orc::ExecutionSession session;
  llvm::orc::ObjectLinkingLayer layer;
};

/// Puts the code into memory and finds its entry.
Error Executable::link(const FunctionCode &code) {
  auto process = llvm::orc::SelfExecutorProcessControl::Create();
  if (!process)
    return process.takeError();
  memory = std::make_unique<Memory>(std::move(*process));
  llvm::orc::ExecutionSession &session = memory->session;
  llvm::orc::JITDylib &library = session.createBareJITDylib(code.name);
  // Whatever else the process has loaded, this is the runtime that is meant.
  llvm::orc::SymbolMap symbols;
  for (auto &[name, address] : getRuntimeFunctions())
    symbols[session.intern(name)] = {llvm::orc::ExecutorAddr::fromPtr(address),
                                     llvm::JITSymbolFlags::Exported |
                                         llvm::JITSymbolFlags::Callable};
  if (Error error =
          library.define(llvm::orc::absoluteSymbols(std::move(symbols))))
    return error;
  auto others = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      /*GlobalPrefix=*/'\0');
  if (!others)
    return others.takeError();
  library.addGenerator(std::move(*others));
  if (Error error = memory->layer.add(
          library,
          llvm::MemoryBuffer::getMemBufferCopy(code.object, code.name)))
    return error;
  auto address = session.lookup({&library}, getEntryName(code.name));
  if (!address)
    return address.takeError();
  entry = address->getAddress().toPtr<void (*)(void **)>();

  for (TypeRange types :
       {signature.type.getInputs(), signature.type.getResults()})
    for (Type type : types)
      parameters.emplace_back(type);
  return Error::success();
}

Expected<std::unique_ptr<Executable>>
Executable::create(ModuleOp module, StringRef function,
                   const TargetInfo &target, unsigned optLevel) {
  Expected<FunctionCode> code =
      compileFunction(module, function, target, optLevel);
  if (!code)
    return code.takeError();
  return load(*code);
}

Expected<std::unique_ptr<Executable>>
Executable::load(const FunctionCode &code) {
  std::unique_ptr<Executable> executable(new Executable);
  executable->context =
      std::make_unique<MLIRContext>(MLIRContext::Threading::DISABLED);
  executable->context->loadDialect<LLVM::LLVMDialect>();
  // What is wrong with it is nothing that a reader could mend.
  ScopedDiagnosticHandler ignore(executable->context.get(),
                                 [](Diagnostic &) { return success(); });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(
      code.declaration, ParserConfig(executable->context.get()));
  if (!module)
    return createStringError("the declaration of function '" + code.name +
                             "' is not valid");
  Expected<Signature> signature = rope::getSignature(*module, code.name);
  if (!signature)
    return signature.takeError();
  executable->signature = std::move(*signature);
  executable->api = getGPUApi(*module);
  if (executable->api && !executable->signature.resultDims &&
      llvm::any_of(executable->signature.type.getResults(), isArray))
    return createStringError(
        "function '" + code.name +
        "' returns arrays whose sizes are not known before the call, which one "
        "that works on a GPU cannot");
  if (Error error = executable->link(code))
    return std::move(error);
  return executable;
}

//===----------------------------------------------------------------------===//
// Calling
//===----------------------------------------------------------------------===//

namespace {
/// Memory of a device.
class DeviceMemory {
public:
  static Expected<DeviceMemory> allocate(GPUApi api, int64_t bytes) {
    DeviceMemory memory(api);
    if (const char *error =
            rope_gpu_malloc(memory.number(), bytes, &memory.address))
      return createStringError(Twine(error));
    return std::move(memory);
  }
  DeviceMemory(DeviceMemory &&other)
      : api(other.api), address(std::exchange(other.address, nullptr)) {}
  DeviceMemory &operator=(DeviceMemory &&) = delete;
  ~DeviceMemory() { rope_gpu_release(number(), address); }

  void *get() const { return address; }

private:
  explicit DeviceMemory(GPUApi api) : api(api) {}
  int64_t number() const { return static_cast<int64_t>(api); }

  GPUApi api;
  void *address = nullptr;
};
} // namespace

static_assert(static_cast<int>(GPUApi::cuda) == ROPE_GPU_CUDA &&
              static_cast<int>(GPUApi::rocm) == ROPE_GPU_ROCM &&
              static_cast<int>(GPUApi::vulkan) == ROPE_GPU_VULKAN);

/// What one call needs in memory.
struct Executable::Frame {
  /// On a GPU: the memory of array arguments, then of results.
  std::vector<DeviceMemory> memory;
  /// Results that the caller allocates.
  SmallVector<Array> results;
  /// Strided descriptors of arguments, then of results: the two pointers, the
  /// offset, the sizes, the strides.
  std::vector<SmallVector<int64_t>> descriptors;
  /// What is returned, as a C structure, and where each result lies in it.
  std::vector<int64_t> returned;
  SmallVector<size_t> returnedOffsets;
  void *returnedPointer = nullptr;
  /// Addresses of the descriptors, then the addresses of all values.
  SmallVector<void *> pointers;
  SmallVector<void *> packed;
};

/// A sanitizer would look for the function's type in front of its code, where
/// code that was made at run time has nothing.
LLVM_NO_SANITIZE("function")
static void invoke(void (*entry)(void **), MutableArrayRef<void *> packed) {
  entry(packed.data());
}

/// Writes a strided descriptor: two pointers, offset, sizes, strides.
static void addDescriptor(const ArrayView &array, void *data,
                          SmallVectorImpl<int64_t> &words) {
  auto address = static_cast<int64_t>(reinterpret_cast<intptr_t>(data));
  words.append({address, address, 0});
  words.append(array.sizes.begin(), array.sizes.end());
  words.append(array.strides.begin(), array.strides.end());
  // One channel follows nothing.
  if (!array.sizes.empty() && array.sizes.back() <= 1)
    words.back() = 1;
}

static Error inArgument(size_t index, Error error) {
  return createStringError("argument " + Twine(index) + ": " +
                           llvm::toString(std::move(error)));
}

static Error inResult(size_t index, Error error) {
  return createStringError("result " + Twine(index) + ": " +
                           llvm::toString(std::move(error)));
}

static std::string describe(const ArrayView &array) {
  std::string text;
  for (int64_t size : array.sizes)
    text += std::to_string(size) + "x";
  return text + stringify(array.kind).str();
}

static std::string str(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Checks one array against its parameter.
static Error checkShape(Type type, ArrayRef<int64_t> sizes, bool takesKind,
                        const ArrayView &array) {
  std::string reason;
  if (!takesKind) {
    reason = "the element type is " + stringify(array.kind).str();
  } else if (array.sizes.size() != sizes.size()) {
    reason = "the rank is " + std::to_string(array.sizes.size()) + ", not " +
             std::to_string(sizes.size());
  } else {
    for (auto [dim, size] : llvm::enumerate(sizes))
      if (array.sizes[dim] < 0 ||
          (!ShapedType::isDynamic(size) && size != array.sizes[dim])) {
        reason =
            "dimension " + std::to_string(dim) + " is " +
            std::to_string(array.sizes[dim]) +
            (ShapedType::isDynamic(size) ? ""
                                         : ", not " + std::to_string(size));
        break;
      }
  }
  if (reason.empty())
    return Error::success();
  return createStringError("expected " + str(type) + ", but got " +
                           describe(array) + ": " + reason);
}

static bool isEmpty(const ArrayView &array) {
  return llvm::is_contained(array.sizes, 0);
}

/// Of an array without gaps.
static int64_t getNumBytes(const ArrayView &array) {
  int64_t bytes = getElementBytes(array.kind);
  for (int64_t size : array.sizes)
    bytes *= size;
  return bytes;
}

/// Checks where the elements lie.
static Error checkMemory(const ArrayView &array) {
  if (isEmpty(array))
    return Error::success();
  if (!array.data)
    return createStringError("expected memory of " + describe(array) +
                             ", but got a null pointer");
  unsigned bytes = getElementBytes(array.kind);
  if (reinterpret_cast<uintptr_t>(array.data) % bytes != 0)
    return createStringError("expected memory aligned to elements of " +
                             Twine(bytes) + " bytes");
  if (!array.sizes.empty() && array.sizes.back() > 1 &&
      array.strides.back() != 1)
    return createStringError(
        "expected the elements of the last dimension to follow each other, but "
        "their stride is " +
        Twine(array.strides.back()) + ": pass a contiguous copy");
  return Error::success();
}

/// Checks strides that the layout of a memref fixes.
static Error checkLayout(Type type, ArrayRef<int64_t> fixed, bool needsOffset,
                         const ArrayView &array) {
  bool fits = !needsOffset;
  for (auto [stride, given, size] :
       llvm::zip(fixed, array.strides, array.sizes))
    fits &= ShapedType::isDynamic(stride) || stride == given || size <= 1;
  if (fits)
    return Error::success();
  std::string given;
  llvm::raw_string_ostream os(given);
  llvm::interleaveComma(array.strides, os);
  return createStringError("expected the strides of " + str(type) +
                           ", but got [" + given + "]");
}

Error Executable::checkArguments(ArrayRef<ArrayView> arguments) const {
  unsigned numArguments = signature.type.getNumInputs();
  if (arguments.size() != numArguments)
    return createStringError("expected " + Twine(numArguments) +
                             " arguments, but got " + Twine(arguments.size()));
  for (unsigned index = 0; index < numArguments; ++index) {
    const Parameter &parameter = parameters[index];
    const ArrayView &argument = arguments[index];
    if (Error error = checkShape(parameter.type, parameter.sizes,
                                 parameter.takes(argument.kind), argument))
      return inArgument(index, std::move(error));
    if (Error error = checkMemory(argument))
      return inArgument(index, std::move(error));
    if (Error error = checkLayout(parameter.type, parameter.strides,
                                  parameter.needsOffset, argument))
      return inArgument(index, std::move(error));
  }
  auto size = [&](ArgumentDim dim) {
    return arguments[dim.argument].sizes[dim.dim];
  };
  for (auto [first, second] : signature.equalDims)
    if (size(first) != size(second))
      return createStringError(
          "dimension " + Twine(second.dim) + " of argument " +
          Twine(second.argument) + " is " + Twine(size(second)) +
          ", but dimension " + Twine(first.dim) + " of argument " +
          Twine(first.argument) + " is " + Twine(size(first)) +
          ": expected one size");
  for (const SizeBound &bound : signature.sizeBounds) {
    // Sizes of arrays that are there: no product of them overflows much.
    __int128 needed = bound.constant;
    if (bound.smaller)
      needed += static_cast<__int128>(bound.factor) * size(*bound.smaller);
    int64_t limit = bound.larger ? size(*bound.larger) : bound.limit;
    if (needed <= limit)
      continue;
    auto describe = [](ArgumentDim dim) {
      return ("dimension " + Twine(dim.dim) + " of argument " +
              Twine(dim.argument))
          .str();
    };
    std::string message;
    llvm::raw_string_ostream os(message);
    os << "expected at most " << limit;
    if (bound.larger)
      os << ", " << describe(*bound.larger);
    os << ", but got ";
    if (bound.smaller)
      os << bound.factor << " times " << describe(*bound.smaller)
         << ", which is " << size(*bound.smaller) << ", plus ";
    os << bound.constant;
    return createStringError(message);
  }
  return Error::success();
}

bool Executable::hasKnownSizes() const {
  return !api && (signature.resultDims || !signature.type.getNumResults());
}

SmallVector<int64_t> Executable::getResultSizes(ArrayRef<ArrayView> arguments,
                                                unsigned index) const {
  SmallVector<int64_t> sizes(
      parameters[signature.type.getNumInputs() + index].sizes);
  const ArgumentDim *source = (*signature.resultDims)[index].begin();
  for (int64_t &size : sizes)
    if (ShapedType::isDynamic(size)) {
      size = arguments[source->argument].sizes[source->dim];
      ++source;
    }
  return sizes;
}

/// The bytes between the first and the last element, none of them where there
/// are no elements.
static std::pair<uintptr_t, uintptr_t> getExtent(const ArrayView &array) {
  auto begin = reinterpret_cast<uintptr_t>(array.data), end = begin;
  if (isEmpty(array))
    return {begin, end};
  unsigned bytes = getElementBytes(array.kind);
  for (auto [size, stride] : llvm::zip(array.sizes, array.strides))
    (stride < 0 ? begin : end) +=
        static_cast<uintptr_t>(size - 1) * stride * bytes;
  return {begin, end + bytes};
}

/// Whether no two indices have the same element: each stride spans all that
/// smaller ones reach.
static bool hasOwnElements(const ArrayView &array) {
  if (isEmpty(array))
    return true;
  SmallVector<std::pair<int64_t, int64_t>> dims;
  for (auto [size, stride] : llvm::zip(array.sizes, array.strides))
    if (size > 1)
      dims.emplace_back(std::abs(stride), size);
  llvm::sort(dims);
  int64_t span = 1;
  for (auto [stride, size] : dims) {
    if (stride < span)
      return false;
    span += (size - 1) * stride;
  }
  return true;
}

/// Checks that each element is written once and that nothing else is.
static Error checkWritten(unsigned index, ArrayRef<ArrayView> arguments,
                          ArrayRef<ArrayView> results) {
  const ArrayView &result = results[index];
  if (!hasOwnElements(result))
    return createStringError("expected an element for each index, but several "
                             "may share one, by the strides");
  auto [begin, end] = getExtent(result);
  auto overlaps = [&, begin = begin, end = end](const ArrayView &other) {
    auto [otherBegin, otherEnd] = getExtent(other);
    return begin < otherEnd && otherBegin < end;
  };
  for (auto [number, argument] : llvm::enumerate(arguments))
    if (overlaps(argument))
      return createStringError("expected memory of its own, but it shares some "
                               "with argument " +
                               Twine(number));
  for (unsigned number = 0; number < index; ++number)
    if (overlaps(results[number]))
      return createStringError("expected memory of its own, but it shares some "
                               "with result " +
                               Twine(number));
  return Error::success();
}

Error Executable::call(ArrayRef<ArrayView> arguments,
                       ArrayRef<ArrayView> results) const {
  if (!hasKnownSizes())
    return createStringError("the function allocates its results");
  if (Error error = checkArguments(arguments))
    return error;
  unsigned numArguments = arguments.size();
  unsigned numResults = signature.type.getNumResults();
  if (results.size() != numResults)
    return createStringError("expected " + Twine(numResults) +
                             " results, but got " + Twine(results.size()));
  for (unsigned index = 0; index < numResults; ++index) {
    const Parameter &parameter = parameters[numArguments + index];
    const ArrayView &result = results[index];
    if (Error error =
            checkShape(parameter.type, getResultSizes(arguments, index),
                       parameter.takes(result.kind), result))
      return inResult(index, std::move(error));
    if (Error error = checkMemory(result))
      return inResult(index, std::move(error));
    if (Error error = checkWritten(index, arguments, results))
      return inResult(index, std::move(error));
  }

  // Addresses are taken when no more is added.
  SmallVector<int64_t, 128> words;
  SmallVector<size_t, 16> starts;
  SmallVector<void *, 16> pointers, packed;
  auto add = [&](const ArrayView &array) {
    starts.push_back(words.size());
    addDescriptor(array, array.data, words);
  };
  llvm::for_each(arguments, add);
  llvm::for_each(results, add);
  for (size_t start : starts)
    pointers.push_back(&words[start]);
  for (unsigned index = 0; index < pointers.size(); ++index)
    packed.push_back(parameters[index].isArray
                         ? static_cast<void *>(&pointers[index])
                         : arguments[index].data);
  invoke(entry, packed);
  return Error::success();
}

Expected<std::unique_ptr<Executable::Frame>>
Executable::prepare(ArrayRef<ArrayView> arguments) const {
  FunctionType type = signature.type;
  if (Error error = checkArguments(arguments))
    return std::move(error);

  auto frame = std::make_unique<Frame>();
  if (signature.resultDims)
    for (auto [index, result] : llvm::enumerate(type.getResults())) {
      Expected<Array> array =
          Array::allocate(cast<ShapedType>(result).getElementType(),
                          getResultSizes(arguments, index));
      if (!array)
        return inResult(index, array.takeError());
      frame->results.push_back(std::move(*array));
    }

  // Descriptors first, so that their addresses stay.
  auto add = [&](const ArrayView &array, bool isPassed) -> Error {
    void *data = array.data;
    if (api && isPassed) {
      if (array.strides != ArrayRef(getContiguousStrides(array.sizes)))
        return createStringError("expected rows without gaps, as a GPU is "
                                 "copied to");
      Expected<DeviceMemory> memory =
          DeviceMemory::allocate(*api, getNumBytes(array));
      if (!memory)
        return memory.takeError();
      frame->memory.push_back(std::move(*memory));
      data = frame->memory.back().get();
    }
    addDescriptor(array, data, frame->descriptors.emplace_back());
    return Error::success();
  };
  for (auto [index, argument] : llvm::enumerate(arguments))
    if (Error error = add(argument, parameters[index].isArray))
      return inArgument(index, std::move(error));
  for (auto [index, result] : llvm::enumerate(frame->results))
    if (Error error = add(result.view(), /*isPassed=*/true))
      return inResult(index, std::move(error));
  for (auto &descriptor : frame->descriptors)
    frame->pointers.push_back(descriptor.data());

  // The structure of all results that a function without `c_result_dims`
  // returns through a first pointer; one scalar alone is returned as it is.
  bool returns = !signature.resultDims && type.getNumResults();
  bool returnsScalar =
      returns && type.getNumResults() == 1 && !isArray(type.getResult(0));
  size_t end = 0;
  if (returns)
    for (Type result : type.getResults()) {
      size_t bytes = 0, alignment = 8;
      if (isArray(result))
        bytes = (3 + 2 * cast<ShapedType>(result).getRank()) * 8;
      else
        bytes = alignment = getElementBytes(result).value_or(8);
      end = llvm::alignTo(end, alignment);
      frame->returnedOffsets.push_back(end);
      end += bytes;
    }
  frame->returned.assign(llvm::divideCeil(end, 8), 0);
  frame->returnedPointer = frame->returned.data();
  if (returns && !returnsScalar)
    frame->packed.push_back(static_cast<void *>(&frame->returnedPointer));
  for (auto [index, argument] : llvm::enumerate(arguments))
    frame->packed.push_back(isArray(type.getInput(index))
                                ? static_cast<void *>(&frame->pointers[index])
                                : argument.data);
  for (size_t index = 0; index < frame->results.size(); ++index)
    frame->packed.push_back(
        static_cast<void *>(&frame->pointers[arguments.size() + index]));
  if (returnsScalar)
    frame->packed.push_back(frame->returnedPointer);
  return frame;
}

/// Copies the elements that a descriptor points at.
static void copyStrided(const char *from, ArrayRef<int64_t> strides,
                        Array &to) {
  ArrayRef<int64_t> shape = to.getShape();
  int64_t bytes = to.getElementBytes();
  SmallVector<int64_t> index(shape.size(), 0);
  for (int64_t i = 0, e = to.getNumElements(); i < e; ++i) {
    int64_t source = 0;
    for (auto [position, stride] : llvm::zip(index, strides))
      source += position * stride;
    memcpy(to.data() + i * bytes, from + source * bytes, bytes);
    for (size_t dim = shape.size(); dim-- > 0;) {
      if (++index[dim] < shape[dim])
        break;
      index[dim] = 0;
    }
  }
}

/// The allocations behind returned arrays. They may share memory with each
/// other and with arguments, and constants carry a mark in place of an
/// allocation: each block is freed once, or never.
SmallVector<char *> Executable::findOwned(const Frame &frame,
                                          ArrayRef<ArrayView> arguments) const {
  constexpr uintptr_t constantMark = 0xdeadbeef;
  const char *base = reinterpret_cast<const char *>(frame.returned.data());
  SmallVector<char *> owned;
  for (auto [index, type] : llvm::enumerate(signature.type.getResults())) {
    if (!isArray(type))
      continue;
    char *allocated = nullptr;
    memcpy(static_cast<void *>(&allocated), base + frame.returnedOffsets[index],
           8);
    bool isArgument = llvm::any_of(arguments, [&](const ArrayView &argument) {
      return argument.data == allocated;
    });
    if (!isArgument && reinterpret_cast<uintptr_t>(allocated) != constantMark &&
        !llvm::is_contained(owned, allocated))
      owned.push_back(allocated);
  }
  return owned;
}

Expected<SmallVector<Array>>
Executable::copyReturned(const Frame &frame) const {
  const char *base = reinterpret_cast<const char *>(frame.returned.data());
  SmallVector<Array> results;
  for (auto [index, type] : llvm::enumerate(signature.type.getResults())) {
    const char *value = base + frame.returnedOffsets[index];
    char *data = nullptr;
    SmallVector<int64_t> words;
    ArrayRef<int64_t> sizes, strides;
    int64_t offset = 0;
    Type element = type;
    if (isArray(type)) {
      auto shaped = cast<ShapedType>(type);
      element = shaped.getElementType();
      memcpy(static_cast<void *>(&data), value + 8, 8);
      words.resize(1 + 2 * shaped.getRank());
      memcpy(words.data(), value + 16, words.size() * 8);
      offset = words.front();
      sizes = ArrayRef(words).slice(1, shaped.getRank());
      strides = ArrayRef(words).take_back(shaped.getRank());
    }
    Expected<Array> array = Array::allocate(element, sizes);
    if (!array)
      return inResult(index, array.takeError());
    if (isArray(type))
      copyStrided(data + offset * array->getElementBytes(), strides, *array);
    else
      memcpy(array->data(), value, array->getElementBytes());
    results.push_back(std::move(*array));
  }
  return std::move(results);
}

Expected<SmallVector<Array>>
Executable::takeReturned(Frame &frame, ArrayRef<ArrayView> arguments) const {
  Expected<SmallVector<Array>> results = copyReturned(frame);
  llvm::for_each(findOwned(frame, arguments), std::free);
  return results;
}

static Error asError(const char *error) {
  return error ? createStringError(Twine(error)) : Error::success();
}

Error Executable::copyToDevice(Frame &frame,
                               ArrayRef<ArrayView> arguments) const {
  if (!api)
    return Error::success();
  auto memory = frame.memory.begin();
  for (auto [index, argument] : llvm::enumerate(arguments))
    if (parameters[index].isArray)
      if (Error error = asError(rope_gpu_write(static_cast<int64_t>(*api),
                                               memory++->get(), argument.data,
                                               getNumBytes(argument))))
        return inArgument(index, std::move(error));
  return Error::success();
}

Error Executable::copyFromDevice(Frame &frame,
                                 ArrayRef<ArrayView> arguments) const {
  if (!api)
    return Error::success();
  // What is queued is done first, so that its errors are not those of copies.
  if (Error error = asError(rope_gpu_synchronize(static_cast<int64_t>(*api))))
    return error;
  auto memory = frame.memory.begin();
  auto copy = [&](const ArrayView &array) {
    return asError(rope_gpu_read(static_cast<int64_t>(*api), array.data,
                                 memory++->get(), getNumBytes(array)));
  };
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    Type type = signature.type.getInput(index);
    if (isa<MemRefType>(type)) {
      if (Error error = copy(argument))
        return inArgument(index, std::move(error));
    } else if (isArray(type)) {
      ++memory;
    }
  }
  for (auto [index, result] : llvm::enumerate(frame.results))
    if (Error error = copy(result.view()))
      return inResult(index, std::move(error));
  return Error::success();
}

Error Executable::invokeOnce(Frame &frame) const {
  if (api)
    rope_gpu_begin(static_cast<int64_t>(*api), nullptr);
  invoke(entry, frame.packed);
  return asError(api ? rope_gpu_end() : nullptr);
}

Expected<SmallVector<Array>>
Executable::callAndAllocate(ArrayRef<ArrayView> arguments) const {
  Expected<std::unique_ptr<Frame>> frame = prepare(arguments);
  if (!frame)
    return frame.takeError();
  if (Error error = copyToDevice(**frame, arguments))
    return std::move(error);
  if (Error error = invokeOnce(**frame))
    return std::move(error);
  if (Error error = copyFromDevice(**frame, arguments))
    return std::move(error);
  if (signature.resultDims)
    return std::move((*frame)->results);
  return takeReturned(**frame, arguments);
}

Error Executable::repeat(
    ArrayRef<ArrayView> arguments,
    llvm::function_ref<Error(Repeat again, int64_t bytes)> use) const {
  Expected<std::unique_ptr<Frame>> frame = prepare(arguments);
  if (!frame)
    return frame.takeError();
  if (Error error = copyToDevice(**frame, arguments))
    return error;
  auto synchronize = [&] {
    return asError(api ? rope_gpu_synchronize(static_cast<int64_t>(*api))
                       : nullptr);
  };
  if (Error error = invokeOnce(**frame))
    return error;
  if (Error error = synchronize())
    return error;
  int64_t bytes = 0;
  for (auto [index, argument] : llvm::enumerate(arguments))
    if (parameters[index].isArray)
      bytes += getNumBytes(argument);
  bool returns = !signature.resultDims && signature.type.getNumResults();
  auto addResults = [&](ArrayRef<Array> results) {
    for (auto [result, type] : llvm::zip(results, signature.type.getResults()))
      if (isArray(type))
        bytes += static_cast<int64_t>(result.bytes().size());
  };
  if (returns) {
    Expected<SmallVector<Array>> results = takeReturned(**frame, arguments);
    if (!results)
      return results.takeError();
    addResults(*results);
  } else {
    addResults((*frame)->results);
  }

  auto again = [&](int64_t times) -> Error {
    if (!api && !returns) {
      for (int64_t i = 0; i < times; ++i)
        invoke(entry, (*frame)->packed);
      return Error::success();
    }
    for (int64_t i = 0; i < times; ++i) {
      if (Error error = invokeOnce(**frame))
        return error;
      if (returns)
        llvm::for_each(findOwned(**frame, arguments), std::free);
    }
    return synchronize();
  };
  return use(again, bytes);
}
