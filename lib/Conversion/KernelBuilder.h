//===- KernelBuilder.h - kernels and their launches -------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel is a gpu.func whose parameters are buffers, memref<?xT, strided<[1],
// offset: ?>>, and then numbers, index. Its body holds gpu, arith, memref, scf,
// vector and math operations that each of the targets has; what is spelled
// differently is left to -rope-specialize-kernels. Its workgroup memory is in
// attributions of the address space `workgroup`.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CONVERSION_KERNELBUILDER_H
#define ROPE_LIB_CONVERSION_KERNELBUILDER_H

#include "Rope/Transforms/GPUTarget.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::rope {

/// A memref of the host as a kernel sees it. Elements are addressed by their
/// distance from the first one.
struct KernelBuffer {
  /// The parameter. Its elements are those of the memref, but i16 for bf16 and
  /// two i32, the lower one first, for i64 (and index) where memory of the
  /// target has no such elements; i1 is i8.
  Value memref;
  /// The elements of the memref on the host.
  Type elementType;
  /// Values of type index, in the kernel.
  SmallVector<Value> sizes, strides;
  /// Where its first element is in the parameter; null for 0.
  Value offset;
  /// The same where they are known.
  SmallVector<int64_t> staticSizes, staticStrides;
};

/// Builds one kernel, and its launch in the host's code.
class KernelBuilder : public ImplicitLocOpBuilder {
public:
  /// Starts a kernel in `kernels`; its name starts with `name`. The launch and
  /// what computes its operands are inserted at `host`'s insertion point. The
  /// kernel runs in blocks of `blockSize` threads along x.
  KernelBuilder(OpBuilder &host, Location loc, gpu::GPUModuleOp kernels,
                StringRef name, const GPUTarget &target, unsigned blockSize);

  const GPUTarget &getTarget() const { return target; }
  unsigned getBlockSize() const { return blockSize; }

  //===--------------------------------------------------------------------===//
  // Parameters
  //===--------------------------------------------------------------------===//

  /// A memref of the host as a parameter; the same parameter each time.
  const KernelBuffer &buffer(Value hostMemref);

  /// A number of the host (index) as a value of the kernel: a constant where it
  /// is known, else a parameter; the same one each time.
  Value number(OpFoldResult hostNumber);

  /// A scalar of the host, of any type of at most 64 bits.
  Value scalar(Value hostScalar);

  /// What follows is an iteration of loops of the host, the outermost of which
  /// is `outermost`: the induction variables are values of the kernel. Numbers,
  /// scalars and memrefs of the body are computed where they are asked for; see
  /// `canEnter`.
  void enterLoops(Operation *outermost, ValueRange variables,
                  ValueRange values);
  /// Whether memory that kernels use may hold elements of `type`: f16, bf16,
  /// f32, f64, i1, i8, i16, i32, i64 and index.
  static bool canStore(Type type);
  /// Whether kernels can compute the result of an operation in a loop: scalar
  /// operations without side effects, elements and sizes of memrefs, and
  /// subviews.
  static bool canEnter(Operation *op);

  /// Workgroup memory of `count` elements, memref<count x type>, aligned to 16
  /// bytes.
  Value workgroupMemory(int64_t count, Type type);

  //===--------------------------------------------------------------------===//
  // Values
  //===--------------------------------------------------------------------===//

  Value index(int64_t value);
  Value i32(int64_t value);
  Value real(FloatType type, double value);
  Value add(Value x, Value y);
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  /// The product, an index, of two i32.
  Value mulWide(Value x, Value y);
  /// An index below 2^31 in magnitude as an i32.
  Value toI32(Value x);
  /// Of numbers that are not negative and below 2^31: divided in 32 bits.
  Value div(Value x, Value y);
  Value rem(Value x, Value y);
  Value min(Value x, Value y);
  Value max(Value x, Value y);
  Value less(Value x, Value y);
  /// The coordinates of `linear` in a box of `sizes`, the last one fastest.
  SmallVector<Value> delinearize(Value linear, ValueRange sizes);
  /// gpu.thread_id x and gpu.block_id x.
  Value threadId();
  Value blockId();

  //===--------------------------------------------------------------------===//
  // Memory
  //===--------------------------------------------------------------------===//

  /// The distance of an element from the first one: the sum of index times
  /// stride. Null indices are zeros.
  Value address(const KernelBuffer &buffer, ValueRange indices);

  /// An element, in its own type; i64 and index as i64.
  Value load(const KernelBuffer &buffer, Value address);
  void store(const KernelBuffer &buffer, Value address, Value value);

  /// `count` elements in a row, as vectors or one by one. `aligned` says that
  /// the first one lies at a multiple of the target's widest access, which is
  /// then made use of.
  SmallVector<Value> loadRow(const KernelBuffer &buffer, Value address,
                             int64_t count, bool aligned);
  /// What `loadRow` returned, floats, one by one and in `type`.
  SmallVector<Value> toFloats(ValueRange row, FloatType type);
  /// Both.
  SmallVector<Value> loadFloats(const KernelBuffer &buffer, Value address,
                                int64_t count, FloatType type, bool aligned) {
    return toFloats(loadRow(buffer, address, count, aligned), type);
  }
  /// The same to memory, rounded once to its elements.
  void storeFloats(const KernelBuffer &buffer, Value address, ValueRange values,
                   bool aligned);
  /// The halves of an integer of up to 64 bits, extended by its sign, as i32.
  std::pair<Value, Value> loadHalves(const KernelBuffer &buffer, Value address);
  /// The same of `count` integers of 64 bits in a row, read in the widest
  /// accesses where `aligned`.
  SmallVector<std::pair<Value, Value>> loadHalves(const KernelBuffer &buffer,
                                                  Value address, int64_t count,
                                                  bool aligned);
  /// Moves `count` elements in a row between buffers of one element type.
  void copy(const KernelBuffer &from, Value fromAddress, const KernelBuffer &to,
            Value toAddress, int64_t count, bool aligned);
  /// An integer below 2^31 in magnitude as an index.
  Value loadIndex(const KernelBuffer &buffer, Value address);

  //===--------------------------------------------------------------------===//
  // Control
  //===--------------------------------------------------------------------===//

  /// for (i = from; i < to; i += step) body(i). With `inits`, values that go
  /// around; body returns the next ones.
  SmallVector<Value>
  forLoop(Value from, Value to, Value step, ValueRange inits,
          llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body);
  void forLoop(Value from, Value to, Value step,
               llvm::function_ref<void(Value)> body);
  void ifThen(Value condition, llvm::function_ref<void()> then,
              llvm::function_ref<void()> otherwise = nullptr);
  /// What `then` returns where the condition holds, else `otherwise`.
  SmallVector<Value> ifThen(Value condition, ValueRange otherwise,
                            llvm::function_ref<SmallVector<Value>()> then);
  void barrier();

  /// Ends the kernel and launches `blocks` (index, on the host) blocks along x.
  gpu::LaunchFuncOp launch(OpFoldResult blocks);

  gpu::GPUFuncOp getKernel() { return kernel; }
  OpBuilder &getHost() { return host; }

private:
  bool isInLoops(Value value) const;
  Value compute(Value value);
  const KernelBuffer &view(Value memref);

  OpBuilder &host;
  const GPUTarget &target;
  unsigned blockSize;
  gpu::GPUFuncOp kernel;
  llvm::MapVector<Value, std::unique_ptr<KernelBuffer>> buffers;
  SmallVector<Value> bufferOperands, numberOperands;
  /// Parameters of numbers, and the numbers that hold the bits of scalars.
  DenseMap<Value, Value> numbers, scalars;
  unsigned numWorkgroup = 0;
  /// The loops whose body is at hand, and what was computed of it.
  Operation *loops = nullptr;
  IRMapping computed;
  llvm::MapVector<Value, std::unique_ptr<KernelBuffer>> views;
};

} // namespace mlir::rope

#endif // ROPE_LIB_CONVERSION_KERNELBUILDER_H
