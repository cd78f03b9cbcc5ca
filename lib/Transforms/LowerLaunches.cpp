//===- LowerLaunches.cpp - launches to calls of the runtime ---------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Runtime/GPURuntime.h"
#include "Rope/Transforms/GPUTarget.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/FunctionCallUtils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVAttributes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::rope {
#define GEN_PASS_DEF_LOWERLAUNCHES
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Bytes from one element in memory to the next; nothing for what has none.
static std::optional<int64_t> getElementBytes(Type type) {
  if (type.isIndex())
    return sizeof(int64_t);
  if (!type.isIntOrFloat() || type.getIntOrFloatBitWidth() > 64)
    return std::nullopt;
  return llvm::PowerOf2Ceil(
      llvm::divideCeil(std::max(type.getIntOrFloatBitWidth(), 1u), 8));
}

/// The memref that `memref` is, seen as elements of a type that kernels have.
static Value lookThroughCasts(Value memref) {
  auto cast = memref.getDefiningOp<UnrealizedConversionCastOp>();
  if (cast && cast.getInputs().size() == 1 &&
      isa<MemRefType>(cast.getInputs()[0].getType()))
    return cast.getInputs()[0];
  return memref;
}

/// The value of whose memory `memref` is a part.
static Value findBase(Value memref) {
  while (true) {
    Operation *op = memref.getDefiningOp();
    if (auto view = dyn_cast_or_null<ViewLikeOpInterface>(op)) {
      memref = view.getViewSource();
    } else if (Value source = lookThroughCasts(memref); source != memref) {
      memref = source;
    } else if (auto select = dyn_cast_or_null<arith::SelectOp>(op);
               select && findBase(select.getTrueValue()) ==
                             findBase(select.getFalseValue())) {
      memref = select.getTrueValue();
    } else {
      return memref;
    }
  }
}

namespace {
/// The functions of GPURuntime.h, and what stands for a module of kernels.
class Runtime {
public:
  explicit Runtime(ModuleOp module)
      : module(module), symbols(module), context(module.getContext()) {}

  Type pointer() const { return LLVM::LLVMPointerType::get(context); }
  Type i64() const { return IntegerType::get(context, 64); }

  /// Calls the function `name`, which is declared when it first is.
  Value call(ImplicitLocOpBuilder &b, StringRef name, Type result,
             ValueRange operands) {
    auto &func = functions[name];
    if (!func) {
      OpBuilder at = OpBuilder::atBlockBegin(module.getBody());
      FailureOr<LLVM::LLVMFuncOp> found = LLVM::lookupOrCreateFn(
          at, module, name, llvm::to_vector(operands.getTypes()),
          result ? result : LLVM::LLVMVoidType::get(context));
      if (failed(found)) {
        isBroken = true;
        return result ? LLVM::PoisonOp::create(b, result) : Value();
      }
      func = *found;
    }
    auto op = LLVM::CallOp::create(b, func, operands);
    return result ? op.getResult() : Value();
  }

  /// Whether a function of the runtime's name is something else, as reported.
  bool isBroken = false;

  /// The address of a zero-terminated string.
  Value string(ImplicitLocOpBuilder &b, StringRef prefix, StringRef text) {
    LLVM::GlobalOp &global = strings[text];
    if (!global)
      global = addBytes(prefix, text.str() + '\0', /*alignment=*/1);
    return LLVM::AddressOfOp::create(b, global);
  }

  /// The address of the rope_gpu_module of `binary`.
  FailureOr<Value> kernels(ImplicitLocOpBuilder &b, gpu::BinaryOp binary) {
    LLVM::GlobalOp &global = modules[binary];
    if (!global) {
      FailureOr<LLVM::GlobalOp> added = addModule(binary);
      if (failed(added))
        return failure();
      global = *added;
    }
    return Value(LLVM::AddressOfOp::create(b, global));
  }

private:
  LLVM::GlobalOp addBytes(StringRef name, const std::string &bytes,
                          uint64_t alignment) {
    OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
    auto global = LLVM::GlobalOp::create(
        b, module.getLoc(), type, /*isConstant=*/true, LLVM::Linkage::Internal,
        name, b.getStringAttr(bytes), alignment);
    symbols.insert(global);
    return global;
  }

  FailureOr<LLVM::GlobalOp> addModule(gpu::BinaryOp binary) {
    if (binary.getObjects().size() != 1)
      return binary.emitOpError("expected one object of the kernels, found ")
             << binary.getObjects().size();
    auto object = cast<gpu::ObjectAttr>(binary.getObjects()[0]);
    int64_t api;
    if (isa<NVVM::NVVMTargetAttr>(object.getTarget()))
      api = ROPE_GPU_CUDA;
    else if (isa<ROCDL::ROCDLTargetAttr>(object.getTarget()))
      api = ROPE_GPU_ROCM;
    else if (isa<spirv::TargetEnvAttr>(object.getTarget()))
      api = ROPE_GPU_VULKAN;
    else
      return binary.emitOpError("expected kernels for CUDA, ROCm or Vulkan, "
                                "found ones for ")
             << object.getTarget();
    module->setAttr("rope.gpu_api",
                    StringAttr::get(context, stringify(GPUApi(api))));
    std::string image = object.getObject().str();
    if (object.getFormat() == gpu::CompilationTarget::Assembly) {
      if (api == ROPE_GPU_ROCM)
        return binary.emitOpError("expected linked code, which is what AMD's "
                                  "driver loads, found assembly: choose "
                                  "format=bin");
      image += '\0';
    }
    StringRef name = binary.getName();
    LLVM::GlobalOp bytes = addBytes((name + "_image").str(), image,
                                    /*alignment=*/16);

    auto b =
        ImplicitLocOpBuilder::atBlockEnd(module.getLoc(), module.getBody());
    b.setInsertionPointAfter(bytes);
    auto type = LLVM::LLVMStructType::getLiteral(
        context, {i64(), pointer(), i64(), pointer()});
    auto global = LLVM::GlobalOp::create(
        b, type, /*isConstant=*/false, LLVM::Linkage::Internal,
        (name + "_module").str(), /*value=*/Attribute(), /*alignment=*/8);
    symbols.insert(global);
    b.createBlock(&global.getInitializerRegion());
    Value fields = LLVM::ZeroOp::create(b, type);
    auto insert = [&](Value value, int64_t position) {
      fields = LLVM::InsertValueOp::create(b, fields, value, position);
    };
    insert(LLVM::ConstantOp::create(b, i64(), b.getI64IntegerAttr(api)), 0);
    insert(LLVM::AddressOfOp::create(b, bytes), 1);
    insert(
        LLVM::ConstantOp::create(
            b, i64(), b.getI64IntegerAttr(static_cast<int64_t>(image.size()))),
        2);
    LLVM::ReturnOp::create(b, fields);
    return global;
  }

  ModuleOp module;
  SymbolTable symbols;
  MLIRContext *context;
  llvm::StringMap<LLVM::LLVMFuncOp> functions;
  llvm::StringMap<LLVM::GlobalOp> strings;
  DenseMap<Operation *, LLVM::GlobalOp> modules;
};

/// Arrays of a function that a launch passes: as large as the largest one.
struct Arrays {
  int64_t buffers = 0, numbers = 0;
  Value buffersPointer, numbersPointer;
};

class Lowering {
public:
  explicit Lowering(ModuleOp module) : module(module), runtime(module) {
    for (auto binary : module.getOps<gpu::BinaryOp>())
      binaries[binary.getName()] = binary;
  }

  LogicalResult run();

private:
  Value constant(ImplicitLocOpBuilder &b, int64_t value) {
    return LLVM::ConstantOp::create(b, runtime.i64(),
                                    b.getI64IntegerAttr(value));
  }
  Value toI64(ImplicitLocOpBuilder &b, Value number);
  Value alignedPointer(ImplicitLocOpBuilder &b, Value memref);
  FailureOr<Value> elementPointer(ImplicitLocOpBuilder &b, Value memref);
  FailureOr<Value> devicePointer(ImplicitLocOpBuilder &b, Operation *op,
                                 Value memref, Value kernels);
  /// The kernels that memory is allocated for.
  FailureOr<Value> anyKernels(ImplicitLocOpBuilder &b, Operation *op);

  LogicalResult checkLaunch(gpu::LaunchFuncOp op);
  LogicalResult lower(gpu::LaunchFuncOp op);
  LogicalResult lower(gpu::AllocOp op);
  LogicalResult lower(gpu::DeallocOp op);
  LogicalResult lower(gpu::MemcpyOp op);

  ModuleOp module;
  Runtime runtime;
  llvm::MapVector<StringRef, gpu::BinaryOp> binaries;
  DenseMap<Operation *, Arrays> arrays;
};
} // namespace

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Value Lowering::toI64(ImplicitLocOpBuilder &b, Value number) {
  if (number.getType().isIndex())
    return arith::IndexCastOp::create(b, runtime.i64(), number);
  if (number.getType() == runtime.i64())
    return number;
  if (number.getType().isInteger(1))
    return arith::ExtUIOp::create(b, runtime.i64(), number);
  return arith::ExtSIOp::create(b, runtime.i64(), number);
}

Value Lowering::alignedPointer(ImplicitLocOpBuilder &b, Value memref) {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  return LLVM::IntToPtrOp::create(b, runtime.pointer(), toI64(b, address));
}

/// Where the first element of a memref is.
FailureOr<Value> Lowering::elementPointer(ImplicitLocOpBuilder &b,
                                          Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  std::optional<int64_t> bytes = getElementBytes(type.getElementType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (!bytes || failed(type.getStridesAndOffset(strides, offset)))
    return failure();
  Value pointer = alignedPointer(b, memref);
  if (offset == 0)
    return pointer;
  Value elements =
      offset == ShapedType::kDynamic
          ? toI64(
                b,
                memref::ExtractStridedMetadataOp::create(b, memref).getOffset())
          : constant(b, offset);
  Value distance = LLVM::MulOp::create(b, elements, constant(b, *bytes));
  return Value(LLVM::GEPOp::create(b, runtime.pointer(), b.getI8Type(), pointer,
                                   ArrayRef<LLVM::GEPArg>(distance)));
}

/// What a kernel is given for `memref`: where it is in the device's memory. It
/// is there already unless it is a constant of the program.
FailureOr<Value> Lowering::devicePointer(ImplicitLocOpBuilder &b, Operation *op,
                                         Value memref, Value kernels) {
  memref = lookThroughCasts(memref);
  FailureOr<Value> pointer = elementPointer(b, memref);
  if (failed(pointer))
    return op->emitOpError("expected a strided memref of numbers of up to 64 "
                           "bits, found ")
           << memref.getType();

  Value base = findBase(memref);
  Operation *source = base.getDefiningOp();
  if (isa_and_present<memref::AllocOp, memref::AllocaOp>(source)) {
    InFlightDiagnostic diagnostic =
        op->emitOpError("expected memory of the device, found an operand in "
                        "memory of the host");
    diagnostic.attachNote(source->getLoc()) << "which is allocated here";
    return diagnostic;
  }
  auto get = dyn_cast_or_null<memref::GetGlobalOp>(source);
  if (!get)
    return pointer;
  auto global = SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(
      get, get.getNameAttr());
  if (!global || !global.getConstant())
    return op->emitOpError("expected memory of the device, found the global ")
           << get.getNameAttr() << ", which may change";
  auto type = cast<MemRefType>(get.getType());
  std::optional<int64_t> elementBytes = getElementBytes(type.getElementType());
  if (!elementBytes)
    return op->emitOpError("expected numbers of up to 64 bits, found ") << type;
  // A constant of a program is no larger than memory.
  int64_t bytes = type.getNumElements() * *elementBytes;
  if (bytes == 0)
    return Value(LLVM::ZeroOp::create(b, runtime.pointer()));
  Value host = alignedPointer(b, base);
  Value device = runtime.call(b, "rope_gpu_constant", runtime.pointer(),
                              {kernels, host, constant(b, bytes)});
  auto address = [&](Value value) {
    return LLVM::PtrToIntOp::create(b, runtime.i64(), value);
  };
  Value distance = LLVM::SubOp::create(b, address(*pointer), address(host));
  return Value(LLVM::GEPOp::create(b, runtime.pointer(), b.getI8Type(), device,
                                   ArrayRef<LLVM::GEPArg>(distance)));
}

FailureOr<Value> Lowering::anyKernels(ImplicitLocOpBuilder &b, Operation *op) {
  if (binaries.empty())
    return op->emitOpError("expected a gpu.binary in the module, whose device "
                           "the memory is on");
  return runtime.kernels(b, binaries.front().second);
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

static LogicalResult checkSync(Operation *op, bool isAsync) {
  if (!isAsync)
    return success();
  return op->emitOpError("expected no async tokens: what is queued is in the "
                         "order of the program");
}

/// The function around `op`, in whose entry block allocations stand.
static FailureOr<func::FuncOp> findFunction(Operation *op) {
  auto func = op->getParentOfType<func::FuncOp>();
  if (!func)
    return op->emitOpError("expected a func.func around it");
  return func;
}

LogicalResult Lowering::checkLaunch(gpu::LaunchFuncOp op) {
  if (failed(checkSync(op, op.getAsyncToken() || op.getAsyncObject() ||
                               !op.getAsyncDependencies().empty())))
    return failure();
  if (op.hasClusterSize())
    return op.emitOpError("expected no clusters of blocks");
  if (!binaries.count(op.getKernelModuleName()))
    return op.emitOpError("expected the kernel to be in a gpu.binary, which "
                          "-rope-serialize-kernels makes, found ")
           << op.getKernel();
  FailureOr<func::FuncOp> func = findFunction(op);
  if (failed(func))
    return failure();
  Arrays found;
  for (Value operand : op.getKernelOperands()) {
    Type type = operand.getType();
    if (isa<MemRefType>(type)) {
      if (found.numbers)
        return op.emitOpError("expected operands to be buffers and then "
                              "numbers, found ")
               << type << " behind a number";
      ++found.buffers;
    } else if (type.isIndex() || (type.isSignlessInteger() &&
                                  type.getIntOrFloatBitWidth() <= 64)) {
      ++found.numbers;
    } else {
      return op.emitOpError("expected operands to be memrefs, index or "
                            "integers of up to 64 bits, found ")
             << type;
    }
  }
  Arrays &most = arrays[*func];
  most.buffers = std::max(most.buffers, found.buffers);
  most.numbers = std::max(most.numbers, found.numbers);
  return success();
}

LogicalResult Lowering::lower(gpu::LaunchFuncOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), op);
  gpu::BinaryOp binary = binaries.lookup(op.getKernelModuleName());
  FailureOr<Value> kernels = runtime.kernels(b, binary);
  if (failed(kernels))
    return failure();
  const Arrays &array = arrays[op->getParentOfType<func::FuncOp>()];

  std::string kernelName = op.getKernelName().str();
  Value name =
      runtime.string(b, binary.getName().str() + "_" + kernelName, kernelName);
  SmallVector<Value> buffers, numbers;
  for (Value operand : op.getKernelOperands()) {
    if (!isa<MemRefType>(operand.getType())) {
      numbers.push_back(toI64(b, operand));
      continue;
    }
    FailureOr<Value> pointer = devicePointer(b, op, operand, *kernels);
    if (failed(pointer))
      return failure();
    // Others were allocated by code of ours.
    Value source = lookThroughCasts(operand);
    std::optional<int64_t> bytes =
        getElementBytes(cast<MemRefType>(source.getType()).getElementType());
    if (isa<BlockArgument>(findBase(source)) && bytes.value_or(1) > 1)
      runtime.call(b, "rope_gpu_check_address", nullptr,
                   {name, constant(b, static_cast<int64_t>(buffers.size())),
                    *pointer, constant(b, *bytes)});
    buffers.push_back(*pointer);
  }
  auto fill = [&](Value memory, Type type, ArrayRef<Value> values) -> Value {
    if (values.empty())
      return LLVM::ZeroOp::create(b, runtime.pointer());
    for (auto [i, value] : llvm::enumerate(values)) {
      Value place =
          LLVM::GEPOp::create(b, runtime.pointer(), type, memory,
                              ArrayRef<LLVM::GEPArg>(static_cast<int32_t>(i)));
      LLVM::StoreOp::create(b, value, place);
    }
    return memory;
  };
  Value bufferArray = fill(array.buffersPointer, runtime.pointer(), buffers);
  Value numberArray = fill(array.numbersPointer, runtime.i64(), numbers);

  SmallVector<Value> operands = {*kernels, name};
  gpu::KernelDim3 grid = op.getGridSizeOperandValues();
  gpu::KernelDim3 block = op.getBlockSizeOperandValues();
  for (Value size : {grid.x, grid.y, grid.z, block.x, block.y, block.z})
    operands.push_back(toI64(b, size));
  Value shared = op.getDynamicSharedMemorySize();
  operands.push_back(shared ? toI64(b, shared) : constant(b, 0));
  operands.append(
      {constant(b, static_cast<int64_t>(buffers.size())), bufferArray,
       constant(b, static_cast<int64_t>(numbers.size())), numberArray});
  runtime.call(b, "rope_gpu_launch", nullptr, operands);
  SmallVector<Value> casts(op.getKernelOperands());
  op.erase();
  // They were between a type of the host and one of the kernel.
  for (Value value : casts)
    if (auto cast = value.getDefiningOp<UnrealizedConversionCastOp>())
      if (cast->use_empty())
        cast.erase();
  return success();
}

LogicalResult Lowering::lower(gpu::AllocOp op) {
  if (failed(checkSync(op, op.getAsyncToken() ||
                               !op.getAsyncDependencies().empty())))
    return failure();
  MemRefType type = op.getType();
  std::optional<int64_t> elementBytes = getElementBytes(type.getElementType());
  if (op.getHostShared() || !type.getLayout().isIdentity() ||
      type.getMemorySpace() || !elementBytes)
    return op.emitOpError("expected memory of the device alone with numbers of "
                          "up to 64 bits, one after the other, found ")
           << type << (op.getHostShared() ? ", shared with the host" : "");
  ImplicitLocOpBuilder b(op.getLoc(), op);
  FailureOr<Value> kernels = anyKernels(b, op);
  if (failed(kernels))
    return failure();

  // Sizes as unsigned numbers: negative ones are far too large.
  SmallVector<Value> sizes;
  auto dynamic = op.getDynamicSizes().begin();
  for (int64_t size : type.getShape())
    sizes.push_back(ShapedType::isDynamic(size) ? toI64(b, *dynamic++)
                                                : constant(b, size));
  Value bytes = constant(b, *elementBytes);
  Value zero = constant(b, 0);
  Value tooLarge;
  auto also = [&](Value condition) {
    tooLarge =
        tooLarge ? arith::OrIOp::create(b, tooLarge, condition) : condition;
  };
  for (Value size : sizes) {
    auto product = arith::MulUIExtendedOp::create(b, bytes, size);
    bytes = product.getLow();
    also(arith::CmpIOp::create(b, arith::CmpIPredicate::ne, product.getHigh(),
                               zero));
  }
  also(arith::CmpIOp::create(b, arith::CmpIPredicate::slt, bytes, zero));

  auto choice = scf::IfOp::create(b, TypeRange(runtime.pointer()), tooLarge,
                                  /*addThenBlock=*/true, /*addElseBlock=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(choice.thenBlock());
    Value message = runtime.string(
        b, "rope_gpu_too_large",
        "the size of an intermediate result in bytes exceeds 64 bits");
    runtime.call(b, "rope_gpu_fail", nullptr, message);
    scf::YieldOp::create(b, Value(LLVM::ZeroOp::create(b, runtime.pointer())));
    b.setInsertionPointToStart(choice.elseBlock());
    scf::YieldOp::create(b, runtime.call(b, "rope_gpu_alloc", runtime.pointer(),
                                         {*kernels, bytes}));
  }

  // The memref as the conversion to LLVM will describe it.
  SmallVector<Type> fieldTypes = {runtime.pointer(), runtime.pointer(),
                                  runtime.i64()};
  if (!sizes.empty())
    fieldTypes.append(2, LLVM::LLVMArrayType::get(runtime.i64(), sizes.size()));
  Value fields = LLVM::PoisonOp::create(
      b, LLVM::LLVMStructType::getLiteral(b.getContext(), fieldTypes));
  auto insert = [&](Value value, ArrayRef<int64_t> position) {
    fields = LLVM::InsertValueOp::create(b, fields, value, position);
  };
  insert(choice.getResult(0), {0});
  insert(choice.getResult(0), {1});
  insert(zero, {2});
  Value stride = constant(b, 1);
  for (int64_t i = static_cast<int64_t>(sizes.size()) - 1; i >= 0; --i) {
    insert(sizes[i], {3, i});
    insert(stride, {4, i});
    stride = arith::MulIOp::create(b, stride, sizes[i]);
  }
  auto cast = UnrealizedConversionCastOp::create(b, type, fields);
  op.getMemref().replaceAllUsesWith(cast.getResult(0));
  op.erase();
  return success();
}

LogicalResult Lowering::lower(gpu::DeallocOp op) {
  if (failed(checkSync(op, op.getAsyncToken() ||
                               !op.getAsyncDependencies().empty())))
    return failure();
  ImplicitLocOpBuilder b(op.getLoc(), op);
  FailureOr<Value> kernels = anyKernels(b, op);
  if (failed(kernels))
    return failure();
  if (!isa<MemRefType>(op.getMemref().getType()))
    return op.emitOpError("expected a memref of a known rank");
  runtime.call(b, "rope_gpu_free", nullptr,
               {*kernels, alignedPointer(b, op.getMemref())});
  op.erase();
  return success();
}

LogicalResult Lowering::lower(gpu::MemcpyOp op) {
  if (failed(checkSync(op, op.getAsyncToken() ||
                               !op.getAsyncDependencies().empty())))
    return failure();
  ImplicitLocOpBuilder b(op.getLoc(), op);
  FailureOr<Value> kernels = anyKernels(b, op);
  if (failed(kernels))
    return failure();
  for (Value memref : {op.getDst(), op.getSrc()}) {
    auto type = dyn_cast<MemRefType>(memref.getType());
    if (!type || !type.getLayout().isIdentity() ||
        !getElementBytes(type.getElementType()))
      return op.emitOpError("expected memrefs of numbers of up to 64 bits, one "
                            "after the other, found ")
             << memref.getType();
  }
  auto type = cast<MemRefType>(op.getSrc().getType());
  Value bytes = constant(b, *getElementBytes(type.getElementType()));
  for (int64_t i = 0; i < type.getRank(); ++i) {
    Value size = type.isDynamicDim(i)
                     ? toI64(b, memref::DimOp::create(b, op.getSrc(), i))
                     : constant(b, type.getDimSize(i));
    bytes = arith::MulIOp::create(b, bytes, size);
  }
  runtime.call(b, "rope_gpu_upload", nullptr,
               {*kernels, alignedPointer(b, op.getDst()),
                alignedPointer(b, op.getSrc()), bytes});
  op.erase();
  return success();
}

LogicalResult Lowering::run() {
  SmallVector<Operation *> ops;
  WalkResult walk = module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (isa<gpu::GPUModuleOp>(op)) {
      op->emitOpError("expected kernels to be in a gpu.binary, which "
                      "-rope-serialize-kernels makes");
      return WalkResult::interrupt();
    }
    if (auto launch = dyn_cast<gpu::LaunchFuncOp>(op)) {
      if (failed(checkLaunch(launch)))
        return WalkResult::interrupt();
      ops.push_back(op);
    } else if (isa<gpu::AllocOp, gpu::DeallocOp, gpu::MemcpyOp>(op)) {
      ops.push_back(op);
    } else if (isa<gpu::GPUDialect>(op->getDialect()) &&
               !isa<gpu::BinaryOp>(op)) {
      op->emitOpError("expected gpu.launch_func, alloc, dealloc and memcpy "
                      "alone in code of the host");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  if (walk.wasInterrupted())
    return failure();

  for (auto &[func, array] : arrays) {
    auto b = ImplicitLocOpBuilder::atBlockBegin(func->getLoc(),
                                                &func->getRegion(0).front());
    auto allocate = [&](int64_t count, Type type) -> Value {
      return count ? LLVM::AllocaOp::create(b, runtime.pointer(), type,
                                            constant(b, count))
                   : Value();
    };
    array.buffersPointer = allocate(array.buffers, runtime.pointer());
    array.numbersPointer = allocate(array.numbers, runtime.i64());
  }
  for (Operation *op : ops) {
    LogicalResult result =
        TypeSwitch<Operation *, LogicalResult>(op)
            .Case<gpu::LaunchFuncOp, gpu::AllocOp, gpu::DeallocOp,
                  gpu::MemcpyOp>([&](auto typed) { return lower(typed); });
    if (failed(result))
      return failure();
  }
  if (runtime.isBroken)
    return failure();
  for (auto &[name, binary] : binaries)
    binary.erase();
  module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
  return success();
}

namespace {
struct LowerLaunches : rope::impl::LowerLaunchesBase<LowerLaunches> {
  void runOnOperation() override {
    if (failed(Lowering(getOperation()).run()))
      signalPassFailure();
  }
};
} // namespace
