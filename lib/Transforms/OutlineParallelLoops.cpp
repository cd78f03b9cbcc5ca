//===- OutlineParallelLoops.cpp - give parallel loops to the runtime ------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Analysis/DataLayoutAnalysis.h"
#include "mlir/Conversion/LLVMCommon/LoweringOptions.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/Support/CheckedArithmetic.h"

namespace mlir::rope {
#define GEN_PASS_DEF_OUTLINEPARALLELLOOPS
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

static constexpr StringLiteral runtimeName = "rope_parallel_for";
static constexpr int64_t workspaceAlignment = 64;
/// Most that a buffer takes whose size differs from task to task.
static constexpr int64_t maxBoundedBytes = 1 << 20;

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

/// Checks that `loop` has no results, which tasks would have to combine.
static LogicalResult checkLoop(RewriterBase &rewriter, Operation *loop,
                               Operation *module) {
  if (auto parallel = dyn_cast<scf::ParallelOp>(loop)) {
    if (parallel.getNumReductions())
      return rewriter.notifyMatchFailure(loop, "has reductions");
  } else if (auto forall = dyn_cast<scf::ForallOp>(loop)) {
    if (forall.getNumResults())
      return rewriter.notifyMatchFailure(loop, "has results");
  } else {
    return rewriter.notifyMatchFailure(loop, "is no parallel loop");
  }
  Operation *parent = loop->getParentOp();
  for (; parent && !parent->hasTrait<OpTrait::IsIsolatedFromAbove>();
       parent = parent->getParentOp())
    // Its iterations would share the structure that hands values over.
    if (isa<scf::ParallelOp, scf::ForallOp>(parent))
      return rewriter.notifyMatchFailure(loop, "is inside a parallel loop");
  if (!isa_and_present<func::FuncOp>(parent) || parent->getParentOp() != module)
    return rewriter.notifyMatchFailure(loop, "is not part of a function");
  return success();
}

namespace {
/// One dimension of a loop, as index values in front of it.
struct Dim {
  Value lower, step, count;
};
} // namespace

static SmallVector<Dim> buildDims(OpBuilder &b, LoopLikeOpInterface loop) {
  Location loc = loop.getLoc();
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  SmallVector<Dim> dims;
  for (auto [lowerBound, upperBound, step] :
       llvm::zip_equal(*loop.getLoopLowerBounds(), *loop.getLoopUpperBounds(),
                       *loop.getLoopSteps())) {
    Dim dim;
    dim.lower = getValueOrCreateConstantIndexOp(b, loc, lowerBound);
    dim.step = getValueOrCreateConstantIndexOp(b, loc, step);
    Value upper = getValueOrCreateConstantIndexOp(b, loc, upperBound);
    // Operations that later conversions know: rounding up is none of them.
    Value length = b.createOrFold<arith::SubIOp>(loc, upper, dim.lower);
    Value more = b.createOrFold<arith::SubIOp>(loc, dim.step, one);
    length = b.createOrFold<arith::AddIOp>(loc, length, more);
    Value count = b.createOrFold<arith::DivSIOp>(loc, length, dim.step);
    dim.count = b.createOrFold<arith::MaxSIOp>(loc, count, zero);
    dims.push_back(dim);
  }
  return dims;
}

/// The induction variables of a task: the last dimension runs fastest.
static SmallVector<Value> buildInductionVars(OpBuilder &b, Location loc,
                                             ArrayRef<Dim> dims, Value task) {
  SmallVector<Value> ivs(dims.size());
  for (size_t i = dims.size(); i-- > 0;) {
    Value iv = task;
    if (i) {
      iv = b.createOrFold<arith::RemUIOp>(loc, task, dims[i].count);
      task = b.createOrFold<arith::DivUIOp>(loc, task, dims[i].count);
    }
    iv = b.createOrFold<arith::MulIOp>(loc, iv, dims[i].step);
    ivs[i] = b.createOrFold<arith::AddIOp>(loc, iv, dims[i].lower);
  }
  return ivs;
}

//===----------------------------------------------------------------------===//
// The workspace
//===----------------------------------------------------------------------===//

/// An upper bound of the bytes from one element of a memref to the next, or
/// nothing where elements are too large or their size is not known here.
static std::optional<int64_t> getElementBytes(Type type) {
  int64_t factor = 1;
  if (auto vector = dyn_cast<VectorType>(type)) {
    std::optional<int64_t> elements = 1;
    for (int64_t size : vector.getShape())
      elements = elements ? llvm::checkedMul(*elements, size) : std::nullopt;
    if (vector.isScalable() || !elements || *elements > workspaceAlignment)
      return std::nullopt;
    // Each row is padded to a power of two.
    int64_t row = vector.getRank() ? vector.getShape().back() : 1;
    factor = *elements / row * static_cast<int64_t>(llvm::PowerOf2Ceil(row));
    type = vector.getElementType();
  } else if (auto complex = dyn_cast<ComplexType>(type)) {
    factor = 2;
    type = complex.getElementType();
  }
  if (!type.isIntOrIndexOrFloat())
    return std::nullopt;
  unsigned bits = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  int64_t bytes = llvm::PowerOf2Ceil(llvm::divideCeil(std::max(bits, 1u), 8));
  bytes *= factor;
  return bytes <= workspaceAlignment ? std::optional(bytes) : std::nullopt;
}

/// The bytes of `type` that its static sizes give, or nothing where they are
/// absurd: sums of what is returned do not overflow.
static std::optional<int64_t> getStaticBytes(MemRefType type) {
  std::optional<int64_t> bytes = getElementBytes(type.getElementType());
  for (int64_t size : type.getShape())
    if (bytes && !ShapedType::isDynamic(size))
      bytes = llvm::checkedMul(*bytes, size);
  return bytes && *bytes <= int64_t(1) << 40 ? bytes : std::nullopt;
}

namespace {
/// A buffer of a task that may lie in its workspace.
struct ScratchBuffer {
  memref::AllocOp alloc;
  /// Bytes that are known; the product with `sizes`, which are the same for all
  /// tasks, is enough for each of them.
  int64_t bytes;
  SmallVector<Value> sizes;
};
} // namespace

/// The largest value that `size` can have, if that is known.
static std::optional<int64_t> findLargest(Value size) {
  FailureOr<int64_t> bound = ValueBoundsConstraintSet::computeConstantBound(
      presburger::BoundType::UB, {size}, /*stopCondition=*/nullptr,
      /*closedUB=*/true);
  return succeeded(bound) && *bound >= 0 ? std::optional<int64_t>(*bound)
                                         : std::nullopt;
}

/// Finds the buffers of a task that may lie in its workspace: those that are
/// allocated and freed by each task, with sizes that are the same for all, or
/// that are small for each: the last block of an array is often smaller than
/// the others. What is freed under another name, or by somebody else, must stay
/// an allocation.
static SmallVector<ScratchBuffer> findScratchBuffers(LoopLikeOpInterface loop) {
  SmallVector<ScratchBuffer> buffers;
  for (auto alloc : loop.getLoopRegions().front()->getOps<memref::AllocOp>()) {
    MemRefType type = alloc.getType();
    bool isPlain = type.getLayout().isIdentity() && !type.getMemorySpace() &&
                   alloc.getAlignment().value_or(1) <= workspaceAlignment;
    int64_t frees = 0, freesHere = 0;
    for (Operation *user : alloc->getUsers())
      if (isa<memref::DeallocOp>(user)) {
        ++frees;
        freesHere += user->getBlock() == alloc->getBlock();
      }
    std::optional<int64_t> bytes = getStaticBytes(type);
    if (!isPlain || frees != 1 || freesHere != 1 || !bytes)
      continue;
    ScratchBuffer buffer{alloc, *bytes, {}};
    bool isBounded = true;
    for (Value size : alloc.getDynamicSizes()) {
      if (loop.isDefinedOutsideOfLoop(size)) {
        buffer.sizes.push_back(size);
        continue;
      }
      // No more than a little memory that is not used.
      std::optional<int64_t> largest = findLargest(size);
      std::optional<int64_t> product =
          largest ? llvm::checkedMul(buffer.bytes, *largest) : std::nullopt;
      isBounded &= product && *product <= maxBoundedBytes;
      buffer.bytes = isBounded ? *product : 0;
    }
    if (isBounded)
      buffers.push_back(std::move(buffer));
  }
  return buffers;
}

/// Moves computations of sizes out of the loop, where they are the same for all
/// tasks.
static void hoistSizes(LoopLikeOpInterface loop) {
  auto isIndex = [](Type type) { return type.isIndex(); };
  moveLoopInvariantCode(
      loop.getLoopRegions(),
      [&](Value value, Region *) { return loop.isDefinedOutsideOfLoop(value); },
      [&](Operation *op, Region *) {
        return op->getNumResults() && isMemoryEffectFree(op) &&
               isSpeculatable(op) && op->getNumRegions() == 0 &&
               llvm::all_of(op->getResultTypes(), isIndex);
      },
      [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
}

/// Builds where each of `buffers` begins in the workspace, and returns the
/// workspace's size.
static Value buildOffsets(OpBuilder &b, Location loc,
                          ArrayRef<ScratchBuffer> buffers,
                          SmallVectorImpl<Value> &offsets) {
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value total = constant(0);
  for (const ScratchBuffer &buffer : buffers) {
    offsets.push_back(total);
    int64_t known = buffer.bytes;
    if (buffer.sizes.empty())
      known = llvm::alignTo(known, workspaceAlignment);
    Value bytes = constant(known);
    for (Value size : buffer.sizes)
      bytes = b.createOrFold<arith::MulIOp>(loc, bytes, size);
    if (known % workspaceAlignment) {
      bytes = b.createOrFold<arith::AddIOp>(loc, bytes,
                                            constant(workspaceAlignment - 1));
      bytes = b.createOrFold<arith::AndIOp>(loc, bytes,
                                            constant(-workspaceAlignment));
    }
    total = b.createOrFold<arith::AddIOp>(loc, total, bytes);
  }
  return total;
}

/// A memref of the bytes of the workspace.
static Value buildWorkspace(OpBuilder &b, Location loc,
                            const LLVMTypeConverter &converter, Value pointer,
                            Value bytes) {
  auto type = MemRefType::get({ShapedType::kDynamic}, b.getI8Type());
  auto descriptor =
      MemRefDescriptor::poison(b, loc, converter.convertType(type));
  descriptor.setAllocatedPtr(b, loc, pointer);
  descriptor.setAlignedPtr(b, loc, pointer);
  descriptor.setConstantOffset(b, loc, 0);
  auto size = UnrealizedConversionCastOp::create(
      b, loc, converter.getIndexType(), bytes);
  descriptor.setSize(b, loc, 0, size.getResult(0));
  descriptor.setConstantStride(b, loc, 0, 1);
  return UnrealizedConversionCastOp::create(b, loc, type, Value(descriptor))
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Captured values
//===----------------------------------------------------------------------===//

/// What is made again inside the function rather than handed over.
static bool isRemade(Value value) {
  Operation *op = value.getDefiningOp();
  return op && op->getNumOperands() == 0 &&
         (op->hasTrait<OpTrait::ConstantLike>() ||
          isa<memref::GetGlobalOp>(op));
}

/// The type of `value` in memory, or null where it has none.
static Type getMemoryType(const LLVMTypeConverter &converter, Value value) {
  // Other kinds of memory the converter would report as an error.
  if (auto memref = dyn_cast<BaseMemRefType>(value.getType());
      memref && memref.getMemorySpace() &&
      !isa<IntegerAttr>(memref.getMemorySpace()))
    return Type();
  Type type = converter.convertType(value.getType());
  if (auto vector = dyn_cast_or_null<VectorType>(type);
      vector && vector.isScalable())
    return Type();
  return isa_and_present<IntegerType, FloatType, VectorType,
                         LLVM::LLVMPointerType, LLVM::LLVMArrayType,
                         LLVM::LLVMStructType>(type) &&
                 LLVM::isCompatibleType(type)
             ? type
             : Type();
}

static Value buildCast(OpBuilder &b, Location loc, Type type, Value value) {
  if (value.getType() == type)
    return value;
  return UnrealizedConversionCastOp::create(b, loc, type, value).getResult(0);
}

/// Hands the values that the body of `callee` uses over in a structure on the
/// caller's stack, and returns its address.
static Value buildContext(RewriterBase &rewriter, func::FuncOp caller,
                          func::FuncOp callee,
                          const LLVMTypeConverter &converter) {
  Location loc = callee.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(rewriter.getContext());
  SetVector<Value> used;
  callee.walk([&](Operation *op) {
    for (Value operand : op->getOperands())
      if (!callee.getBody().isAncestor(operand.getParentRegion()))
        used.insert(operand);
  });
  SmallVector<Value> captured;
  OpBuilder inside = OpBuilder::atBlockBegin(&callee.getBody().front());
  for (Value value : used) {
    if (!isRemade(value)) {
      captured.push_back(value);
      continue;
    }
    Operation *clone = inside.clone(*value.getDefiningOp());
    auto result = cast<OpResult>(value);
    replaceAllUsesInRegionWith(
        value, clone->getResult(result.getResultNumber()), callee.getBody());
  }
  if (captured.empty())
    return LLVM::ZeroOp::create(rewriter, loc, pointer);

  SmallVector<Type> types;
  for (Value value : captured)
    types.push_back(getMemoryType(converter, value));
  auto type = LLVM::LLVMStructType::getLiteral(rewriter.getContext(), types);
  Value context;
  {
    // A loop around the call would make the stack grow.
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointToStart(&caller.getBody().front());
    Value one = LLVM::ConstantOp::create(rewriter, loc, rewriter.getI64Type(),
                                         rewriter.getI64IntegerAttr(1));
    context = LLVM::AllocaOp::create(rewriter, loc, pointer, type, one);
  }
  Value argument = callee.getArgument(0);
  for (auto [index, value] : llvm::enumerate(captured)) {
    LLVM::GEPArg path[] = {0, static_cast<int32_t>(index)};
    Value place =
        LLVM::GEPOp::create(rewriter, loc, pointer, type, context, path);
    LLVM::StoreOp::create(rewriter, loc,
                          buildCast(rewriter, loc, types[index], value), place);
    place = LLVM::GEPOp::create(inside, loc, pointer, type, argument, path);
    Value loaded = LLVM::LoadOp::create(inside, loc, types[index], place);
    loaded = buildCast(inside, loc, value.getType(), loaded);
    replaceAllUsesInRegionWith(value, loaded, callee.getBody());
  }
  return context;
}

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

/// The runtime's entry, declared where it is not yet. Null where the symbol is
/// something else.
static LLVM::LLVMFuncOp getRuntimeFunction(OpBuilder &b, SymbolTable &symbols) {
  MLIRContext *context = b.getContext();
  auto pointer = LLVM::LLVMPointerType::get(context);
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(context),
      {pointer, pointer, b.getI64Type(), b.getI64Type()});
  if (Operation *op = symbols.lookup(runtimeName)) {
    auto function = dyn_cast<LLVM::LLVMFuncOp>(op);
    return function && function.getFunctionType() == type ? function
                                                          : LLVM::LLVMFuncOp();
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&symbols.getOp()->getRegion(0).front());
  auto function =
      LLVM::LLVMFuncOp::create(b, symbols.getOp()->getLoc(), runtimeName, type);
  symbols.insert(function);
  return function;
}

/// The function that runs a task.
static FailureOr<func::FuncOp>
outlineLoop(RewriterBase &rewriter, SymbolTable &symbols, Operation *op) {
  if (failed(checkLoop(rewriter, op, symbols.getOp())))
    return failure();
  auto loop = cast<LoopLikeOpInterface>(op);
  auto caller = op->getParentOfType<func::FuncOp>();
  MLIRContext *context = rewriter.getContext();
  Location loc = op->getLoc();
  LLVMTypeConverter converter(
      context, LowerToLLVMOptions(context, DataLayout::closest(op)));
  SetVector<Value> used;
  getUsedValuesDefinedAbove(op->getRegions(), used);
  for (Value value : used)
    if (!isRemade(value) && !getMemoryType(converter, value))
      return rewriter.notifyMatchFailure(
          op, "uses a value of a type that cannot be stored");
  OpBuilder::InsertionGuard guard(rewriter);
  LLVM::LLVMFuncOp runtime = getRuntimeFunction(rewriter, symbols);
  if (!runtime)
    return rewriter.notifyMatchFailure(op, "the runtime's symbol is taken");

  // In front of the loop: how many tasks, how many bytes.
  hoistSizes(loop);
  rewriter.setInsertionPoint(op);
  SmallVector<Dim> dims = buildDims(rewriter, loop);
  Value tasks = arith::ConstantIndexOp::create(rewriter, loc, 1);
  for (const Dim &dim : dims)
    tasks = rewriter.createOrFold<arith::MulIOp>(loc, tasks, dim.count);
  SmallVector<ScratchBuffer> buffers = findScratchBuffers(loop);
  SmallVector<Value> offsets;
  Value bytes = buildOffsets(rewriter, loc, buffers, offsets);

  // The function, which still uses values of its caller.
  auto pointer = LLVM::LLVMPointerType::get(context);
  Type i64 = rewriter.getI64Type();
  rewriter.setInsertionPointAfter(caller);
  auto callee = func::FuncOp::create(
      rewriter, loc, (caller.getSymName() + "_parallel_0").str(),
      rewriter.getFunctionType({pointer, i64, pointer}, {}));
  int64_t number = 0;
  while (symbols.lookup(callee.getSymName()))
    callee.setSymName(
        (caller.getSymName() + "_parallel_" + Twine(++number)).str());
  symbols.insert(callee);
  callee.setPrivate();
  callee->setAttr("llvm.linkage",
                  LLVM::LinkageAttr::get(context, LLVM::Linkage::Internal));
  Block *entry = callee.addEntryBlock();
  rewriter.setInsertionPointToStart(entry);
  Value task = arith::IndexCastOp::create(
      rewriter, loc, rewriter.getIndexType(), callee.getArgument(1));
  SmallVector<Value> ivs = buildInductionVars(rewriter, loc, dims, task);
  if (!buffers.empty()) {
    Value workspace =
        buildWorkspace(rewriter, loc, converter, callee.getArgument(2), bytes);
    for (auto [buffer, offset] : llvm::zip_equal(buffers, offsets)) {
      memref::AllocOp alloc = buffer.alloc;
      for (Operation *user : llvm::make_early_inc_range(alloc->getUsers()))
        if (isa<memref::DeallocOp>(user))
          rewriter.eraseOp(user);
      rewriter.setInsertionPoint(alloc);
      rewriter.replaceOpWithNewOp<memref::ViewOp>(
          alloc, alloc.getType(), workspace, offset, alloc.getDynamicSizes());
    }
  }
  Block *body = &loop.getLoopRegions().front()->front();
  rewriter.eraseOp(body->getTerminator());
  rewriter.inlineBlockBefore(body, entry, entry->end(), ivs);
  rewriter.setInsertionPointToEnd(entry);
  func::ReturnOp::create(rewriter, loc);

  // The call.
  rewriter.setInsertionPoint(op);
  Value values = buildContext(rewriter, caller, callee, converter);
  Value function = func::ConstantOp::create(
      rewriter, loc, callee.getFunctionType(), callee.getSymName());
  tasks = arith::IndexCastOp::create(rewriter, loc, i64, tasks);
  bytes = arith::IndexCastOp::create(rewriter, loc, i64, bytes);
  LLVM::CallOp::create(rewriter, loc, runtime,
                       ValueRange{buildCast(rewriter, loc, pointer, function),
                                  values, tasks, bytes});
  rewriter.eraseOp(op);
  return callee;
}

LogicalResult rope::outlineParallelLoop(RewriterBase &rewriter,
                                        SymbolTable &symbols, Operation *op) {
  return outlineLoop(rewriter, symbols, op);
}

/// A region that must not be inlined, has no results and allocates memory for
/// parallel loops of its own, as a loop of one task.
static FailureOr<scf::ForallOp> convertToLoop(RewriterBase &rewriter,
                                              scf::ExecuteRegionOp region) {
  if (!region.getNoInline() || region.getNumResults() ||
      !region.getRegion().hasOneBlock())
    return rewriter.notifyMatchFailure(
        region, "may be inlined, has results or several blocks");
  Block &body = region.getRegion().front();
  if (body.getOps<memref::AllocOp>().empty() ||
      (body.getOps<scf::ParallelOp>().empty() &&
       body.getOps<scf::ForallOp>().empty()))
    return rewriter.notifyMatchFailure(
        region, "has no memory or no parallel loops of its own");
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(region);
  auto loop =
      scf::ForallOp::create(rewriter, region.getLoc(),
                            ArrayRef<OpFoldResult>{rewriter.getIndexAttr(1)},
                            ValueRange(), std::nullopt);
  rewriter.eraseOp(body.getTerminator());
  rewriter.inlineBlockBefore(&body, loop.getTerminator());
  rewriter.eraseOp(region);
  return loop;
}

namespace {
struct OutlineParallelLoops
    : rope::impl::OutlineParallelLoopsBase<OutlineParallelLoops> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    IRRewriter rewriter(&getContext());
    auto functions = llvm::to_vector(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      outline(rewriter, symbols, function);
  }

private:
  void outline(RewriterBase &rewriter, SymbolTable &symbols,
               func::FuncOp function) {
    function->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (auto region = dyn_cast<scf::ExecuteRegionOp>(op)) {
        // Its memory is that of a task; its loops are those of the program.
        FailureOr<scf::ForallOp> loop = convertToLoop(rewriter, region);
        if (failed(loop))
          return WalkResult::advance();
        if (FailureOr<func::FuncOp> callee =
                outlineLoop(rewriter, symbols, *loop);
            succeeded(callee))
          outline(rewriter, symbols, *callee);
        return WalkResult::skip();
      }
      if (!isa<scf::ParallelOp, scf::ForallOp>(op))
        return WalkResult::advance();
      (void)outlineParallelLoop(rewriter, symbols, op);
      return WalkResult::skip();
    });
  }
};
} // namespace
