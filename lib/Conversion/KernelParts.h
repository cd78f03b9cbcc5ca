//===- KernelParts.h - operations that share a kernel -----------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Several operations that do not depend on each other run in one launch: each
// is a part of the kernel and has blocks of its own.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CONVERSION_KERNELPARTS_H
#define ROPE_LIB_CONVERSION_KERNELPARTS_H

#include "KernelBuilder.h"
#include "Rope/IR/AngleMath.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Interfaces/LoopLikeInterface.h"

namespace mlir::rope {

/// Where cosines and sines come from: the operands and attributes of a
/// rope.table. Memrefs are on the host's side of a kernel.
struct AngleSource {
  Value positions, frequencies;
  /// memref<nxi32>, the axis of each pair; null where there is one axis.
  Value axes;
  double magnitude = 1.0;
  Precision precision = Precision::exact;
};

/// Cosine and sine, in `type`, of `count` pairs from `pair` on at the position
/// `coordinates`. `aligned` says that the frequencies may be read in widest
/// accesses from there.
SmallVector<CosSin> emitAngles(KernelBuilder &b, const AngleSource &angles,
                               ValueRange coordinates, Value pair,
                               int64_t count, FloatType type, bool aligned);

/// One operation of a kernel.
class KernelPart {
public:
  virtual ~KernelPart() = default;

  /// The number of threads, computed on the host, of the kernel that `emit`
  /// makes after it. `wide` says that the memrefs of `getWideMemrefs` are
  /// aligned and have strides below 2^31.
  virtual OpFoldResult countThreads(ImplicitLocOpBuilder &host,
                                    const GPUTarget &target, bool wide) = 0;
  /// What thread `thread` does.
  virtual void emit(KernelBuilder &b, Value thread) = 0;
  /// The memrefs whose rows are read or written in the widest accesses where
  /// all of them are aligned; none where that cannot be.
  virtual SmallVector<Value> getWideMemrefs(const GPUTarget &target) {
    return {};
  }
};

/// rope.apply; with `angles` in place of its tables where given. Channels that
/// are not rotated are parts of their own: see `makeCopies`.
std::unique_ptr<KernelPart> makeRotation(ApplyOp op,
                                         std::optional<AngleSource> angles);
/// rope.table.
std::unique_ptr<KernelPart> makeTable(TableOp op, AngleSource angles);
/// A copy between memrefs of one shape, whose elements are the same or both
/// floats.
std::unique_ptr<KernelPart> makeCopy(Value from, Value to);
/// A linalg operation on memrefs, one thread for each of its parallel
/// iterations. Null where its region holds more than scalar operations.
std::unique_ptr<KernelPart> makeLinalg(linalg::LinalgOp op);

/// `part` in each iteration of nested loops, whose iterations do not depend on
/// each other: the memrefs of it that are views made inside of them have static
/// shapes.
std::unique_ptr<KernelPart> makeIterations(ArrayRef<LoopLikeOpInterface> loops,
                                           std::unique_ptr<KernelPart> part);

/// The copies of the channels that `op` does not rotate.
SmallVector<std::unique_ptr<KernelPart>> makeCopies(ImplicitLocOpBuilder &host,
                                                    ApplyOp op);

/// Emits one kernel for `parts`, and its launch at the insertion point of
/// `host`: two kernels where rows may be aligned or not, one of which is
/// launched.
void emitKernel(OpBuilder &host, Location loc, gpu::GPUModuleOp kernels,
                StringRef name, const GPUTarget &target,
                ArrayRef<std::unique_ptr<KernelPart>> parts);

} // namespace mlir::rope

#endif // ROPE_LIB_CONVERSION_KERNELPARTS_H
