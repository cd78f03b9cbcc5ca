//===- RopeOps.td - the rope operations --------------------*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each rule that a verifier checks has a label, such as (apply_c3), which also
// stands in the verifier and in the name of the negative test.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ROPEOPS_TD
#define ROPE_IR_ROPEOPS_TD

include "Rope/IR/AttentionOps.td"
include "Rope/IR/RopeOpBase.td"

def Rope_FrequencyTensor : Type<
  And<[StaticShapeTensorOf<[F64]>.predicate, 1DTensorOf<[F64]>.predicate]>,
  "one-dimensional statically shaped f64 tensor", "::mlir::RankedTensorType">;

//===----------------------------------------------------------------------===//
// Frequencies
//===----------------------------------------------------------------------===//

def Rope_FrequenciesOp : Rope_Op<"frequencies", [Pure,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "Inverse frequencies, one for each rotated pair";
  let description = [{
    The `n` inverse frequencies in radians per position: `base^(-2i/d)` for
    `i = 0 .. n-1`, where `d` is `dimension` and `2n` where that is absent; or
    the numbers of `values`, for those that have no formula.

    The operation stays symbolic: it is not folded to a constant.

    Rules:
    - (frequencies_c1) either `base` or `values` is given, not both;
    - (frequencies_c2) `base` is finite and greater than zero;
    - (frequencies_c3) `values` has the type of the result;
    - (frequencies_c4) `values` are finite and less than 2^20 in magnitude;
    - (frequencies_c5) `dimension` comes with `base` and is greater than zero;
    - (frequencies_c6) there are at most 2^20 frequencies.

    Example:

    ```mlir
    %f = rope.frequencies base(5.0e+05) : tensor<64xf64>
    // 64 pairs turn, the ladder of frequencies is that of 256 pairs.
    %p = rope.frequencies base(1.0e+06) dimension(512) : tensor<64xf64>
    %v = rope.frequencies values(dense<[1.0, 0.25]> : tensor<2xf64>) : tensor<2xf64>
    ```
  }];
  let arguments = (ins OptionalAttr<F64Attr>:$base,
                       OptionalAttr<I64Attr>:$dimension,
                       OptionalAttr<ElementsAttr>:$values);
  let results = (outs Rope_FrequencyTensor:$result);
  let assemblyFormat = [{
    (`base` `(` $base^ `)`)? (`dimension` `(` $dimension^ `)`)?
    (`values` `(` $values^ `)`)? attr-dict `:` type($result)
  }];
}

def Rope_ScaleFrequenciesOp : Rope_Op<"scale_frequencies", [Pure,
    AllTypesMatch<["frequencies", "result"]>,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "Stretches frequencies to a longer context";
  let description = [{
    Applies one scaling rule, any attribute that implements
    `ScalingAttrInterface`, to inverse frequencies. Rules that depend on the
    number of positions in use take it as a value, so that a program needs no
    recompilation when it changes.

    Rules:
    - (scale_frequencies_c1) `length` is given iff the rule depends on it;
    - (scale_frequencies_c2) the rule accepts the number of frequencies;
    - (scale_frequencies_c3) there are at most 2^20 frequencies.

    Example:

    ```mlir
    %f = rope.frequencies base(1.0e+04) : tensor<64xf64>
    %g = rope.scale_frequencies %f by(#rope.linear<factor = 8.0>) : tensor<64xf64>
    %h = rope.scale_frequencies %f by(#rope.dynamic_ntk<factor = 4.0, max_position = 2048.0>)
           at %length : tensor<64xf64>
    ```
  }];
  let arguments = (ins Rope_FrequencyTensor:$frequencies,
                       Rope_ScalingAttrInterface:$scaling,
                       Optional<I64>:$length);
  let results = (outs Rope_FrequencyTensor:$result);
  let assemblyFormat = [{
    $frequencies `by` `(` $scaling `)` (`at` $length^)? attr-dict
    `:` type($result)
  }];
}

//===----------------------------------------------------------------------===//
// Table and apply
//===----------------------------------------------------------------------===//

/// The methods of TilingInterface that operations on whole pairs implement.
defvar Rope_PairTiling = DeclareOpInterfaceMethods<TilingInterface, [
  "getIterationDomain", "getLoopIteratorTypes", "getTiledImplementation",
  "getResultTilePosition", "generateResultTileValue",
  "getIterationDomainTileFromResultTile",
  "getIterationDomainTileFromOperandTiles",
  "getTiledImplementationFromOperandTiles", "isOpFusableWithConsumerSlice",
  "isOpFusableWithProducerSlices"]>;

def Rope_TableOp : Rope_StructuredOp<"table", [Rope_PairTiling]> {
  let summary = "Cosine and sine of position times frequency";
  let description = [{
    `cos[p.., i] = magnitude * cos(positions[p..] * frequencies[i])`, and `sin`
    likewise. Positions have any rank and any integer, index or float type, and
    need not be sorted, positive or small. Frequencies are f64 numbers in
    radians per position, or i64 numbers in turns per position times 2^64, where
    whole turns wrap: what `rope-lower-frequencies` makes of them. With `axes`, one axis number for
    each pair, the leading dimension of `positions` is the axis: pair `i` turns
    with `positions[axes[i], p..]`.

    `precision` says how angles are computed (see `#rope.precision`). Results
    for float positions that are not finite or not below 2^31 in magnitude are
    unspecified numbers.

    Rules:
    - (table_c1) operands are all tensors or all memrefs;
    - (table_c2) `positions` hold integers of at most 64 bits, indices or floats;
    - (table_c3) `frequencies` is one-dimensional, of f64; or of i64 where
      positions are integers or indices and `precision` is exact;
    - (table_c4) `cos` and `sin` have one shape and one float element type;
    - (table_c5) the shape of `cos` is that of the positions (without the axis
      dimension where there are `axes`), then the number of frequencies;
    - (table_c6) `axes` has one entry for each frequency, each not negative and
      below the number of axes in `positions`;
    - (table_c7) `magnitude` is finite;
    - (table_c8) the product of static sizes does not exceed 2^63 - 1 bytes.

    Example:

    ```mlir
    %cos, %sin = rope.table ins(%positions, %f : tensor<?xi64>, tensor<64xf64>)
                            outs(%c0, %s0 : tensor<?x64xf32>, tensor<?x64xf32>)
                            {magnitude = 1.0 : f64}
    ```
  }];
  let arguments = (ins Rope_RankedTensorOrMemRef:$positions,
                       Rope_RankedTensorOrMemRef:$frequencies,
                       Rope_RankedTensorOrMemRef:$cos,
                       Rope_RankedTensorOrMemRef:$sin,
                       DefaultValuedAttr<F64Attr, "1.0">:$magnitude,
                       OptionalAttr<DenseI64ArrayAttr>:$axes,
                       DefaultValuedAttr<Rope_PrecisionAttr,
                         "::mlir::rope::Precision::exact">:$precision);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $positions `,` $frequencies `:` type($positions) `,`
    type($frequencies) `)` `outs` `(` $cos `,` $sin `:` type($cos) `,`
    type($sin) `)` attr-dict
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return ::mlir::MutableOperandRange(getOperation(), 2, 2);
    }
    /// Number of position dimensions: the rank of `cos` less one.
    int64_t getPositionRank() {
      return ::llvm::cast<::mlir::ShapedType>(getCos().getType()).getRank() - 1;
    }
  }];
}

def Rope_ApplyOp : Rope_StructuredOp<"apply", [Rope_PairTiling]> {
  let summary = "Rotates pairs of channels";
  let description = [{
    Writes `x` to the destination with the pairs of channels of its last
    dimension (the head dimension) rotated:

    ```
    (u, v) -> (u cos - v sin, u sin + v cos)
    ```

    There are as many pairs as the tables have columns. `pairing` says which
    channels form one, from channel `offset` on; see `#rope.pairing`.
    `pair_stride` is the distance of the two channels in half pairing, the
    number of pairs where it is absent. The other channels are copied bit for
    bit. With `result_pairing` the rotated pairs are written in that pairing.
    `transpose` negates the sine: the inverse rotation for tables of magnitude
    one, the gradient for any.

    `position_dims` names the dimension of `x` that each leading dimension of
    the tables follows; along all others the tables are broadcast.

    16-bit elements are widened, rotated in f32 and rounded once, to the elements
    of the destination.

    Rules:
    - (apply_c1) operands are all tensors or all memrefs;
    - (apply_c2) `x` and the destination have one shape and at least one
      dimension, and hold floats, the destination those of `x` or wider ones;
    - (apply_c3) `cos` and `sin` have one shape and one float element type;
    - (apply_c4) the tables have one dimension for each of `position_dims`, then
      that of the pairs;
    - (apply_c5) `position_dims` are distinct dimensions of `x` before its last;
    - (apply_c6) the leading sizes of the tables are those of the dimensions of
      `x` they follow;
    - (apply_c7) `offset` is not negative, and all pairs lie within the head
      (without pairs, `offset` and `offset + pair_stride` do);
    - (apply_c8) `pair_stride` comes with half pairing and is not less than the
      number of pairs;
    - (apply_c9) `pair_stride` is the number of pairs where `result_pairing`
      differs from `pairing`;
    - (apply_c10) the product of static sizes does not exceed 2^63 - 1 bytes;
    - (apply_c11) a memref is not rotated onto itself where `result_pairing`
      differs from `pairing`.

    On memrefs the destination may be `x` itself but must not overlap the tables
    or a part of `x`.

    Canonicalizations, on tensors. A unit table is one that a `rope.table` of
    magnitude one makes, with elements of f32 or wider, and not narrower than
    those of `x`. Channels are rotated alike where `offset`, stride, position
    dimensions and the pairing between two rotations agree. None adds a
    rounding; a rotation that goes takes its roundings along.
    - (apply_f1) A rotation of no pairs into elements of the same type is `x`.
    - (apply_f2) A rotation by a table of magnitude one at positions that are all
      the constant zero is `x` where type and pairing stay, but for the sign of
      zeros and the NaN that an infinite partner makes.
    - (apply_f3) A rotation and its inverse, one of which has `transpose`, by the
      same unit table and of channels that are rotated alike are `x`, where
      the last pairing is the first one. With 16-bit tables they are not: the
      squares of such a cosine and sine do not add up to one.
    - (apply_f4) A rotation of `extf` of a tensor reads the tensor: 16-bit
      elements are widened by the rotation itself. Bit for bit the same.
    - (apply_f5) A rotation of 16-bit elements into f32 by tables that are not
      of f64, which `truncf` alone uses and turns back to the type of `x`,
      rounds once itself. Bit for bit the same.
    - (apply_f6) A copy that repeats `x` along dimensions that tables do not
      follow, and keeps the head dimension last, repeats the rotated tensor
      instead.
    - (apply_f7) A slice that is all that uses a rotation, and takes all channels
      of some rows, is a rotation of the slice of `x`, by slices of the tables.
    - (apply_f8) A `tensor.concat`, or `tensor.insert_slice`s, of neighbouring
      channels of one tensor, of which one part is rotated, is a rotation of
      those channels from an `offset` on, if the rotation has no other use.

    Example:

    ```mlir
    %y = rope.apply ins(%x, %cos, %sin : tensor<1x?x32x128xbf16>, tensor<?x64xf32>, tensor<?x64xf32>)
                    outs(%init : tensor<1x?x32x128xbf16>)
                    {pairing = #rope.pairing<half>, position_dims = array<i64: 1>}
    ```
  }];
  let arguments = (ins Rope_RankedTensorOrMemRef:$x,
                       Rope_RankedTensorOrMemRef:$cos,
                       Rope_RankedTensorOrMemRef:$sin,
                       Rope_RankedTensorOrMemRef:$init,
                       Rope_PairingAttr:$pairing,
                       DenseI64ArrayAttr:$position_dims,
                       DefaultValuedAttr<I64Attr, "0">:$offset,
                       OptionalAttr<I64Attr>:$pair_stride,
                       OptionalAttr<Rope_PairingAttr>:$result_pairing,
                       UnitAttr:$transpose);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    `ins` `(` $x `,` $cos `,` $sin `:` type($x) `,` type($cos) `,` type($sin)
    `)` `outs` `(` $init `:` type($init) `)` attr-dict
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
    /// The pairing of the result: `result_pairing`, else `pairing`.
    ::mlir::rope::Pairing getWrittenPairing() {
      return getResultPairing().value_or(getPairing());
    }
  }];
}

#endif // ROPE_IR_ROPEOPS_TD
