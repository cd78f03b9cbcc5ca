//===- RopeInterfaces.td - the frequency scaling interface -*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ROPEINTERFACES_TD
#define ROPE_IR_ROPEINTERFACES_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"

def Rope_ScalingAttrInterface : AttrInterface<"ScalingAttrInterface"> {
  let cppNamespace = "::mlir::rope";
  let description = [{
    A rule that changes the inverse frequencies of rotary position embeddings
    so that a model can read longer contexts than it was trained on.

    Any dialect may implement it: `rope.scale_frequencies` takes every
    attribute that does, and compile-time evaluation, lowering and reports work
    through these methods alone.
  }];
  let methods = [
    InterfaceMethod<[{
      Scales the inverse frequencies `w`, in radians per position, in extended
      precision; the caller rounds the end of a chain once to f64. `length` is
      the number of positions in use where `isLengthDependent()`, else unused.
      Called only after `verifyScaling` has succeeded for `w.size()`; returns
      as many numbers as it got.
    }], "::llvm::SmallVector<long double>", "scale",
      (ins "::llvm::ArrayRef<long double>":$w, "std::optional<double>":$length)>,
    InterfaceMethod<[{
      Builds what `scale` computes for frequencies or a length that are known
      only at run time. `w` is a `tensor<nxf64>`; `length` an `i64`, null
      unless `isLengthDependent()`. Returns a `tensor<nxf64>`.
    }], "::mlir::Value", "buildScale",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::Value":$w, "::mlir::Value":$length)>,
    InterfaceMethod<[{
      Whether the rule reads the number of positions in use.
    }], "bool", "isLengthDependent", (ins), [{}], [{ return false; }]>,
    InterfaceMethod<[{
      Whether the rule can scale `n` frequencies. Reports the reason through
      `emitError` where it cannot.
    }], "::llvm::LogicalResult", "verifyScaling",
      (ins "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError,
           "int64_t":$n),
      [{}], [{ return ::mlir::success(); }]>,
  ];
}

#endif // ROPE_IR_ROPEINTERFACES_TD
