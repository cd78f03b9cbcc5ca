//===- Executable.cpp - functions compiled in memory ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/Executable.h"
#include "Rope/Runtime/GPURuntime.h"
#include "Rope/Runtime/Runtime.h"
#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "llvm/Support/DynamicLibrary.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

Executable::~Executable() = default;

/// What compiled code calls of libRope.so.
static const std::pair<StringRef, void *> runtimeFunctions[] = {
    {runtimeSymbol, reinterpret_cast<void *>(&rope_parallel_for)},
    {"rope_gpu_launch", reinterpret_cast<void *>(&rope_gpu_launch)},
    {"rope_gpu_constant", reinterpret_cast<void *>(&rope_gpu_constant)},
    {"rope_gpu_alloc", reinterpret_cast<void *>(&rope_gpu_alloc)},
    {"rope_gpu_free", reinterpret_cast<void *>(&rope_gpu_free)},
    {"rope_gpu_check_address",
     reinterpret_cast<void *>(&rope_gpu_check_address)},
    {"rope_gpu_upload", reinterpret_cast<void *>(&rope_gpu_upload)},
    {"rope_gpu_fail", reinterpret_cast<void *>(&rope_gpu_fail)},
};

Expected<std::unique_ptr<Executable>>
Executable::create(ModuleOp module, StringRef function,
                   const TargetInfo &target, unsigned optLevel) {
  std::unique_ptr<Executable> executable(new Executable);
  Expected<Signature> signature = rope::getSignature(module, function);
  if (!signature)
    return signature.takeError();
  executable->signature = std::move(*signature);
  executable->api = getGPUApi(module);
  if (executable->api && !executable->signature.resultDims &&
      llvm::any_of(executable->signature.type.getResults(), isArray))
    return createStringError(
        "function '" + function +
        "' returns arrays whose sizes are not known before the call, which one "
        "that works on a GPU cannot");
  if (Error error = checkRunsOnHost(target))
    return std::move(error);

  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(target, optLevel, /*inMemory=*/true);
  std::string symbol = executable->signature.getSymbol();
  llvm::sys::DynamicLibrary::LoadLibraryPermanently(nullptr);
  std::string missing;
  SmallVector<std::pair<StringRef, void *>> called;
  auto translate = [&](Operation *op, llvm::LLVMContext &context) {
    return translateModule(op, context, *machine);
  };
  // The engine ends the program where this fails, so it does not.
  auto optimize = [&](llvm::Module *llvmModule) {
    // The engine's own wrapper, which takes an array of pointers, alone is
    // called.
    llvm::internalizeModule(*llvmModule, [&](const llvm::GlobalValue &value) {
      return value.getName() == "_mlir_" + symbol;
    });
    optimizeModule(*llvmModule, *machine, optLevel);
    for (llvm::Function &callee : *llvmModule) {
      if (!callee.isDeclaration() || callee.isIntrinsic() || callee.use_empty())
        continue;
      const auto *known = llvm::find_if(runtimeFunctions, [&](auto &function) {
        return function.first == callee.getName();
      });
      if (known != std::end(runtimeFunctions))
        called.push_back(*known);
      else if (!llvm::sys::DynamicLibrary::SearchForAddressOfSymbol(
                   callee.getName().str()))
        missing = callee.getName();
    }
    return Error::success();
  };
  ExecutionEngineOptions options;
  options.llvmModuleBuilder = translate;
  options.transformer = optimize;
  options.jitCodeGenOptLevel = machine->getOptLevel();
  auto engine = ExecutionEngine::create(
      module, options, createTargetMachine(target, optLevel, true));
  if (!engine)
    return engine.takeError();
  if (!missing.empty())
    return createStringError("function '" + function + "' uses '" + missing +
                             "', which neither the module nor a loaded "
                             "library defines");
  executable->engine = std::move(*engine);
  // Whatever else the process has loaded, this is the runtime that is meant.
  if (!called.empty())
    executable->engine->registerSymbols(
        [&](llvm::orc::MangleAndInterner mangle) {
          llvm::orc::SymbolMap symbols;
          for (auto &[name, address] : called)
            symbols[mangle(name)] = {llvm::orc::ExecutorAddr::fromPtr(address),
                                     llvm::JITSymbolFlags::Exported |
                                         llvm::JITSymbolFlags::Callable};
          return symbols;
        });
  auto entry = executable->engine->lookupPacked(symbol);
  if (!entry)
    return entry.takeError();
  executable->entry = *entry;
  executable->engine->initialize();
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
  SmallVector<SmallVector<int64_t>> descriptors;
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

static SmallVector<int64_t> makeDescriptor(const Array &array, void *data) {
  auto address = static_cast<int64_t>(reinterpret_cast<intptr_t>(data));
  SmallVector<int64_t> words = {address, address, 0};
  ArrayRef<int64_t> shape = array.getShape();
  words.append(shape.begin(), shape.end());
  SmallVector<int64_t> strides(shape.size(), 1);
  for (size_t dim = shape.size(); dim-- > 1;)
    strides[dim - 1] = strides[dim] * std::max<int64_t>(shape[dim], 1);
  words.append(strides);
  return words;
}

/// Checks that rows without gaps are what a memref's layout says.
static Error checkLayout(Type type, ArrayRef<int64_t> descriptor) {
  auto memref = dyn_cast<MemRefType>(type);
  if (!memref)
    return Error::success();
  SmallVector<int64_t> strides;
  int64_t offset;
  (void)memref.getStridesAndOffset(strides, offset);
  bool fits = ShapedType::isDynamic(offset) || offset == 0;
  for (auto [fixed, given, size] :
       llvm::zip(strides, descriptor.take_back(strides.size()),
                 descriptor.slice(3, strides.size())))
    fits &= ShapedType::isDynamic(fixed) || fixed == given || size <= 1;
  if (fits)
    return Error::success();
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return createStringError("expected the strides of " + text +
                           ", but arrays are passed with rows without gaps");
}

static Error inArgument(size_t index, Error error) {
  return createStringError("argument " + Twine(index) + ": " +
                           llvm::toString(std::move(error)));
}

Expected<std::unique_ptr<Executable::Frame>>
Executable::prepare(MutableArrayRef<Array> arguments) {
  FunctionType type = signature.type;
  if (arguments.size() != type.getNumInputs())
    return createStringError("expected " + Twine(type.getNumInputs()) +
                             " arguments, but got " + Twine(arguments.size()));
  for (auto [index, argument] : llvm::enumerate(arguments))
    if (Error error = checkFits(type.getInput(index), argument.getElementType(),
                                argument.getShape(), "the array"))
      return inArgument(index, std::move(error));
  auto size = [&](ArgumentDim dim) {
    return arguments[dim.argument].getShape()[dim.dim];
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

  auto frame = std::make_unique<Frame>();
  if (signature.resultDims)
    for (auto [index, result] : llvm::enumerate(type.getResults())) {
      auto shaped = cast<ShapedType>(result);
      SmallVector<int64_t> shape(shaped.getShape());
      const ArgumentDim *source = (*signature.resultDims)[index].begin();
      for (int64_t &extent : shape)
        if (ShapedType::isDynamic(extent))
          extent = size(*source++);
      Expected<Array> array = Array::allocate(shaped.getElementType(), shape);
      if (!array)
        return createStringError("result " + Twine(index) + ": " +
                                 llvm::toString(array.takeError()));
      frame->results.push_back(std::move(*array));
    }

  // Where the function finds the elements.
  auto place = [&](Array &array, bool isPassed) -> Expected<void *> {
    if (!api || !isPassed)
      return array.data();
    Expected<DeviceMemory> memory = DeviceMemory::allocate(
        *api, static_cast<int64_t>(array.bytes().size()));
    if (!memory)
      return memory.takeError();
    frame->memory.push_back(std::move(*memory));
    return frame->memory.back().get();
  };
  // Descriptors first, so that their addresses stay.
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    Expected<void *> data = place(argument, isArray(type.getInput(index)));
    if (!data)
      return inArgument(index, data.takeError());
    frame->descriptors.push_back(makeDescriptor(argument, *data));
    if (Error error =
            checkLayout(type.getInput(index), frame->descriptors.back()))
      return inArgument(index, std::move(error));
  }
  for (auto [index, result] : llvm::enumerate(frame->results)) {
    Expected<void *> data = place(result, /*isPassed=*/true);
    if (!data)
      return createStringError("result " + Twine(index) + ": " +
                               llvm::toString(data.takeError()));
    frame->descriptors.push_back(makeDescriptor(result, *data));
  }
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
                                : argument.data());
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
                                          ArrayRef<Array> arguments) {
  constexpr uintptr_t constantMark = 0xdeadbeef;
  const char *base = reinterpret_cast<const char *>(frame.returned.data());
  SmallVector<char *> owned;
  for (auto [index, type] : llvm::enumerate(signature.type.getResults())) {
    if (!isArray(type))
      continue;
    char *allocated = nullptr;
    memcpy(static_cast<void *>(&allocated), base + frame.returnedOffsets[index],
           8);
    bool isArgument = llvm::any_of(arguments, [&](const Array &argument) {
      return argument.data() == allocated;
    });
    if (!isArgument && reinterpret_cast<uintptr_t>(allocated) != constantMark &&
        !llvm::is_contained(owned, allocated))
      owned.push_back(allocated);
  }
  return owned;
}

Expected<SmallVector<Array>> Executable::copyReturned(const Frame &frame) {
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
      return createStringError("result " + Twine(index) + ": " +
                               llvm::toString(array.takeError()));
    if (isArray(type))
      copyStrided(data + offset * array->getElementBytes(), strides, *array);
    else
      memcpy(array->data(), value, array->getElementBytes());
    results.push_back(std::move(*array));
  }
  return std::move(results);
}

Expected<SmallVector<Array>>
Executable::takeReturned(Frame &frame, ArrayRef<Array> arguments) {
  Expected<SmallVector<Array>> results = copyReturned(frame);
  llvm::for_each(findOwned(frame, arguments), std::free);
  return results;
}

static Error asError(const char *error) {
  return error ? createStringError(Twine(error)) : Error::success();
}

Error Executable::copyToDevice(Frame &frame, ArrayRef<Array> arguments) {
  if (!api)
    return Error::success();
  auto memory = frame.memory.begin();
  for (auto [index, argument] : llvm::enumerate(arguments))
    if (isArray(signature.type.getInput(index)))
      if (Error error = asError(rope_gpu_write(
              static_cast<int64_t>(*api), memory++->get(), argument.data(),
              static_cast<int64_t>(argument.bytes().size()))))
        return inArgument(index, std::move(error));
  return Error::success();
}

Error Executable::copyFromDevice(Frame &frame,
                                 MutableArrayRef<Array> arguments) {
  if (!api)
    return Error::success();
  // What is queued is done first, so that its errors are not those of copies.
  if (Error error = asError(rope_gpu_synchronize(static_cast<int64_t>(*api))))
    return error;
  auto memory = frame.memory.begin();
  auto copy = [&](Array &array) {
    return asError(rope_gpu_read(static_cast<int64_t>(*api), array.data(),
                                 memory++->get(),
                                 static_cast<int64_t>(array.bytes().size())));
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
    if (Error error = copy(result))
      return createStringError("result " + Twine(index) + ": " +
                               llvm::toString(std::move(error)));
  return Error::success();
}

Error Executable::invokeOnce(Frame &frame) {
  if (api)
    rope_gpu_begin(static_cast<int64_t>(*api), nullptr);
  invoke(entry, frame.packed);
  return asError(api ? rope_gpu_end() : nullptr);
}

Expected<SmallVector<Array>>
Executable::call(MutableArrayRef<Array> arguments) {
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
    MutableArrayRef<Array> arguments,
    llvm::function_ref<Error(Repeat again, int64_t bytes)> use) {
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
    if (isArray(signature.type.getInput(index)))
      bytes += static_cast<int64_t>(argument.bytes().size());
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
