//===- RopeOpBase.td - what the rope operations share ------*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ROPEOPBASE_TD
#define ROPE_IR_ROPEOPBASE_TD

include "Rope/IR/RopeAttrs.td"
include "mlir/Dialect/Linalg/IR/LinalgInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/TilingInterface.td"

class Rope_Op<string mnemonic, list<Trait> traits = []>
    : Op<Rope_Dialect, mnemonic, traits> {
  let hasVerifier = 1;
  // By name, so that attributes can be added: see lib/IR/Bytecode.h.
  let useCustomPropertiesEncoding = 1;
}

def Rope_RankedTensorOrMemRef : AnyTypeOf<[AnyRankedTensor, AnyMemRef],
  "ranked tensor or memref">;

/// Operations in destination style on tensors (results) or memrefs (none).
class Rope_StructuredOp<string mnemonic, list<Trait> traits = []>
    : Rope_Op<mnemonic, !listconcat([
        DestinationStyleOpInterface,
        DeclareOpInterfaceMethods<InferTypeOpInterface>,
        DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
        DeclareOpInterfaceMethods<ConditionallySpeculatable>,
        DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>
      ], traits)>;

#endif // ROPE_IR_ROPEOPBASE_TD
