//===- Nano.td - the dialect of a small compiler -----------*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef NANO_TD
#define NANO_TD

include "Rope/IR/RopeInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Nano_Dialect : Dialect {
  let name = "nano";
  let cppNamespace = "::nano";
  let useDefaultAttributePrinterParser = 1;
}

def Nano_StretchAttr : AttrDef<Nano_Dialect, "Stretch", [
    DeclareAttrInterfaceMethods<Rope_ScalingAttrInterface,
                                ["verifyScaling"]>]> {
  let summary = "Divides the frequencies from one pair on by a factor";
  let mnemonic = "stretch";
  let parameters = (ins "::mlir::FloatAttr":$factor, "int64_t":$first);
  let assemblyFormat = "`<` struct(params) `>`";
}

class Nano_Op<string mnemonic, list<Trait> traits = []>
    : Op<Nano_Dialect, mnemonic, [Pure] # traits>;

def Nano_RotateOp : Nano_Op<"rotate", [AllTypesMatch<["x", "result"]>]> {
  let summary = "Rotates x, [sequence, heads, channels], by its positions";
  let arguments = (ins 3DTensorOf<[F32]>:$x, 1DTensorOf<[I64]>:$positions,
                       F64Attr:$base,
                       OptionalAttr<Rope_ScalingAttrInterface>:$scaling);
  let results = (outs 3DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $x `at` $positions `base` `(` $base `)` (`scaled` `by` `(` $scaling^ `)`)?
    attr-dict `:` type($x) `,` type($positions)
  }];
}

def Nano_StoreOp : Nano_Op<"store", [AllTypesMatch<["cache", "result"]>]> {
  let summary = "Writes x to a cache, from a place on";
  let description = [{
    `whole`: x stands as a whole in memory first, so that it can be looked at.
  }];
  let arguments = (ins 3DTensorOf<[F32]>:$x, 3DTensorOf<[F32]>:$cache,
                       Index:$place, UnitAttr:$whole);
  let results = (outs 3DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    $x `in` $cache `from` $place (`whole` $whole^)? attr-dict
    `:` type($x) `,` type($cache)
  }];
}

#endif // NANO_TD
