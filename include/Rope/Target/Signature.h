//===- Signature.h - what a lowered function takes and gives ----*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A function lowered to the `llvm` dialect no longer shows its shapes. These
// attributes keep them:
//
// - `c_signature`: the function type it had;
// - `c_result_dims`: for each result an array of pairs (argument, dimension),
//   one for each dynamic dimension of the result, in order. The caller then
//   allocates the results. Without it the function returns its results;
// - `c_equal_dims`: arrays (a, i, b, j): dimension i of argument a must be
//   equal to dimension j of argument b;
// - `c_size_bounds`: arrays (a, i, factor, constant, b, j): see `SizeBound`.
//   Argument -1 stands for a number, that of its dimension.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_TARGET_SIGNATURE_H
#define ROPE_TARGET_SIGNATURE_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/Error.h"
#include <optional>

namespace mlir::rope {

/// A dimension of an argument.
struct ArgumentDim {
  unsigned argument;
  unsigned dim;
};

/// `factor` times the size `smaller` (0 where absent), plus `constant`, is at
/// most the size `larger`, or `limit` where that is absent.
struct SizeBound {
  std::optional<ArgumentDim> smaller;
  int64_t factor = 0, constant = 0;
  std::optional<ArgumentDim> larger;
  int64_t limit = 0;
};

/// The C interface of one lowered function.
struct Signature {
  /// Name of the function in the source; the C symbol is `getSymbol()`.
  std::string name;
  /// Arguments and results as the source has them.
  FunctionType type;
  /// For each result, where each of its dynamic sizes comes from. Absent where
  /// the function allocates and returns its results.
  std::optional<SmallVector<SmallVector<ArgumentDim>>> resultDims;
  /// Pairs of dimensions that must have one size.
  SmallVector<std::pair<ArgumentDim, ArgumentDim>> equalDims;
  /// What else sizes must be.
  SmallVector<SizeBound, 0> sizeBounds;

  /// The symbol of the C interface: `_mlir_ciface_` and the name.
  std::string getSymbol() const;

  /// The name and the type as one line, for messages and listings.
  std::string str() const;
};

/// Whether values of the type are passed as pointers to strided descriptors.
inline bool isArray(Type type) {
  return isa<RankedTensorType, MemRefType>(type);
}

/// Bytes of one array element of the type in memory, none where arrays of it
/// cannot cross the C interface. An i1 takes a byte, an index eight.
std::optional<unsigned> getElementBytes(Type type);

/// Reads the signature of `name` in a module of the `llvm` dialect. Fails with
/// a sentence where there is no such function, where it has no `c_signature`,
/// or where its attributes do not fit it or its C interface.
llvm::Expected<Signature> getSignature(ModuleOp module, StringRef name);

/// One line for each public function of a module of any level: its name and its
/// type, where that is known.
std::string listFunctions(ModuleOp module);

/// Names of the functions with a `c_signature`, in the order of the module.
SmallVector<StringRef> getInterfaceFunctions(ModuleOp module);

} // namespace mlir::rope

#endif // ROPE_TARGET_SIGNATURE_H
