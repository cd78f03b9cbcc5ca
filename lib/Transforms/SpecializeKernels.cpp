//===- SpecializeKernels.cpp - kernels as a target's conversions take them ===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels arrive in a form that is the same for all targets. The conversions of
// MLIR take most of it; what is here is the rest: how parameters are passed,
// where workgroup memory stands, and functions that would become calls of a
// library which is not there.
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/GPUTarget.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVAttributes.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVDialect.h"
#include "mlir/Dialect/SPIRV/IR/TargetAndABI.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::rope {
#define GEN_PASS_DEF_SPECIALIZEKERNELS
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

//===----------------------------------------------------------------------===//
// The form of a kernel
//===----------------------------------------------------------------------===//

/// The address space of memory that all blocks see, in LLVM.
static constexpr unsigned globalAddressSpace = 1;

static bool isBuffer(Type type) { return isa<MemRefType>(type); }

/// Whether `type` is memref<?xT, strided<[1], offset: ?>>, or one of that with
/// a known offset of zero, with T a number of 8, 16, 32 or 64 bits.
static bool isBufferOfNumbers(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  if (!memref || memref.getRank() != 1 || memref.getMemorySpace())
    return false;
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(memref.getStridesAndOffset(strides, offset)) || strides[0] != 1 ||
      (offset != 0 && offset != ShapedType::kDynamic))
    return false;
  Type element = memref.getElementType();
  return element.isF16() || element.isBF16() || element.isF32() ||
         element.isF64() || element.isSignlessInteger(8) ||
         element.isSignlessInteger(16) || element.isSignlessInteger(32) ||
         element.isSignlessInteger(64);
}

/// Checks what all targets rely on.
static LogicalResult checkKernel(gpu::GPUFuncOp func) {
  if (!func.isKernel())
    return func.emitOpError("expected kernels alone in a module of kernels, "
                            "found a function that is none");
  if (!llvm::hasSingleElement(func.getBody()))
    return func.emitOpError("expected a kernel of one block");
  std::optional<ArrayRef<int32_t>> size = func.getKnownBlockSize();
  if (!size || size->size() != 3 || (*size)[0] < 1 || (*size)[1] != 1 ||
      (*size)[2] != 1)
    return func.emitOpError("expected 'known_block_size' of a kernel to be a "
                            "positive number, 1 and 1");
  bool numbers = false;
  for (auto [index, type] : llvm::enumerate(func.getArgumentTypes())) {
    if (isBuffer(type) && numbers)
      return func.emitOpError("expected buffers before numbers, found ")
             << type << " as parameter " << index;
    if (!type.isIndex() && !isBufferOfNumbers(type))
      return func.emitOpError("expected parameter ")
             << index
             << " to be index or memref<?xT, strided<[1], offset: ?>> with T "
                "one of f16, bf16, f32, f64, i8, i16, i32 and i64, found "
             << type;
    numbers |= type.isIndex();
  }
  return success();
}

/// The parameters. Attributions are arguments of the body as well.
static MutableArrayRef<BlockArgument> getParameters(gpu::GPUFuncOp func) {
  return func.getArguments().take_front(func.getNumArguments());
}

/// The parameters that are buffers.
static MutableArrayRef<BlockArgument> getBuffers(gpu::GPUFuncOp func) {
  return getParameters(func).take_while(
      [](BlockArgument argument) { return isBuffer(argument.getType()); });
}

/// Takes over the types of the body's parameters.
static void updateSignature(gpu::GPUFuncOp func) {
  SmallVector<Type> types(ValueRange(getParameters(func)).getTypes());
  func.setFunctionType(FunctionType::get(func.getContext(), types, {}));
}

namespace {
/// Pattern: gpu.block_dim -> the number that the kernel states.
struct FoldBlockDim : OpRewritePattern<gpu::BlockDimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(gpu::BlockDimOp op,
                                PatternRewriter &rewriter) const override {
    auto func = op->getParentOfType<gpu::GPUFuncOp>();
    int32_t size =
        (*func.getKnownBlockSize())[static_cast<size_t>(op.getDimension())];
    rewriter.replaceOpWithNewOp<arith::ConstantIndexOp>(op, size);
    return success();
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

/// LLVM's intrinsic that both of its GPU targets have instructions or short
/// code for; empty where they call a library.
static StringRef getIntrinsic(Operation *op) {
  return TypeSwitch<Operation *, StringRef>(op)
      .Case<math::AbsFOp>([](auto) { return "llvm.fabs"; })
      .Case<math::CeilOp>([](auto) { return "llvm.ceil"; })
      .Case<math::CopySignOp>([](auto) { return "llvm.copysign"; })
      .Case<math::FloorOp>([](auto) { return "llvm.floor"; })
      .Case<math::FmaOp>([](auto) { return "llvm.fma"; })
      .Case<math::RoundEvenOp>([](auto) { return "llvm.roundeven"; })
      .Case<math::RoundOp>([](auto) { return "llvm.round"; })
      .Case<math::SqrtOp>([](auto) { return "llvm.sqrt"; })
      .Case<math::TruncOp>([](auto) { return "llvm.trunc"; })
      .Case<arith::MaxNumFOp>([](auto) { return "llvm.maxnum"; })
      .Case<arith::MinNumFOp>([](auto) { return "llvm.minnum"; })
      .Default([](auto) { return ""; });
}

/// x of `type` for scalars and vectors.
static Value createReal(OpBuilder &b, Location loc, Type type, APFloat value) {
  auto element = cast<FloatType>(getElementTypeOrSelf(type));
  bool lost;
  value.convert(element.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                &lost);
  TypedAttr attribute = FloatAttr::get(element, value);
  if (auto vector = dyn_cast<VectorType>(type))
    attribute = DenseElementsAttr::get(vector, attribute);
  return arith::ConstantOp::create(b, loc, attribute);
}

namespace {
/// Pattern: a function -> LLVM's intrinsic. Conversions of math for GPUs call a
/// library even for an absolute value.
struct CallIntrinsic : RewritePattern {
  CallIntrinsic(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    StringRef name = getIntrinsic(op);
    if (name.empty())
      return failure();
    rewriter.replaceOpWithNewOp<LLVM::CallIntrinsicOp>(
        op, op->getResultTypes()[0], rewriter.getStringAttr(name),
        op->getOperands());
    return success();
  }
};

/// Pattern: 1 / sqrt, which intrinsics do not have.
struct ExpandRsqrt : OpRewritePattern<math::RsqrtOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(math::RsqrtOp op,
                                PatternRewriter &rewriter) const override {
    Value root = math::SqrtOp::create(rewriter, op.getLoc(), op.getOperand());
    Value one = createReal(rewriter, op.getLoc(), root.getType(), APFloat(1.0));
    rewriter.replaceOpWithNewOp<arith::DivFOp>(op, one, root);
    return success();
  }
};

/// Pattern: questions about a float -> comparisons.
template <typename OpTy>
struct CompareClass : OpRewritePattern<OpTy> {
  CompareClass(MLIRContext *context, arith::CmpFPredicate predicate)
      : OpRewritePattern<OpTy>(context), predicate(predicate) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value x = op.getOperand();
    Value infinity =
        createReal(rewriter, loc, x.getType(),
                   APFloat::getInf(APFloat::IEEEdouble(), /*Negative=*/false));
    Value size = math::AbsFOp::create(rewriter, loc, x);
    rewriter.replaceOpWithNewOp<arith::CmpFOp>(op, predicate, size, infinity);
    return success();
  }

private:
  arith::CmpFPredicate predicate;
};
} // namespace

/// Functions that all targets have, in other words.
static void populateMathPatterns(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<CompareClass<math::IsNaNOp>>(context, arith::CmpFPredicate::UNO);
  patterns.add<CompareClass<math::IsInfOp>>(context, arith::CmpFPredicate::OEQ);
  patterns.add<CompareClass<math::IsFiniteOp>>(context,
                                               arith::CmpFPredicate::ONE);
}

/// Rewrites until nothing changes.
static LogicalResult rewrite(gpu::GPUFuncOp func, RewritePatternSet patterns) {
  GreedyRewriteConfig config;
  config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  return applyPatternsGreedily(func, std::move(patterns), config);
}

//===----------------------------------------------------------------------===//
// CUDA and ROCm
//===----------------------------------------------------------------------===//

/// Whether a buffer is only read.
static bool isReadOnly(Value buffer) {
  return llvm::all_of(buffer.getUsers(), [](Operation *user) {
    return isa<memref::LoadOp, vector::LoadOp>(user);
  });
}

/// Makes buffers pointers to global memory, of which the body makes memrefs.
static LogicalResult passPointers(gpu::GPUFuncOp func) {
  MLIRContext *context = func.getContext();
  auto b = ImplicitLocOpBuilder::atBlockBegin(func.getLoc(),
                                              &func.getBody().front());
  Type pointer = LLVM::LLVMPointerType::get(context);
  Type global = LLVM::LLVMPointerType::get(context, globalAddressSpace);
  Type i64 = b.getI64Type();
  Type dims = LLVM::LLVMArrayType::get(i64, 1);
  Type descriptor = LLVM::LLVMStructType::getLiteral(
      context, {pointer, pointer, i64, dims, dims});

  for (BlockArgument buffer : getBuffers(func)) {
    for (Operation *user : buffer.getUsers())
      // The number of elements is not passed.
      if (isa<memref::DimOp, memref::ExtractStridedMetadataOp>(user))
        return user->emitOpError("expected the sizes of a kernel's buffer to "
                                 "be parameters");
    // Loads of what no store of the kernel can change may use another cache.
    unsigned number = buffer.getArgNumber();
    if (func.getArgAttr(number, LLVM::LLVMDialect::getNoAliasAttrName()) &&
        isReadOnly(buffer))
      func.setArgAttr(number, LLVM::LLVMDialect::getReadonlyAttrName(),
                      b.getUnitAttr());

    Type memref = buffer.getType();
    buffer.setType(global);
    // Where it leads to is found again by LLVM, whose accesses are global ones.
    Value address = LLVM::AddrSpaceCastOp::create(b, pointer, buffer);
    Value zero = LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(0));
    Value one = LLVM::ConstantOp::create(b, i64, b.getI64IntegerAttr(1));
    Value fields = LLVM::PoisonOp::create(b, descriptor);
    auto insert = [&](Value value, ArrayRef<int64_t> position) {
      fields = LLVM::InsertValueOp::create(b, fields, value, position);
    };
    insert(address, {0});
    insert(address, {1});
    insert(zero, {2});
    insert(one, {4, 0});
    auto cast = UnrealizedConversionCastOp::create(b, memref, fields);
    buffer.replaceUsesWithIf(cast.getResult(0), [&](OpOperand &use) {
      return use.getOwner() != address.getDefiningOp();
    });
  }
  updateSignature(func);
  return success();
}

/// Checks that no operation will call a library of the device.
static LogicalResult checkFunctions(gpu::GPUFuncOp func,
                                    const GPUTarget &target) {
  WalkResult result = func.walk([&](Operation *op) {
    if (isa<gpu::GridDimOp>(op) && target.api == GPUApi::rocm) {
      op->emitOpError("expected the number of blocks to be a parameter: AMD's "
                      "device library would be needed");
      return WalkResult::interrupt();
    }
    for (Type type : op->getResultTypes()) {
      auto vector = dyn_cast<VectorType>(type);
      Type element = getElementTypeOrSelf(type);
      if (isa<TensorType>(type) ||
          (vector && (vector.getRank() != 1 || vector.isScalable())) ||
          (isa<FloatType>(element) && !element.isF16() && !element.isBF16() &&
           !element.isF32() && !element.isF64())) {
        op->emitOpError("expected numbers, floats of 16, 32 and 64 bits, and "
                        "vectors of one known dimension in a kernel, found ")
            << type;
        return WalkResult::interrupt();
      }
    }
    bool isMath = isa_and_present<math::MathDialect>(op->getDialect());
    if (!isa<arith::RemFOp>(op) &&
        (!isMath || !getIntrinsic(op).empty() ||
         isa<math::RsqrtOp, math::IsNaNOp, math::IsInfOp, math::IsFiniteOp>(
             op)))
      return WalkResult::advance();
    op->emitOpError("expected a function without a device library, one of ")
        << "math.absf, ceil, copysign, floor, fma, isfinite, isinf, isnan, "
           "round, roundeven, rsqrt, sqrt and trunc, or one of f32 that "
           "-rope-approximate-math replaces";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

static LogicalResult specializeForLLVM(gpu::GPUFuncOp func,
                                       const GPUTarget &target) {
  if (failed(checkFunctions(func, target)))
    return failure();
  MLIRContext *context = func.getContext();
  RewritePatternSet patterns(context);
  populateMathPatterns(patterns);
  patterns.add<CallIntrinsic, ExpandRsqrt>(context);
  populateGpuGlobalIdPatterns(patterns);
  patterns.add<FoldBlockDim>(context);
  populateGpuLowerSubgroupReduceToShufflePatterns(patterns,
                                                  target.subgroupSize);
  populateGpuLowerClusteredSubgroupReduceToShufflePatterns(patterns,
                                                           target.subgroupSize);
  if (failed(rewrite(func, std::move(patterns))))
    return func.emitOpError("cannot be rewritten for ") << target.chip;
  return passPointers(func);
}

//===----------------------------------------------------------------------===//
// Vulkan, and OpenCL
//===----------------------------------------------------------------------===//

/// Push constants that every device has, in words of 32 bits.
static constexpr unsigned pushConstantWords = 32;

/// Makes bf16 that are only handed on, as conditionals do with what a branch
/// loads, the integers that they are in memory. Changes nothing where there is
/// another use.
static void handOnIntegers(gpu::GPUFuncOp func) {
  auto isBF16 = [](Type type) { return type.isBF16(); };
  WalkResult walk = func.walk([&](Operation *op) {
    bool any = llvm::any_of(op->getOperandTypes(), isBF16) ||
               llvm::any_of(op->getResultTypes(), isBF16);
    if (!any || isa<arith::BitcastOp, arith::ConstantOp, arith::SelectOp,
                    scf::ConditionOp, scf::ForOp, scf::IfOp, scf::WhileOp,
                    scf::YieldOp>(op))
      return WalkResult::advance();
    return WalkResult::interrupt();
  });
  if (walk.wasInterrupted())
    return;
  Type i16 = IntegerType::get(func.getContext(), 16);
  SmallVector<arith::BitcastOp> casts;
  func.walk([&](Operation *op) {
    for (Region &region : op->getRegions())
      for (BlockArgument argument : region.getArguments())
        if (isBF16(argument.getType()))
          argument.setType(i16);
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      if (auto value = dyn_cast<FloatAttr>(constant.getValue());
          value && isBF16(value.getType()))
        constant.setValueAttr(
            IntegerAttr::get(i16, value.getValue().bitcastToAPInt()));
    for (Value result : op->getResults())
      if (isBF16(result.getType()))
        result.setType(i16);
    if (auto cast = dyn_cast<arith::BitcastOp>(op))
      casts.push_back(cast);
  });
  for (arith::BitcastOp cast : casts)
    if (cast.getIn().getType() == cast.getType()) {
      cast.replaceAllUsesWith(cast.getIn());
      cast.erase();
    }
}

/// Checks types and functions that conversions to SPIR-V would change or take
/// the precision of.
static LogicalResult checkForSPIRV(gpu::GPUFuncOp func, bool openCL) {
  auto checkType = [&](Operation *op, Type type) -> LogicalResult {
    if (auto memref = dyn_cast<MemRefType>(type))
      type = memref.getElementType();
    if (auto vector = dyn_cast<VectorType>(type)) {
      int64_t most = openCL ? 16 : 4;
      if (vector.getRank() != 1 || vector.isScalable() ||
          vector.getDimSize(0) > most)
        return op->emitOpError("expected vectors of at most ")
               << most << " elements in a kernel, found " << type;
      type = vector.getElementType();
    }
    if (type.isIndex() || type.isSignlessInteger(1) ||
        type.isSignlessInteger(8) || type.isSignlessInteger(16) ||
        type.isSignlessInteger(32) || type.isSignlessInteger(64) ||
        type.isF16() || type.isF32() || type.isF64())
      return success();
    // Upstream would replace it by a type of 32 bits, memory included.
    return op->emitOpError("has a type that kernels in SPIR-V do not have: ")
           << type;
  };
  for (BlockArgument argument : func.getArguments())
    if (failed(checkType(func, argument.getType())))
      return failure();
  for (BlockArgument memory : func.getPrivateAttributions())
    return func.emitOpError("expected no private memory in a kernel, found ")
           << memory.getType();

  WalkResult result = func.walk([&](Operation *op) {
    if (op != func) {
      for (Type type : op->getResultTypes())
        if (failed(checkType(op, type)))
          return WalkResult::interrupt();
      for (Region &region : op->getRegions())
        for (Type type : region.getArgumentTypes())
          if (failed(checkType(op, type)))
            return WalkResult::interrupt();
    }
    // What Vulkan promises of others is less than a few units in the last
    // place.
    if ((isa_and_present<math::MathDialect>(op->getDialect()) &&
         !isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp,
              math::FloorOp, math::FmaOp, math::RoundOp, math::RoundEvenOp,
              math::RsqrtOp, math::SqrtOp, math::TruncOp, math::IsNaNOp,
              math::IsInfOp, math::IsFiniteOp>(op))) {
      op->emitOpError(
          "expected a function that drivers are precise in, one of ")
          << "math.absf, absi, ceil, copysign, floor, fma, isfinite, isinf, "
             "isnan, round, roundeven, rsqrt, sqrt and trunc, or one of f32 "
             "that -rope-approximate-math replaces";
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// Checks that `memory` is only loaded from and stored to, by element where
/// `scalars` says so, so that its type can change.
static LogicalResult checkAccesses(Value memory, bool scalars) {
  for (OpOperand &use : memory.getUses()) {
    Operation *user = use.getOwner();
    bool stored = isa<memref::StoreOp, vector::StoreOp>(user) &&
                  use.getOperandNumber() == 0;
    if (!stored && isa<memref::LoadOp, memref::StoreOp>(user))
      continue;
    if (!stored && !scalars && isa<vector::LoadOp, vector::StoreOp>(user))
      continue;
    return user->emitOpError("expected memory of a kernel to be used by ")
           << (scalars ? "memref.load and memref.store alone"
                       : "loads and stores alone");
  }
  return success();
}

/// The memref in a storage class of SPIR-V, without its offset.
static MemRefType inStorageClass(Type type, spirv::StorageClass storage) {
  auto memref = cast<MemRefType>(type);
  return MemRefType::get(
      memref.getShape(), memref.getElementType(), MemRefLayoutAttrInterface(),
      spirv::StorageClassAttr::get(type.getContext(), storage));
}

/// Makes attributions allocations.
static LogicalResult allocateWorkgroupMemory(gpu::GPUFuncOp func, bool openCL) {
  auto b = ImplicitLocOpBuilder::atBlockBegin(func.getLoc(),
                                              &func.getBody().front());
  ArrayRef<BlockArgument> memories = func.getWorkgroupAttributions();
  if (memories.empty())
    return success();
  for (BlockArgument memory : memories) {
    if (failed(checkAccesses(memory, !openCL)))
      return failure();
    auto type = cast<MemRefType>(memory.getType());
    if (!type.hasStaticShape() || !type.getLayout().isIdentity())
      return func.emitOpError("expected workgroup memory of a known size, "
                              "found ")
             << type;
    Value allocation = memref::AllocOp::create(
        b, inStorageClass(type, spirv::StorageClass::Workgroup));
    memory.replaceAllUsesWith(allocation);
  }
  unsigned first = func.getNumArguments();
  func.getBody().front().eraseArguments(first, memories.size());
  func->removeAttr(gpu::GPUFuncOp::getNumWorkgroupAttributionsAttrName());
  func.removeWorkgroupAttribAttrsAttr();
  return success();
}

/// Makes buffers bindings and numbers words of 32 bits, which are, for each
/// buffer, how many bytes its first element lies behind the start of the
/// binding, then the numbers, then how many blocks there are. They are push
/// constants, or the next binding where they are too many. The grid may have
/// more blocks than that, in two dimensions, as devices need not take 65536 in
/// one.
static LogicalResult passBindings(gpu::GPUFuncOp func) {
  MLIRContext *context = func.getContext();
  Block &body = func.getBody().front();
  auto b = ImplicitLocOpBuilder::atBlockBegin(func.getLoc(), &body);
  Type i32 = b.getI32Type(), indexType = b.getIndexType();

  unsigned numBuffers = getBuffers(func).size();
  unsigned numNumbers = func.getNumArguments() - numBuffers;
  unsigned numWords = numBuffers + numNumbers + 1;
  bool inMemory = numWords > pushConstantWords;
  auto wordsType = MemRefType::get(
      {inMemory ? ShapedType::kDynamic : numWords}, i32,
      MemRefLayoutAttrInterface(),
      spirv::StorageClassAttr::get(
          context, inMemory ? spirv::StorageClass::StorageBuffer
                            : spirv::StorageClass::PushConstant));
  (void)func.insertArgument(func.getNumArguments(), wordsType, {},
                            func.getLoc());
  Value words = func.getArgument(func.getNumArguments() - 1);
  auto word = [&](unsigned position) -> Value {
    Value index = arith::ConstantIndexOp::create(b, position);
    return memref::LoadOp::create(b, words, index);
  };
  auto number = [&](unsigned position) -> Value {
    return arith::IndexCastOp::create(b, indexType, word(position));
  };

  Value blocks = number(numWords - 1);
  Value x = gpu::BlockIdOp::create(b, gpu::Dimension::x);
  Value y = gpu::BlockIdOp::create(b, gpu::Dimension::y);
  Value row = gpu::GridDimOp::create(b, gpu::Dimension::x);
  Value block = arith::AddIOp::create(b, arith::MulIOp::create(b, y, row), x);
  SmallVector<Operation *> ids;
  WalkResult walk = func.walk([&](Operation *op) {
    if (op == x.getDefiningOp() || op == y.getDefiningOp() ||
        op == row.getDefiningOp())
      return WalkResult::advance();
    if (auto id = dyn_cast<gpu::BlockIdOp>(op))
      if (id.getDimension() == gpu::Dimension::x)
        ids.push_back(op);
    bool other = isa<gpu::GridDimOp, gpu::GlobalIdOp>(op);
    if (auto id = dyn_cast<gpu::BlockIdOp>(op))
      other |= id.getDimension() != gpu::Dimension::x;
    if (!other)
      return WalkResult::advance();
    op->emitOpError("expected kernels to know of their grid gpu.block_id x "
                    "alone");
    return WalkResult::interrupt();
  });
  if (walk.wasInterrupted())
    return failure();
  for (Operation *id : ids)
    id->replaceAllUsesWith(ValueRange(block));

  for (unsigned i = 0; i < numNumbers; ++i)
    func.getArgument(numBuffers + i).replaceAllUsesWith(number(numBuffers + i));
  for (unsigned i = 0; i < numBuffers; ++i) {
    BlockArgument buffer = func.getArgument(i);
    if (failed(checkAccesses(buffer, /*scalars=*/true)))
      return failure();
    auto type = cast<MemRefType>(buffer.getType());
    buffer.setType(inStorageClass(type, spirv::StorageClass::StorageBuffer));
    if (buffer.use_empty())
      continue;
    unsigned bytes = type.getElementTypeBitWidth() / 8;
    Value start = word(i);
    if (bytes > 1) {
      Value shift = arith::ConstantIntOp::create(b, i32, llvm::Log2_32(bytes));
      start = arith::ShRUIOp::create(b, start, shift);
    }
    start = arith::IndexCastOp::create(b, indexType, start);
    for (OpOperand &use : buffer.getUses()) {
      OpBuilder at(use.getOwner());
      // A load has the memref and the index, a store its value before them.
      OpOperand &position =
          use.getOwner()->getOpOperand(use.getOperandNumber() + 1);
      position.set(arith::AddIOp::create(at, use.getOwner()->getLoc(),
                                         position.get(), start));
    }
  }
  BitVector erased(func.getNumArguments());
  erased.set(numBuffers, numBuffers + numNumbers);
  if (failed(func.eraseArguments(erased)))
    return failure();
  updateSignature(func);
  for (BlockArgument argument : getParameters(func)) {
    unsigned i = argument.getArgNumber();
    func.setArgAttrs(i, ArrayRef<NamedAttribute>());
    func.setArgAttr(i, spirv::getInterfaceVarABIAttrName(),
                    spirv::getInterfaceVarABIAttr(/*descriptorSet=*/0, i,
                                                  /*storageClass=*/std::nullopt,
                                                  context));
  }

  // Nothing is left to do in blocks behind the last one.
  Value exists =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, block, blocks);
  auto guard = scf::IfOp::create(b, exists, /*withElseRegion=*/false);
  Block *inner = guard.thenBlock();
  inner->getOperations().splice(inner->begin(), body.getOperations(),
                                std::next(guard->getIterator()),
                                body.getTerminator()->getIterator());
  for (Operation *id : ids)
    id->erase();
  return success();
}

/// The same for OpenCL: buffers are pointers, numbers stay.
static LogicalResult passOpenCLPointers(gpu::GPUFuncOp func) {
  for (BlockArgument buffer : getBuffers(func)) {
    if (failed(checkAccesses(buffer, /*scalars=*/false)))
      return failure();
    buffer.setType(
        inStorageClass(buffer.getType(), spirv::StorageClass::CrossWorkgroup));
  }
  for (BlockArgument argument : getParameters(func))
    func.setArgAttrs(argument.getArgNumber(), ArrayRef<NamedAttribute>());
  updateSignature(func);
  return success();
}

/// Says that what is stored in fewer bits is rounded to nearest: drivers may
/// cut it off otherwise. It can be said of nothing else.
static void roundStores(gpu::GPUFuncOp func) {
  auto nearest = arith::RoundingModeAttr::get(
      func.getContext(), arith::RoundingMode::to_nearest_even);
  func.walk([&](arith::TruncFOp op) {
    bool isStored = op.getType().isF16() &&
                    llvm::all_of(op->getUses(), [&](OpOperand &use) {
                      auto store = dyn_cast<memref::StoreOp>(use.getOwner());
                      return store && use.getOperandNumber() == 0 &&
                             isa<BlockArgument>(store.getMemRef());
                    });
    if (isStored && !op.getRoundingmode())
      op.setRoundingmodeAttr(nearest);
    else if (!isStored && op.getRoundingmodeAttr() == nearest)
      op.removeRoundingmodeAttr();
  });
}

static LogicalResult specializeForSPIRV(gpu::GPUFuncOp func, bool openCL) {
  MLIRContext *context = func.getContext();
  RewritePatternSet patterns(context);
  populateMathPatterns(patterns);
  patterns.add<FoldBlockDim>(context);
  handOnIntegers(func);
  if (failed(checkForSPIRV(func, openCL)))
    return failure();
  if (failed(rewrite(func, std::move(patterns))))
    return func.emitOpError("cannot be rewritten for SPIR-V");
  if (failed(allocateWorkgroupMemory(func, openCL)) ||
      failed(openCL ? passOpenCLPointers(func) : passBindings(func)))
    return failure();
  if (!openCL)
    roundStores(func);
  int32_t blockSize = (*func.getKnownBlockSize())[0];
  func->setAttr(spirv::getEntryPointABIAttrName(),
                spirv::getEntryPointABIAttr(context, {blockSize, 1, 1}));
  return success();
}

/// What a device must have to run the kernels, by the types and operations that
/// are in them: a type whose capability is missing would be widened.
static spirv::TargetEnvAttr describeTarget(gpu::GPUModuleOp kernels,
                                           bool openCL) {
  llvm::SetVector<spirv::Capability> capabilities;
  SmallVector<spirv::Extension> extensions;
  if (openCL) {
    capabilities.insert(spirv::Capability::Kernel);
    capabilities.insert(spirv::Capability::Addresses);
    capabilities.insert(spirv::Capability::Linkage);
    capabilities.insert(spirv::Capability::Int64);
    capabilities.insert(spirv::Capability::Vector16);
  } else {
    capabilities.insert(spirv::Capability::Shader);
    extensions = {spirv::Extension::SPV_KHR_storage_buffer_storage_class,
                  spirv::Extension::SPV_KHR_16bit_storage,
                  spirv::Extension::SPV_KHR_8bit_storage};
  }
  auto addType = [&](Type type) {
    if (auto memref = dyn_cast<MemRefType>(type))
      type = memref.getElementType();
    type = getElementTypeOrSelf(type);
    if (!type.isIntOrFloat())
      return;
    unsigned bits = type.getIntOrFloatBitWidth();
    bool isFloat = isa<FloatType>(type);
    if (bits == 64)
      capabilities.insert(isFloat ? spirv::Capability::Float64
                                  : spirv::Capability::Int64);
    if (bits == 16)
      capabilities.insert(isFloat ? spirv::Capability::Float16
                                  : spirv::Capability::Int16);
    if (bits == 8)
      capabilities.insert(spirv::Capability::Int8);
    if (bits == 16 && !openCL)
      capabilities.insert(spirv::Capability::StorageBuffer16BitAccess);
    if (bits == 8 && !openCL)
      capabilities.insert(spirv::Capability::StorageBuffer8BitAccess);
  };
  kernels.walk([&](Operation *op) {
    llvm::for_each(op->getResultTypes(), addType);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        llvm::for_each(block.getArgumentTypes(), addType);
    if (isa<gpu::SubgroupReduceOp, gpu::ShuffleOp, gpu::SubgroupIdOp,
            gpu::NumSubgroupsOp, gpu::SubgroupSizeOp, gpu::LaneIdOp>(op)) {
      capabilities.insert(spirv::Capability::GroupNonUniform);
      capabilities.insert(spirv::Capability::GroupNonUniformArithmetic);
      capabilities.insert(spirv::Capability::GroupNonUniformShuffle);
    }
  });
  MLIRContext *context = kernels.getContext();
  auto triple = spirv::VerCapExtAttr::get(
      openCL ? spirv::Version::V_1_0 : spirv::Version::V_1_3,
      capabilities.getArrayRef(), extensions, context);
  return spirv::TargetEnvAttr::get(
      triple, spirv::getDefaultResourceLimits(context),
      openCL ? spirv::ClientAPI::OpenCL : spirv::ClientAPI::Vulkan);
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct SpecializeKernels
    : rope::impl::SpecializeKernelsBase<SpecializeKernels> {
  using SpecializeKernelsBase::SpecializeKernelsBase;

  LogicalResult specialize() {
    gpu::GPUModuleOp kernels = getOperation();
    llvm::Expected<GPUTarget> target = resolveGPUTarget(api, chip);
    if (!target)
      return kernels.emitError(llvm::toString(target.takeError()));
    for (auto func : kernels.getOps<gpu::GPUFuncOp>())
      if (failed(checkKernel(func)))
        return failure();
    bool isVulkan = target->api == GPUApi::vulkan;
    if (openCL && !isVulkan)
      return kernels.emitError("expected OpenCL with kernels for vulkan, found "
                               "kernels for ")
             << api;
    for (auto func : kernels.getOps<gpu::GPUFuncOp>())
      if (failed(isVulkan ? specializeForSPIRV(func, openCL)
                          : specializeForLLVM(func, *target)))
        return failure();
    if (isVulkan)
      kernels.setTargetsAttr(ArrayAttr::get(
          &getContext(), Attribute(describeTarget(kernels, openCL))));
    return success();
  }

  void runOnOperation() override {
    if (failed(specialize()))
      signalPassFailure();
  }
};
} // namespace
