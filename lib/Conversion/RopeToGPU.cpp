//===- RopeToGPU.cpp - rope operations on memrefs to GPU kernels ----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Arguments of functions, and what rotations and kernels read and write, are in
// the device's memory. What only frequencies are computed from is in the
// host's, and is computed there.
//
//===----------------------------------------------------------------------===//

#include "AttentionKernel.h"
#include "AttentionMmaKernel.h"
#include "AttentionParts.h"
#include "KernelParts.h"
#include "Rope/Conversion/Passes.h"
#include "Rope/IR/Attention.h"
#include "Rope/IR/RopeDialect.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/ScopeExit.h"

namespace mlir::rope {
#define GEN_PASS_DEF_CONVERTROPETOGPU
#include "Rope/Conversion/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// The memref that `memref` is a view of.
static Value rootOf(Value memref) {
  while (Operation *op = memref.getDefiningOp()) {
    auto view = dyn_cast<ViewLikeOpInterface>(op);
    if (!view)
      break;
    memref = view.getViewSource();
  }
  return memref;
}

namespace {
/// Converts one function.
class FunctionConverter {
public:
  FunctionConverter(func::FuncOp func, gpu::GPUModuleOp kernels,
                    const GPUTarget &target)
      : func(func), kernels(kernels), target(target),
        rewriter(func.getContext()) {}

  LogicalResult run() {
    if (failed(checkResults()))
      return failure();
    findDeviceMemory();
    for (Block &block : func.getBody())
      if (failed(convert(block)))
        return failure();
    for (TableOp table : fusedTables)
      rewriter.eraseOp(table);
    convertAllocations();
    return checkHost();
  }

private:
  LogicalResult checkResults();
  void findDeviceMemory();
  bool isOnDevice(Value memref) const {
    return device.contains(rootOf(memref));
  }

  LogicalResult convert(Block &block);
  /// Adds `op` to the kernel at hand, or to a new one.
  LogicalResult addToGroup(Operation *op);
  /// What a kernel does for `op`.
  LogicalResult makeParts(Operation *op,
                          SmallVectorImpl<std::unique_ptr<KernelPart>> &to);
  /// An operation of a kernel in the loops around it.
  struct Iterations {
    SmallVector<LoopLikeOpInterface> loops;
    Operation *op;
  };
  /// The operations of kernels in a parallel loop. Returns false where there
  /// is anything in it that kernels cannot do.
  bool collectIterations(Operation *op, SmallVector<LoopLikeOpInterface> loops,
                         SmallVectorImpl<Iterations> &found);
  /// Whether what one operation of the loops writes, no other one touches.
  bool areIndependent(Operation *loop, ArrayRef<Operation *> ops);
  /// Adds the iterations of a parallel loop to the kernel at hand. Returns
  /// false, and changes nothing, where that cannot be done.
  bool addLoops(Operation *op);
  void emitGroup();
  LogicalResult convertAttention(AttentionOp op);
  /// The same by the matrix units.
  LogicalResult emitMmaAttention(AttentionOp op);
  /// Rotates the keys of `op` by a kernel of their own.
  LogicalResult rotateKeysBefore(AttentionOp op);
  void convertAllocations();
  LogicalResult checkHost();

  /// `memref` where kernels can read it: a copy of what the host computed.
  Value onDevice(Value memref);
  /// Frees the copies at the insertion point.
  void freeUploads();
  std::optional<AngleSource> anglesOf(ApplyOp op);
  AngleSource anglesOf(TableOp op);
  /// The axis of each pair, in memory.
  Value axesOf(std::optional<ArrayRef<int64_t>> axes);
  bool isFused(TableOp op);
  bool dependsOnGroup(Operation *op);
  /// What the kernel of an operation reads, frequencies and what its angles are
  /// made of included, and what it writes.
  void collectAccesses(Operation *op, SmallVectorImpl<Value> &inputs,
                       SmallVectorImpl<Value> &outputs);

  func::FuncOp func;
  gpu::GPUModuleOp kernels;
  const GPUTarget &target;
  IRRewriter rewriter;
  /// Arguments and allocations in the device's memory.
  llvm::SetVector<Value> device;

  /// The operations that share the next kernel, in their order, and what they
  /// read and write.
  SmallVector<Operation *> group;
  SmallVector<std::unique_ptr<KernelPart>> parts;
  llvm::SmallDenseSet<Value> reads, writes;
  /// What of the host's memory was copied for it, and the copies.
  llvm::SmallMapVector<Value, Value, 4> uploaded;
  /// Tables that the rotations that read them make.
  SmallVector<TableOp> fusedTables;
};
} // namespace

LogicalResult FunctionConverter::checkResults() {
  for (Type type : func.getResultTypes())
    if (isa<MemRefType>(type))
      return func.emitError("expected the caller to allocate results of code "
                            "for a GPU, but the sizes of a result of '")
             << func.getName() << "' do not follow from those of its arguments";
  return success();
}

/// The memrefs that an operation of a kernel reads, frequencies left out, and
/// those that it writes.
static void collectMemory(Operation *op, SmallVectorImpl<Value> &inputs,
                          SmallVectorImpl<Value> &outputs) {
  auto add = [](SmallVectorImpl<Value> &to, ValueRange values) {
    for (Value value : values)
      if (isa<MemRefType>(value.getType()))
        to.push_back(value);
  };
  if (auto table = dyn_cast<TableOp>(op)) {
    add(inputs, table.getPositions());
    add(outputs, {table.getCos(), table.getSin()});
  } else if (auto attention = dyn_cast<AttentionOp>(op)) {
    auto addRotation = [&](RotationAttr rotation, ValueRange operands) {
      if (rotation)
        add(inputs, rotation.getAngles() ? operands.take_front() : operands);
    };
    add(inputs,
        {attention.getQuery(), attention.getKey(), attention.getValue()});
    add(inputs, attention.getScoreOperands());
    for (Value optional : {attention.getQueryOffset(), attention.getLengths(),
                           attention.getSinks()})
      if (optional)
        add(inputs, optional);
    addRotation(attention.getQueryRotationAttr(),
                attention.getQueryRotationOperands());
    addRotation(attention.getKeyRotationAttr(),
                attention.getKeyRotationOperands());
    add(outputs, attention.getInits());
  } else if (auto copy = dyn_cast<memref::CopyOp>(op)) {
    add(inputs, copy.getSource());
    add(outputs, copy.getTarget());
  } else if (auto destination = dyn_cast<DestinationStyleOpInterface>(op)) {
    add(inputs, destination.getDpsInputs());
    add(outputs, destination.getDpsInits());
  }
}

void FunctionConverter::findDeviceMemory() {
  for (Value argument : func.getArguments())
    if (isa<MemRefType>(argument.getType()))
      device.insert(argument);
  func.walk([&](Operation *op) {
    if (!isa<TableOp, ApplyOp, AttentionOp>(op))
      return;
    SmallVector<Value> memory;
    collectMemory(op, memory, memory);
    for (Value memref : memory)
      device.insert(rootOf(memref));
  });
  // What reads the device's memory writes there, too.
  for (size_t known = 0; known != device.size();) {
    known = device.size();
    func.walk([&](Operation *op) {
      if (!isa<linalg::LinalgOp, memref::CopyOp>(op))
        return;
      SmallVector<Value> inputs, outputs;
      collectMemory(op, inputs, outputs);
      if (llvm::any_of(inputs, [&](Value v) { return isOnDevice(v); }))
        for (Value output : outputs)
          device.insert(rootOf(output));
    });
  }
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

Value FunctionConverter::onDevice(Value memref) {
  // The runtime copies constants once.
  if (isOnDevice(memref) ||
      isa_and_nonnull<memref::GetGlobalOp>(rootOf(memref).getDefiningOp()))
    return memref;
  Value &copy = uploaded[memref];
  if (copy)
    return copy;
  ImplicitLocOpBuilder b(memref.getLoc(), rewriter);
  auto type = cast<MemRefType>(memref.getType());
  auto plain = MemRefType::get(type.getShape(), type.getElementType());
  SmallVector<Value> sizes;
  for (auto [dim, size] : llvm::enumerate(type.getShape()))
    if (ShapedType::isDynamic(size))
      sizes.push_back(memref::DimOp::create(b, memref, dim));
  if (type != plain) {
    Value row = memref::AllocaOp::create(b, plain, sizes);
    memref::CopyOp::create(b, memref, row);
    memref = row;
  }
  copy = gpu::AllocOp::create(b, plain, /*asyncToken=*/Type(),
                              /*asyncDependencies=*/ValueRange(), sizes,
                              /*symbolOperands=*/ValueRange())
             .getMemref();
  gpu::MemcpyOp::create(b, /*asyncToken=*/Type(), ValueRange(), copy, memref);
  device.insert(copy);
  return copy;
}

Value FunctionConverter::axesOf(std::optional<ArrayRef<int64_t>> axes) {
  if (!axes || axes->empty())
    return Value();
  // Numbers that fit: a position tensor has fewer axes than 2^31.
  SmallVector<int32_t> numbers(axes->begin(), axes->end());
  auto type = MemRefType::get({int64_t(numbers.size())}, rewriter.getI32Type());
  auto values = DenseElementsAttr::get(
      RankedTensorType::get(type.getShape(), type.getElementType()),
      ArrayRef<int32_t>(numbers));
  auto module = func->getParentOfType<ModuleOp>();
  memref::GlobalOp global;
  for (auto other : module.getOps<memref::GlobalOp>())
    if (other.getConstant() && other.getType() == type &&
        other.getInitialValue() == Attribute(values))
      global = other;
  if (!global) {
    OpBuilder b(func.getContext());
    global = memref::GlobalOp::create(
        b, func.getLoc(), "axes", b.getStringAttr("private"), type, values,
        /*constant=*/true, /*alignment=*/IntegerAttr());
    // Under a name that is free.
    SymbolTable(module).insert(global, module.getBody()->begin());
  }
  return memref::GetGlobalOp::create(rewriter, func.getLoc(), type,
                                     global.getSymName());
}

AngleSource FunctionConverter::anglesOf(TableOp op) {
  AngleSource angles;
  angles.positions = onDevice(op.getPositions());
  angles.frequencies = onDevice(op.getFrequencies());
  angles.axes = axesOf(op.getAxes());
  angles.magnitude = op.getMagnitude().convertToDouble();
  angles.precision = op.getPrecision();
  return angles;
}

/// Whether every rotation that reads the table makes it itself: it is f32, as
/// angles are, is written once, and nothing else reads it.
bool FunctionConverter::isFused(TableOp op) {
  for (Value table : {op.getCos(), op.getSin()}) {
    if (!cast<MemRefType>(table.getType()).getElementType().isF32() ||
        !isa_and_nonnull<memref::AllocOp, memref::AllocaOp>(
            table.getDefiningOp()))
      return false;
    for (Operation *user : table.getUsers()) {
      if (user == op || isa<memref::DeallocOp, memref::DimOp>(user))
        continue;
      auto apply = dyn_cast<ApplyOp>(user);
      if (!apply || apply.getCos() != op.getCos() ||
          apply.getSin() != op.getSin() ||
          apply->getBlock() != op->getBlock() || !op->isBeforeInBlock(apply))
        return false;
      // Positions must be those of then.
      SmallVector<Value> sources = {rootOf(op.getPositions()),
                                    rootOf(op.getFrequencies())};
      for (Operation *between = op->getNextNode(); between != apply;
           between = between->getNextNode()) {
        SmallVector<Value> inputs, outputs;
        collectMemory(between, inputs, outputs);
        if (between->getNumRegions() != 0 && !isa<linalg::LinalgOp>(between) &&
            !isa<AttentionOp>(between))
          return false;
        for (Value output : outputs)
          if (llvm::is_contained(sources, rootOf(output)))
            return false;
      }
    }
  }
  return true;
}

std::optional<AngleSource> FunctionConverter::anglesOf(ApplyOp op) {
  for (TableOp table : fusedTables)
    if (table.getCos() == op.getCos())
      return anglesOf(table);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

void FunctionConverter::collectAccesses(Operation *op,
                                        SmallVectorImpl<Value> &inputs,
                                        SmallVectorImpl<Value> &outputs) {
  collectMemory(op, inputs, outputs);
  auto addAngles = [&](TableOp table) {
    inputs.append({table.getPositions(), table.getFrequencies()});
  };
  if (auto table = dyn_cast<TableOp>(op))
    addAngles(table);
  if (auto apply = dyn_cast<ApplyOp>(op))
    for (TableOp table : fusedTables)
      if (table.getCos() == apply.getCos())
        addAngles(table);
}

bool FunctionConverter::dependsOnGroup(Operation *op) {
  SmallVector<Value> inputs, outputs;
  collectAccesses(op, inputs, outputs);
  for (Value input : inputs)
    if (writes.contains(rootOf(input)))
      return true;
  for (Value output : outputs)
    if (writes.contains(rootOf(output)) || reads.contains(rootOf(output)))
      return true;
  return false;
}

void FunctionConverter::freeUploads() {
  for (auto [memref, copy] : uploaded)
    gpu::DeallocOp::create(rewriter, memref.getLoc(), /*asyncToken=*/Type(),
                           ValueRange(), copy);
  uploaded.clear();
}

void FunctionConverter::emitGroup() {
  if (!parts.empty()) {
    rewriter.setInsertionPointAfter(group.back());
    OpBuilder::InsertionGuard guard(rewriter);
    emitKernel(rewriter, group.front()->getLoc(), kernels,
               (func.getName() + "_kernel").str(), target, parts);
    freeUploads();
  }
  parts.clear();
  for (Operation *op : group) {
    // What loops allocate goes with them.
    op->walk([&](Operation *inner) {
      for (Value result : inner->getResults())
        device.remove(result);
    });
    rewriter.eraseOp(op);
  }
  group.clear();
  reads.clear();
  writes.clear();
}

/// Whether nothing is in a memref that `op` writes.
static bool writesNothing(Operation *op) {
  SmallVector<Value> inputs, outputs;
  collectMemory(op, inputs, outputs);
  return llvm::any_of(outputs, [](Value output) {
    return llvm::is_contained(cast<MemRefType>(output.getType()).getShape(), 0);
  });
}

/// Whether kernels can address the memrefs of `op`; the first that they cannot
/// is reported.
static LogicalResult checkMemrefs(Operation *op) {
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (!type)
      continue;
    SmallVector<int64_t> strides;
    int64_t offset;
    if (failed(type.getStridesAndOffset(strides, offset)))
      return op->emitError("expected a strided layout of what a kernel reads "
                           "or writes, but got ")
             << type;
    if (type.getMemorySpace())
      return op->emitError("expected the default memory space of what a kernel "
                           "reads or writes, but got ")
             << type;
    if (!KernelBuilder::canStore(type.getElementType()))
      return op->emitError("expected elements of f16, bf16, f32, f64, i1, i8, "
                           "i16, i32, i64 or index in a kernel, but got ")
             << type;
  }
  return success();
}

LogicalResult FunctionConverter::addToGroup(Operation *op) {
  if (failed(checkMemrefs(op)))
    return failure();
  if (auto table = dyn_cast<TableOp>(op); table && isFused(table)) {
    fusedTables.push_back(table);
    return success();
  }
  if (dependsOnGroup(op))
    emitGroup();
  rewriter.setInsertionPoint(op);
  group.push_back(op);
  SmallVector<Value> inputs, outputs;
  collectAccesses(op, inputs, outputs);
  for (Value input : inputs)
    reads.insert(rootOf(input));
  for (Value output : outputs)
    writes.insert(rootOf(output));
  if (writesNothing(op))
    return success();

  return makeParts(op, parts);
}

LogicalResult
FunctionConverter::makeParts(Operation *op,
                             SmallVectorImpl<std::unique_ptr<KernelPart>> &to) {
  ImplicitLocOpBuilder host(op->getLoc(), rewriter);
  if (auto table = dyn_cast<TableOp>(op)) {
    to.push_back(makeTable(table, anglesOf(table)));
    return success();
  }
  if (auto apply = dyn_cast<ApplyOp>(op)) {
    auto isEmpty = [](Value table) {
      return cast<MemRefType>(table.getType()).getShape().back() == 0;
    };
    if (isEmpty(apply.getCos()) || isEmpty(apply.getSin())) {
      if (apply.getX() != apply.getInit())
        to.push_back(makeCopy(apply.getX(), apply.getInit()));
      return success();
    }
    to.push_back(makeRotation(apply, anglesOf(apply)));
    host.setInsertionPoint(op);
    for (std::unique_ptr<KernelPart> &copy : makeCopies(host, apply))
      to.push_back(std::move(copy));
    return success();
  }
  if (auto copy = dyn_cast<memref::CopyOp>(op)) {
    to.push_back(makeCopy(onDevice(copy.getSource()), copy.getTarget()));
    return success();
  }
  auto linalgOp = cast<linalg::LinalgOp>(op);
  for (OpOperand *operand : linalgOp.getDpsInputOperands())
    if (isa<MemRefType>(operand->get().getType()))
      operand->set(onDevice(operand->get()));
  std::unique_ptr<KernelPart> part = makeLinalg(linalgOp);
  if (!part)
    return op->emitError("expected scalar operations without side effects in "
                         "the body of an operation on the device's memory");
  to.push_back(std::move(part));
  return success();
}

/// Whether iterations of `op` are independent.
static bool isParallelLoop(Operation *op) {
  if (op->getNumResults() != 0)
    return false;
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return loop.getInductionVar().getType().isIndex() &&
           loop->hasAttr(RopeDialect::getParallelAttrName());
  return isa<scf::ParallelOp, scf::ForallOp>(op);
}

bool FunctionConverter::collectIterations(
    Operation *op, SmallVector<LoopLikeOpInterface> loops,
    SmallVectorImpl<Iterations> &found) {
  auto loop = cast<LoopLikeOpInterface>(op);
  std::optional<SmallVector<OpFoldResult>> bounds[] = {
      loop.getLoopLowerBounds(), loop.getLoopUpperBounds(),
      loop.getLoopSteps()};
  Operation *outermost = loops.empty() ? op : loops.front();
  for (auto &values : bounds) {
    if (!values)
      return false;
    for (OpFoldResult value : *values)
      if (auto inside = dyn_cast<Value>(value))
        if (outermost->isProperAncestor(inside.getParentBlock()->getParentOp()))
          return false;
  }
  loops.push_back(loop);
  for (Operation &inner : op->getRegion(0).front().without_terminator()) {
    if (isParallelLoop(&inner)) {
      if (!collectIterations(&inner, loops, found))
        return false;
      continue;
    }
    if (auto table = dyn_cast<TableOp>(inner)) {
      if (!isFused(table))
        return false;
      fusedTables.push_back(table);
      continue;
    }
    // Of tables that are not made; others are refused where they are used.
    if (isa<memref::AllocOp, memref::AllocaOp, memref::DeallocOp>(inner))
      continue;
    if (!isa<ApplyOp, memref::CopyOp, linalg::LinalgOp>(inner)) {
      if (!KernelBuilder::canEnter(&inner))
        return false;
      continue;
    }
    // Rows that are made inside have sizes that the launch can depend on, and
    // are views of what is outside.
    for (Value operand : inner.getOperands()) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      auto isInside = [&](Value value) {
        return outermost->isAncestor(value.getParentBlock()->getParentOp());
      };
      if (!type)
        continue;
      // Reported when the loop is left to the host.
      SmallVector<int64_t> strides;
      int64_t offset;
      if (failed(type.getStridesAndOffset(strides, offset)) ||
          type.getMemorySpace() ||
          !KernelBuilder::canStore(type.getElementType()))
        return false;
      if (!isInside(operand))
        continue;
      auto apply = dyn_cast<ApplyOp>(inner);
      bool isOwnTable =
          apply &&
          llvm::is_contained({apply.getCos(), apply.getSin()}, operand) &&
          llvm::any_of(fusedTables, [&](TableOp table) {
            return table.getCos() == apply.getCos();
          });
      if (!isOwnTable && (!type.hasStaticShape() || isInside(rootOf(operand))))
        return false;
    }
    found.push_back({loops, &inner});
  }
  return true;
}

bool FunctionConverter::areIndependent(Operation *loop,
                                       ArrayRef<Operation *> ops) {
  llvm::SmallDenseMap<Value, Operation *> written;
  for (Operation *op : ops) {
    SmallVector<Value> inputs, outputs;
    collectAccesses(op, inputs, outputs);
    for (Value output : outputs)
      if (!written.try_emplace(rootOf(output), op).second)
        return false;
  }
  for (Operation *op : ops) {
    SmallVector<Value> inputs, outputs;
    collectAccesses(op, inputs, outputs);
    for (Value input : inputs)
      if (Operation *writer = written.lookup(rootOf(input));
          writer && writer != op)
        return false;
  }
  WalkResult loads = loop->walk([&](memref::LoadOp load) {
    return written.contains(rootOf(load.getMemRef())) ? WalkResult::interrupt()
                                                      : WalkResult::advance();
  });
  return !loads.wasInterrupted();
}

bool FunctionConverter::addLoops(Operation *op) {
  size_t numTables = fusedTables.size();
  SmallVector<Iterations> found;
  bool isKernel = collectIterations(op, {}, found) && !found.empty();
  SmallVector<Operation *> leaves;
  for (Iterations &iterations : found)
    leaves.push_back(iterations.op);
  isKernel = isKernel && areIndependent(op, leaves);
  SmallVector<std::unique_ptr<KernelPart>> made;
  if (isKernel) {
    bool depends = llvm::any_of(
        leaves, [&](Operation *leaf) { return dependsOnGroup(leaf); });
    op->walk([&](memref::LoadOp load) {
      depends |= writes.contains(rootOf(load.getMemRef()));
    });
    if (depends)
      emitGroup();
    rewriter.setInsertionPoint(op);
    for (Iterations &iterations : found) {
      SmallVector<std::unique_ptr<KernelPart>> parts;
      if (auto linalgOp = dyn_cast<linalg::LinalgOp>(iterations.op))
        if (!makeLinalg(linalgOp)) {
          isKernel = false;
          break;
        }
      if (failed(makeParts(iterations.op, parts))) {
        isKernel = false;
        break;
      }
      for (std::unique_ptr<KernelPart> &part : parts)
        made.push_back(makeIterations(iterations.loops, std::move(part)));
    }
  }
  // The loop takes its tables along when it goes.
  llvm::scope_exit forgetTables([&] { fusedTables.resize(numTables); });
  if (!isKernel)
    return false;
  for (Operation *leaf : leaves) {
    SmallVector<Value> inputs, outputs;
    collectAccesses(leaf, inputs, outputs);
    for (Value input : inputs)
      reads.insert(rootOf(input));
    for (Value output : outputs)
      writes.insert(rootOf(output));
  }
  op->walk(
      [&](memref::LoadOp load) { reads.insert(rootOf(load.getMemRef())); });
  group.push_back(op);
  for (std::unique_ptr<KernelPart> &part : made)
    parts.push_back(std::move(part));
  return true;
}

LogicalResult FunctionConverter::rotateKeysBefore(AttentionOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), rewriter);
  auto allocate = [&](ArrayRef<OpFoldResult> sizes, Type element) -> Value {
    SmallVector<int64_t> shape;
    SmallVector<Value> dynamic;
    dispatchIndexOpFoldResults(sizes, dynamic, shape);
    Value memory =
        memref::AllocOp::create(b, MemRefType::get(shape, element), dynamic);
    device.insert(memory);
    return memory;
  };
  Value key = op.getKey();
  RotationAttr rotation = op.getKeyRotationAttr();
  SmallVector<Value> tables(op.getKeyRotationOperands());
  if (AnglesAttr angles = rotation.getAngles()) {
    Value positions = tables[0], frequencies = tables[1];
    SmallVector<OpFoldResult> sizes =
        memref::getMixedSizes(b, b.getLoc(), positions);
    if (angles.getAxes())
      sizes.erase(sizes.begin());
    sizes.push_back(memref::getMixedSize(b, b.getLoc(), frequencies, 0));
    tables = {allocate(sizes, b.getF32Type()), allocate(sizes, b.getF32Type())};
    auto table = TableOp::create(
        b, TypeRange{}, positions, frequencies, tables[0], tables[1],
        angles.getMagnitude(), angles.getAxes(),
        PrecisionAttr::get(b.getContext(), angles.getPrecision()));
    rotation = RotationAttr::get(
        b.getContext(), rotation.getPairing(), rotation.getPositionDims(),
        rotation.getOffset(), rotation.getPairStride(),
        rotation.getResultPairing(), rotation.getTranspose(), AnglesAttr());
    if (failed(addToGroup(table)))
      return failure();
    b.setInsertionPointAfter(table);
  }
  Value rotated = allocate(memref::getMixedSizes(b, b.getLoc(), key),
                           cast<MemRefType>(key.getType()).getElementType());
  b.setInsertionPoint(op);
  ApplyOp apply = buildApply(b, rotation, key, tables[0], tables[1], rotated);
  if (failed(addToGroup(apply)))
    return failure();
  emitGroup();
  rewriter.modifyOpInPlace(op, [&] {
    op.getKeyMutable().assign(rotated);
    op.getKeyRotationOperandsMutable().clear();
    op.removeKeyRotationAttr();
  });
  b.setInsertionPointAfter(op);
  memref::DeallocOp::create(b, rotated);
  return success();
}

LogicalResult FunctionConverter::emitMmaAttention(AttentionOp op) {
  // A block takes some queries of one head, and reads all keys that they see.
  // With several blocks of queries each key would be rotated by each of them.
  constexpr int64_t kQueriesOfBlock = 64;
  std::optional<int64_t> queryDim =
      findLoop(op.getMap(op.getQueryMutable()), Loop::query);
  if (!op.getKeyRotationAttr() || !queryDim)
    return emitMmaAttentionKernel(rewriter, op, kernels, target);
  Location loc = op.getLoc();
  OpFoldResult queries =
      memref::getMixedSize(rewriter, loc, op.getQuery(), *queryDim);
  std::optional<int64_t> known = getConstantIntValue(queries);
  auto emitWithKeysBefore = [&] {
    auto clone = cast<AttentionOp>(rewriter.clone(*op));
    rewriter.setInsertionPoint(clone);
    if (failed(rotateKeysBefore(clone)))
      return failure();
    rewriter.setInsertionPoint(clone);
    LogicalResult result =
        emitMmaAttentionKernel(rewriter, clone, kernels, target);
    rewriter.eraseOp(clone);
    return result;
  };
  if (known)
    return *known > kQueriesOfBlock
               ? emitWithKeysBefore()
               : emitMmaAttentionKernel(rewriter, op, kernels, target);
  Value limit = arith::ConstantIndexOp::create(rewriter, loc, kQueriesOfBlock);
  Value isLong = arith::CmpIOp::create(rewriter, loc, arith::CmpIPredicate::ugt,
                                       cast<Value>(queries), limit);
  auto branch =
      scf::IfOp::create(rewriter, loc, isLong, /*withElseRegion=*/true);
  rewriter.setInsertionPointToStart(branch.thenBlock());
  if (failed(emitWithKeysBefore()))
    return failure();
  rewriter.setInsertionPointToStart(branch.elseBlock());
  return emitMmaAttentionKernel(rewriter, op, kernels, target);
}

LogicalResult FunctionConverter::convertAttention(AttentionOp op) {
  if (op.getPages() || op.getKeyScales() || op.getValueScales())
    return op.emitError("attention to pages or to integers with scales is not "
                        "lowered to GPUs");
  if (failed(checkMemrefs(op)))
    return failure();
  if (writesNothing(op)) {
    rewriter.eraseOp(op);
    return success();
  }
  rewriter.setInsertionPoint(op);
  if (needsTables(op)) {
    for (TableOp table : makeTables(rewriter, op)) {
      device.insert(table.getCos());
      device.insert(table.getSin());
      if (failed(addToGroup(table)))
        return failure();
    }
    emitGroup();
  }
  rewriter.setInsertionPoint(op);
  auto place = [&](MutableOperandRange operands) {
    for (OpOperand &operand : operands)
      if (isa<MemRefType>(operand.get().getType()))
        operand.set(onDevice(operand.get()));
  };
  place(op.getScoreOperandsMutable());
  place(op.getQueryOffsetMutable());
  place(op.getLengthsMutable());
  place(op.getSinksMutable());
  place(op.getQueryRotationOperandsMutable());
  place(op.getKeyRotationOperandsMutable());
  if (canUseMma(op, target)) {
    Value aligned = buildMmaCondition(rewriter, op);
    auto branch = scf::IfOp::create(rewriter, op.getLoc(), aligned,
                                    /*withElseRegion=*/true);
    rewriter.setInsertionPointToStart(branch.thenBlock());
    if (failed(emitMmaAttention(op)))
      return failure();
    rewriter.setInsertionPointToStart(branch.elseBlock());
  }
  if (failed(emitAttentionKernel(rewriter, op, kernels, target)))
    return failure();
  rewriter.setInsertionPointAfter(op);
  freeUploads();
  rewriter.eraseOp(op);
  return success();
}

LogicalResult FunctionConverter::convert(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    SmallVector<Value> inputs, outputs;
    collectMemory(&op, inputs, outputs);
    auto onDeviceHere = [&](Value memref) { return isOnDevice(memref); };
    bool isKernel = isa<TableOp, ApplyOp>(op) ||
                    (isa<linalg::LinalgOp, memref::CopyOp>(op) &&
                     (llvm::any_of(inputs, onDeviceHere) ||
                      llvm::any_of(outputs, onDeviceHere)));
    if (isKernel) {
      if (failed(addToGroup(&op)))
        return failure();
      continue;
    }
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      emitGroup();
      if (failed(convertAttention(attention)))
        return failure();
      continue;
    }
    if (isParallelLoop(&op) && addLoops(&op))
      continue;
    // Between the operations of one kernel may stand what touches no memory,
    // or makes some.
    if (isMemoryEffectFree(&op) || isa<memref::AllocOp, memref::AllocaOp>(op))
      continue;
    // What the host writes for itself does not matter to kernels, unless they
    // were given a copy of what it was before.
    if (isa<linalg::LinalgOp, memref::CopyOp, memref::StoreOp>(op)) {
      if (auto store = dyn_cast<memref::StoreOp>(op))
        outputs.push_back(store.getMemRef());
      bool wasCopied = llvm::any_of(uploaded, [&](auto &entry) {
        return llvm::any_of(outputs, [&](Value output) {
          return rootOf(output) == rootOf(entry.first);
        });
      });
      if (wasCopied)
        emitGroup();
      continue;
    }
    emitGroup();
    if (isa<scf::SCFDialect>(op.getDialect()))
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          if (failed(convert(inner)))
            return failure();
  }
  emitGroup();
  return success();
}

//===----------------------------------------------------------------------===//
// Allocations, and what is left
//===----------------------------------------------------------------------===//

void FunctionConverter::convertAllocations() {
  for (Value memref : device.takeVector()) {
    Operation *op = memref.getDefiningOp();
    if (!isa_and_nonnull<memref::AllocOp, memref::AllocaOp>(op)) {
      device.insert(memref);
      continue;
    }
    bool onStack = isa<memref::AllocaOp>(op);
    SmallVector<Operation *> frees;
    bool isUsed = false;
    for (Operation *user : memref.getUsers()) {
      if (isa<memref::DeallocOp>(user))
        frees.push_back(user);
      else
        isUsed = true;
    }
    if (!isUsed) {
      for (Operation *free : frees)
        rewriter.eraseOp(free);
      rewriter.eraseOp(op);
      continue;
    }
    rewriter.setInsertionPoint(op);
    auto type = cast<MemRefType>(memref.getType());
    Value copy =
        gpu::AllocOp::create(rewriter, op->getLoc(), type, Type(), ValueRange(),
                             op->getOperands(), ValueRange())
            .getMemref();
    for (Operation *free : frees) {
      rewriter.setInsertionPoint(free);
      rewriter.replaceOpWithNewOp<gpu::DeallocOp>(free, Type(), ValueRange(),
                                                  copy);
    }
    if (onStack) {
      rewriter.setInsertionPoint(op->getBlock()->getTerminator());
      gpu::DeallocOp::create(rewriter, op->getLoc(), Type(), ValueRange(),
                             copy);
    }
    rewriter.replaceOp(op, copy);
    device.insert(copy);
  }
}

LogicalResult FunctionConverter::checkHost() {
  WalkResult result = func.walk([&](Operation *op) {
    if (isa<ViewLikeOpInterface, memref::DimOp, gpu::LaunchFuncOp, gpu::AllocOp,
            gpu::DeallocOp, gpu::MemcpyOp, memref::ExtractStridedMetadataOp,
            memref::ExtractAlignedPointerAsIndexOp, UnrealizedConversionCastOp>(
            op))
      return WalkResult::advance();
    for (Value operand : op->getOperands()) {
      if (!isa<BaseMemRefType>(operand.getType()) || !isOnDevice(operand))
        continue;
      op->emitError("expected rope operations, linalg operations and copies "
                    "alone to touch the device's memory, but the host would");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

LogicalResult rope::convertRopeToGPU(ModuleOp module, const GPUTarget &target) {
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  // What a launch needs around it.
  module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                  b.getUnitAttr());
  auto kernels = gpu::GPUModuleOp::create(b, module.getLoc(), "rope_kernels");
  SymbolTable(module).insert(kernels);
  for (func::FuncOp func :
       llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (!func.isExternal() &&
        failed(FunctionConverter(func, kernels, target).run()))
      return failure();
  if (kernels.getBody()->empty())
    kernels.erase();
  return success();
}

namespace {
struct ConvertRopeToGPU : rope::impl::ConvertRopeToGPUBase<ConvertRopeToGPU> {
  using ConvertRopeToGPUBase::ConvertRopeToGPUBase;

  void runOnOperation() override {
    llvm::Expected<GPUTarget> target = resolveGPUTarget(api, chip);
    if (!target) {
      getOperation().emitError(llvm::toString(target.takeError()));
      return signalPassFailure();
    }
    if (failed(convertRopeToGPU(getOperation(), *target)))
      signalPassFailure();
  }
};
} // namespace
