//===- CHeader.cpp - C declarations of lowered functions ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Target/CHeader.h"
#include "Rope/Target/Signature.h"
#include "Rope/Target/Target.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace mlir::rope;
using llvm::Error;
using llvm::Expected;
using llvm::raw_ostream;

namespace {
/// The C spelling of an element or scalar.
struct CType {
  /// Part of the descriptor's name.
  std::string name;
  /// The C type that holds an element.
  std::string c;
};
} // namespace

static CType getCType(Type type) {
  if (type.isIndex())
    return {"i64", "int64_t"};
  if (type.isF64())
    return {"f64", "double"};
  if (type.isF32())
    return {"f32", "float"};
  if (type.isF16())
    return {"f16", "uint16_t"};
  if (type.isBF16())
    return {"bf16", "uint16_t"};
  unsigned width = type.getIntOrFloatBitWidth();
  if (width == 1)
    return {"bool", "uint8_t"};
  std::string bits = std::to_string(width);
  if (type.isUnsignedInteger())
    return {"u" + bits, "uint" + bits + "_t"};
  return {"i" + bits, "int" + bits + "_t"};
}

static std::string getDescriptor(ShapedType type) {
  return "rope_array_" + getCType(type.getElementType()).name + "_" +
         std::to_string(type.getRank());
}

/// The C type of a parameter or a returned value.
static std::string getValueType(Type type) {
  return isArray(type) ? getDescriptor(cast<ShapedType>(type))
                       : getCType(type).c;
}

/// Scalars of 16-bit floats have no C type that every compiler passes alike.
static bool isDeclarable(Type type) {
  return isArray(type) || !isa<Float16Type, BFloat16Type>(type);
}

/// Words of C and C++, macros that GNU compilers define, and types used here.
static constexpr llvm::StringLiteral kReserved =
    "alignas alignof and and_eq asm auto bitand bitor bool break case "
    "catch char char16_t char32_t char8_t class co_await co_return "
    "co_yield compl concept const const_cast consteval constexpr "
    "constinit continue contract_assert decltype default delete do double "
    "dynamic_cast else enum explicit export extern false float for friend "
    "goto if inline int int16_t int32_t int64_t int8_t linux long main "
    "mutable namespace new noexcept not not_eq nullptr operator or or_eq "
    "private protected public register reinterpret_cast requires restrict "
    "return short signed sizeof static static_assert static_cast struct "
    "switch template this thread_local throw true try typedef typeid "
    "typename typeof typeof_unqual uint16_t uint32_t uint64_t uint8_t "
    "union unix unsigned using virtual void volatile wchar_t while xor "
    "xor_eq";

/// Turns a symbol into a C identifier that `used` does not hold.
static std::string getIdentifier(StringRef symbol, llvm::StringSet<> &used) {
  static const llvm::StringSet<> reserved = [] {
    SmallVector<StringRef> words;
    StringRef(kReserved).split(words, ' ');
    llvm::StringSet<> set;
    set.insert_range(words);
    return set;
  }();
  std::string name;
  for (char c : symbol)
    name += llvm::isAlnum(c) ? c : '_';
  // The compiler's own names begin with two underscores, or one and a capital.
  bool isCompilers = name.size() > 1 && name[0] == '_' &&
                     (name[1] == '_' || llvm::isUpper(name[1]));
  if (name.empty() || llvm::isDigit(name.front()) || isCompilers)
    name = "f" + name;
  if (reserved.contains(name))
    name += '_';
  while (!used.insert(name).second)
    name += '_';
  return name;
}

static void writeDescriptor(ShapedType type, bool onDevice, raw_ostream &os) {
  std::string name = getDescriptor(type), guard = StringRef(name).upper();
  std::string element = getCType(type.getElementType()).c;
  int64_t rank = type.getRank();
  os << "\n#ifndef " << guard << "\n#define " << guard << "\ntypedef struct {\n"
     << "  " << element << " *allocated;\n"
     << "  " << element << " *aligned;\n"
     << "  int64_t offset;\n";
  if (rank)
    os << "  int64_t sizes[" << rank << "];\n"
       << "  int64_t strides[" << rank << "];\n";
  os << "} " << name << ";\n\n/* The array of these sizes at data"
     << (onDevice ? ", in the device's memory" : "") << ", rows "
     << "without gaps. */\nstatic inline " << name << " make_" << name << "("
     << "\n    " << element << " *data";
  for (int64_t i = 0; i < rank; ++i)
    os << ", int64_t size" << i;
  os << ") {\n  " << name << " array;\n  array.allocated = data;\n"
     << "  array.aligned = data;\n  array.offset = 0;\n";
  for (int64_t i = 0; i < rank; ++i)
    os << "  array.sizes[" << i << "] = size" << i << ";\n";
  for (int64_t i = rank - 1; i >= 0; --i) {
    os << "  array.strides[" << i << "] = ";
    if (i == rank - 1)
      os << "1;\n";
    else
      os << "array.strides[" << i + 1 << "] * size" << i + 1 << ";\n";
  }
  os << "  return array;\n}\n#endif\n";
}

namespace {
/// Names for the sizes of a function: equal sizes have one name.
class SizeNames {
public:
  SizeNames(const Signature &signature) : signature(signature) {
    for (auto [first, second] : signature.equalDims)
      classes.unionSets(key(first), key(second));
  }

  std::string argument(unsigned index) {
    auto type = cast<ShapedType>(signature.type.getInput(index));
    return shape(
        type, [&](unsigned dim, unsigned) { return ArgumentDim{index, dim}; });
  }

  std::string result(unsigned index) {
    auto type = cast<ShapedType>(signature.type.getResult(index));
    if (!signature.resultDims)
      return shape(type, nullptr);
    return shape(type, [&](unsigned, unsigned nth) {
      return (*signature.resultDims)[index][nth];
    });
  }

  /// What `bound` says, as a condition in C.
  std::string condition(const SizeBound &bound) {
    std::string larger =
        bound.larger ? name(*bound.larger) : std::to_string(bound.limit);
    if (!bound.smaller)
      return larger + " >= " + std::to_string(bound.constant);
    std::string smaller = name(*bound.smaller);
    if (bound.factor != 1)
      smaller = std::to_string(bound.factor) + " * " + smaller;
    if (bound.constant > 0)
      smaller += " + " + std::to_string(bound.constant);
    if (bound.constant < 0)
      smaller += " - " + std::to_string(-uint64_t(bound.constant));
    return smaller + " <= " + larger;
  }

private:
  static std::pair<unsigned, unsigned> key(ArgumentDim dim) {
    return {dim.argument, dim.dim};
  }

  /// `source` tells which dimension of an argument gives the `nth` dynamic
  /// dimension `dim`; null where nothing is known before the call.
  std::string
  shape(ShapedType type,
        llvm::function_ref<ArgumentDim(unsigned, unsigned)> source) {
    std::string text = getCType(type.getElementType()).name + "[";
    unsigned nth = 0;
    for (auto [dim, size] : llvm::enumerate(type.getShape())) {
      if (dim)
        text += ", ";
      if (!ShapedType::isDynamic(size))
        text += std::to_string(size);
      else if (source)
        text += name(source(dim, nth++));
      else
        text += "?";
    }
    return text + "]";
  }

  std::string name(ArgumentDim dim) {
    auto type = cast<ShapedType>(signature.type.getInput(dim.argument));
    if (!type.isDynamicDim(dim.dim))
      return std::to_string(type.getDimSize(dim.dim));
    auto leader = classes.getOrInsertLeaderValue(key(dim));
    unsigned number = names.try_emplace(leader, names.size()).first->second;
    return "n" + std::to_string(number);
  }

  const Signature &signature;
  llvm::EquivalenceClasses<std::pair<unsigned, unsigned>> classes;
  llvm::DenseMap<std::pair<unsigned, unsigned>, unsigned> names;
};
} // namespace

static void writeFunction(const Signature &signature, std::optional<GPUApi> api,
                          llvm::StringSet<> &used, raw_ostream &os) {
  TypeRange inputs = signature.type.getInputs();
  TypeRange results = signature.type.getResults();
  std::string name = getIdentifier(signature.name, used);
  // A line break in a quoted symbol must not end the comment early.
  os << "\n/* " << name;
  if (!llvm::all_of(inputs, isDeclarable) ||
      !llvm::all_of(results, isDeclarable)) {
    os << " takes or returns a scalar 16-bit float and has no declaration.\n"
       << " */\n";
    return;
  }
  if (api && !signature.resultDims && llvm::any_of(results, isArray)) {
    os << " returns arrays whose sizes are not known before the call and has\n"
       << " * no declaration.\n */\n";
    return;
  }
  os << "\n *\n";
  SizeNames sizes(signature);
  SmallVector<std::string> parameters, names;
  auto add = [&](const Twine &type, const Twine &parameter) {
    parameters.push_back((type + parameter).str());
    names.push_back(parameter.str());
  };
  auto describe = [&](StringRef parameter, StringRef direction,
                      StringRef shape) {
    os << " *   " << llvm::left_justify(parameter, 8) << " "
       << llvm::left_justify(direction, 3) << "  " << shape << "\n";
  };
  bool allocates = !signature.resultDims && !results.empty();
  bool returnsScalar =
      allocates && results.size() == 1 && !isArray(results.front());
  std::string returned = "void", structure;
  if (returnsScalar) {
    returned = getValueType(results.front());
  } else if (allocates && results.size() == 1) {
    add(getValueType(results.front()) + " *", "result");
  } else if (allocates) {
    structure = getIdentifier(name + "_results", used);
    add(structure + " *", "results");
  }
  for (auto [index, type] : llvm::enumerate(inputs)) {
    std::string parameter = "arg" + std::to_string(index);
    if (isArray(type)) {
      add("const " + getValueType(type) + " *", parameter);
      describe(parameter, "in", sizes.argument(index));
    } else {
      add(getValueType(type) + " ", parameter);
      describe(parameter, "in", getCType(type).name);
    }
  }
  for (auto [index, type] : llvm::enumerate(results)) {
    std::string parameter = "result" + std::to_string(index);
    if (!allocates)
      add("const " + getValueType(type) + " *", parameter);
    describe(parameter, "out",
             isArray(type) ? sizes.result(index) : getCType(type).name);
  }
  os << " *\n";
  if (allocates && !returnsScalar)
    os << " * Arrays among the results are allocated: free(allocated) each\n"
       << " * distinct one that is no argument's.\n";
  else if (!results.empty() && !allocates)
    os << " * The caller allocates the results and fills in their sizes and\n"
       << " * strides. They must not overlap the arguments or each other. "
          "Large\n"
       << " * ones are written fastest where rows start at multiples of 64 "
          "bytes.\n";
  os << " * Sizes with one name must be equal";
  if (!signature.sizeBounds.empty())
    os << ", and these hold";
  os << "; none is checked.\n";
  llvm::StringSet<> conditions;
  for (const SizeBound &bound : signature.sizeBounds)
    if (std::string text = sizes.condition(bound);
        conditions.insert(text).second)
      os << " *   " << text << "\n";
  os << " */\n";

  if (!structure.empty()) {
    os << "typedef struct {\n";
    for (auto [index, type] : llvm::enumerate(results))
      os << "  " << getValueType(type) << " result" << index << ";\n";
    os << "} " << structure << ";\n";
  }
  auto join = [](ArrayRef<std::string> parameters) {
    return parameters.empty() ? "void" : llvm::join(parameters, ",\n    ");
  };
  std::string symbol = "_mlir_ciface_" + name;
  std::string call = symbol + "(" + llvm::join(names, ", ") + ");\n";
  os << returned << " " << symbol << "(\n    " << join(parameters) << ")";
  if (symbol != signature.getSymbol()) {
    os << " __asm__(\"";
    os.write_escaped(signature.getSymbol(), /*UseHexEscapes=*/false);
    os << "\")";
  }
  os << ";\n";
  if (!api) {
    os << "static inline " << returned << " " << name << "(\n    "
       << join(parameters) << ") {\n  " << (returnsScalar ? "return " : "")
       << call << "}\n";
    return;
  }
  parameters.insert(parameters.begin(), "void *stream");
  if (returnsScalar)
    parameters.insert(parameters.begin() + 1, returned + " *result");
  os << "static inline const char *" << name << "(\n    " << join(parameters)
     << ") {\n  rope_gpu_begin(" << static_cast<int>(*api) << ", stream);\n  "
     << (returnsScalar ? "*result = " : "") << call
     << "  return rope_gpu_end();\n}\n";
}

/// What the header says of functions that work on a GPU.
static StringRef getGPUComment(GPUApi api) {
  switch (api) {
  case GPUApi::cuda:
    return R"( * Functions work on an NVIDIA GPU: that of the thread's current context, or else
 * the first one. A function
 *   - takes arrays in the device's memory: `data` of make_rope_array_..() is an
 *     address there, as cudaMalloc, cuMemAlloc or rope_gpu_malloc return, while
 *     the descriptor is in the host's memory;
 *   - queues its work on `stream`, a cudaStream_t or CUstream, null being the
 *     default one, and returns before it is done. The stream may be recording a
 *     graph. The first call loads the driver and the kernels.
)";
  case GPUApi::rocm:
    return R"( * Functions work on an AMD GPU, the thread's current device. A function
 *   - takes arrays in the device's memory: `data` of make_rope_array_..() is an
 *     address there, as hipMalloc or rope_gpu_malloc return, while the
 *     descriptor is in the host's memory;
 *   - queues its work on `stream`, a hipStream_t, null being the default one,
 *     and returns before it is done. The stream may be recording a graph, once
 *     the function has been called before: the first call loads the driver and
 *     the kernels.
)";
  case GPUApi::vulkan:
    return R"( * Functions work on a Vulkan device: the first that is no processor, or the one
 * that the environment variable ROPE_VULKAN_DEVICE numbers. A function
 *   - takes arrays in memory that rope_gpu_malloc returns: `data` of
 *     make_rope_array_..() is an address there, or behind it. A program may also
 *     read and write it by itself while nothing is queued;
 *   - queues its work and returns before it is done. `stream` is null. The first
 *     call loads the driver and the kernels.
)";
  }
  return "";
}

static void writeGPURuntime(GPUApi api, raw_ostream &os) {
  os << "\n/*\n"
     << getGPUComment(api)
     << R"( * It returns null, or a sentence with what is wrong, which stays valid until the
 * thread's next call. What goes wrong on the device later is returned by a later
 * call, such as rope_gpu_synchronize.
 *
 * Addresses are multiples of an element's size. Where they are multiples of 16
 * bytes, as are strides, functions are faster.
 *
 * A shared library made by rope-compile defines the functions below; an object
 * file needs librope-runtime.a, and -ldl -pthread. Rope/Runtime/GPURuntime.h
 * documents them. `api` is )"
     << static_cast<int>(api) << R"(.
 */
void rope_gpu_begin(int64_t api, void *stream);
const char *rope_gpu_end(void);
const char *rope_gpu_open(int64_t api);
const char *rope_gpu_device(int64_t api);
const char *rope_gpu_chip(int64_t api);
const char *rope_gpu_malloc(int64_t api, int64_t bytes, void **memory);
const char *rope_gpu_release(int64_t api, void *memory);
const char *rope_gpu_write(int64_t api, void *memory, const void *data,
                           int64_t bytes);
const char *rope_gpu_read(int64_t api, void *data, const void *memory,
                          int64_t bytes);
const char *rope_gpu_synchronize(int64_t api);
)";
}

Error rope::writeCHeader(ModuleOp module, StringRef name, raw_ostream &os) {
  SmallVector<Signature> signatures;
  for (StringRef function : getInterfaceFunctions(module)) {
    Expected<Signature> signature = getSignature(module, function);
    if (!signature)
      return signature.takeError();
    signatures.push_back(std::move(*signature));
  }

  std::optional<GPUApi> api = getGPUApi(module);
  bool hasLoops = usesRuntime(module);
  llvm::StringSet<> used;
  if (api)
    for (StringRef name :
         {"rope_gpu_begin", "rope_gpu_end", "rope_gpu_open", "rope_gpu_device",
          "rope_gpu_chip", "rope_gpu_malloc", "rope_gpu_release",
          "rope_gpu_write", "rope_gpu_read", "rope_gpu_synchronize"})
      used.insert(name);
  if (hasLoops)
    for (StringRef name : {"rope_parallel_for", "rope_set_parallel_for",
                           "rope_set_num_threads", "rope_get_num_threads"})
      used.insert(name);
  std::string guard = "ROPE_HEADER_" + getIdentifier(name.upper(), used);
  os << "/* " << name << ": C interface of functions made by rope-compile.\n"
     << R"( *
 * An array is passed as a pointer to its descriptor. Element (i, j, ..) is
 *   aligned[offset + i * strides[0] + j * strides[1] + ..]
 * Sizes, strides and the offset count elements. The last stride must be 1, the
 * others are free; make_rope_array_..() fills in a descriptor without gaps.
 * `allocated` is what free() takes, where anything is to be freed. Elements of
 * f16 and bf16 are the raw 16 bits in a uint16_t, of bool 0 or 1 in a uint8_t.
 * Functions keep no state: several threads may call them at once.
 */
)" << "#ifndef "
     << guard << "\n#define " << guard << R"(

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
)";
  llvm::StringSet<> written;
  for (const Signature &signature : signatures)
    for (TypeRange types : {TypeRange(signature.type.getInputs()),
                            TypeRange(signature.type.getResults())})
      for (Type type : types)
        if (isArray(type) &&
            written.insert(getDescriptor(cast<ShapedType>(type))).second) {
          writeDescriptor(cast<ShapedType>(type), api.has_value(), os);
          used.insert(getDescriptor(cast<ShapedType>(type)));
          used.insert("make_" + getDescriptor(cast<ShapedType>(type)));
        }
  if (api)
    writeGPURuntime(*api, os);
  if (hasLoops)
    os << R"(
/*
 * Loops run on threads, by rope_parallel_for. A shared library made by
 * rope-compile defines these functions; an object file needs librope-runtime.a
 * and the system's threads (-pthread), or a rope_parallel_for of your own.
 * Rope/Runtime/Runtime.h documents them. The number of threads is that of
 * rope_set_num_threads, the environment variable ROPE_NUM_THREADS, or that of
 * the processors the program may use.
 */
void rope_parallel_for(void (*body)(void *context, int64_t task,
                                    void *workspace),
                       void *context, int64_t tasks, int64_t workspace_bytes);
void rope_set_parallel_for(void (*run)(void (*body)(void *context, int64_t task,
                                                    void *workspace),
                                       void *context, int64_t tasks,
                                       int64_t workspace_bytes));
void rope_set_num_threads(int64_t threads);
int64_t rope_get_num_threads(void);
)";
  for (const Signature &signature : signatures)
    writeFunction(signature, api, used, os);
  os << R"(
#ifdef __cplusplus
}
#endif

#endif
)";
  return Error::success();
}
