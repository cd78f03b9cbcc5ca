//===- AttentionOps.td - attention with rotations ----------*- tablegen -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each rule that a verifier checks has a label, such as (attention_c3), which
// also stands in the verifier and in the name of the negative test.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IR_ATTENTIONOPS_TD
#define ROPE_IR_ATTENTIONOPS_TD

include "Rope/IR/RopeOpBase.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

defvar Rope_attentionDeclarations = [{
    /// The operands that have a map, in the order of the maps. See Attention.h.
    ::llvm::SmallVector<::mlir::OpOperand *> getMappedOperands();
    /// The map of an operand, null where it has none.
    ::mlir::AffineMap getMap(::mlir::OpOperand &operand);
    /// f64 where query, key or value are f64, else f32: the type of scores,
    /// sums and accumulators.
    ::mlir::FloatType getAccumulatorType();
  }];

/// What both operations have: the loops (b, h, i, j, d, e), maps from them, and
/// a region for each score.
class Rope_AttentionLikeOp<string mnemonic, list<Trait> traits = []>
    : Rope_StructuredOp<mnemonic, !listconcat([
        DeclareOpInterfaceMethods<TilingInterface, [
          "getIterationDomain", "getLoopIteratorTypes",
          "getTiledImplementation", "getResultTilePosition",
          "generateResultTileValue", "getIterationDomainTileFromResultTile",
          "isOpFusableWithConsumerSlice"]>], traits)>;

def Rope_AttentionOp : Rope_AttentionLikeOp<"attention",
                                            [AttrSizedOperandSegments]> {
  let summary = "Attention with rotations of query and key";
  let description = [{
    Over the loops `b` (batch), `h` (query head), `i` (query), `j` (key), `d`
    (channel of query and key) and `e` (channel of value):

    ```
    s[b,h,i,j] = region(scale * sum_d q[b,i,h,d] k[b,j,h',d], b, h, i, j, ...)
    o[b,i,h,e] = sum_j softmax_j(s)[b,h,i,j] v[b,j,h',e]
    ```

    `indexing_maps` say how query, key, value, the scales and pages (see below),
    each of the score operands and each destination are indexed, in this order,
    in any order of dimensions, as maps of `(b, h, i, j, d, e)`. Each result of
    a map is one of the loops; for key, value and score operands also
    `h floordiv g`, where `g` query heads share one, or 0. Loops that an operand
    does not have broadcast it.

    Key and value may be a cache of integers: i8, read with a sign. Each then
    has scales, and its elements are `key * key_scales`, `value * value_scales`,
    computed in the type of scores. The map of scales has loops of their key or
    value, each whole, in groups (`d floordiv g`), or not at all: one scale for
    a token and head is `(b, j, h floordiv 4)`, one for a channel
    `(h floordiv 4, d)`, one for all `()`.

    Key and value may be a cache of pages that hold `P` keys each: with `pages`,
    whose map has `j floordiv P` and may have `b`, the index `j floordiv P` of
    key, value and scales is not an index of theirs but is looked up in `pages`,
    and `j mod P` is the place within the page. With `P = 1` there is no such
    dimension. There are as many keys as pages have places:

    ```
    key[b,j,h',d] = key[pages[b, j floordiv P], j mod P, h', d]
    ```

    Pages are numbers of pages of key and value, else the behaviour is
    undefined; those from `lengths[b]` on are not read, whatever they hold.
    Several batches may have the same page.

    The region, if there is one, maps a score, the index of each of the loops
    `b`, `h`, `i`, `j`, and an element of each score operand to the score that
    enters the softmax: soft-caps, biases, masks. It holds scalar operations
    without side effects.

    Query `i` has position `p = query_offset + i`, where an offset is a number
    or one number for each batch. Key `j` is visible to it where
    - `j < lengths[b]`, if there are lengths;
    - `j <= p`, if `causal`;
    - `p - j < window`, if there is a `window`;
    - `floor(p / chunk) = floor(j / chunk)`, if there is a `chunk`.

    Other keys do not enter the softmax, whatever they hold. Scores of minus
    infinity have no weight. A query with no weight at all gets zeros. `sinks`
    holds one logit for each query head that enters the softmax as a key without
    a value. A second destination, if there is one, receives the logarithm of
    the sum of exponentials, of sinks as well; minus infinity for no weight.

    Scores are computed in f32, in f64 where query, key or value are f64. A NaN
    reaches those results alone that depend on it.

    With `query_rotation` (`key_rotation`) the query (key) is rotated by
    `rope.apply` as it is loaded; see `#rope.rotation`. What is rotated is not
    rounded to the type it is stored in, unless matrix units of a GPU take it
    in that type. Where there are pages, tables follow the keys and not the
    places in which they lie: the dimension `j mod P` stands for `j`, and
    `j floordiv P` for `b`, or for `j` with `P = 1`.

    Rules:
    - (attention_c1) tensors and memrefs are not mixed;
    - (attention_c2) query, key, value, scales, sinks and destinations hold f16,
      bf16, f32 or f64, key and value with scales i8, score operands any
      integers, indices or floats;
    - (attention_c3) there is one map of the six loops for each of query, key,
      value, scales, pages, score operands and destinations, with a result for
      each dimension;
    - (attention_c4) the query's map has `i` and `d`, the key's `j` and `d`, the
      value's `j` and `e`, and else only `b` and `h`; score operands have none of
      `d` and `e`; no map has a loop twice;
    - (attention_c5) the destination has `i` and `e`, that of the sums `i`, and
      both have `b` and `h` where another map has them, and no other loops;
    - (attention_c6) a loop has one size in all operands, groups of heads divide
      the number of heads, and there are channels;
    - (attention_c7) one or two destinations;
    - (attention_c8) `window` comes with `causal`, `window` and `chunk` are
      greater than zero, `scale` is finite;
    - (attention_c9) offsets and lengths are integers, one for each batch, sinks
      one for each head;
    - (attention_c10) the region takes a score, four indices and the elements of
      the score operands, and yields a score;
    - (attention_c11) a rotation has two operands, the head dimension last, and
      obeys the rules of `rope.apply` and `rope.table`;
    - (attention_c12) the product of static sizes does not exceed 2^63 - 1
      bytes;
    - (attention_c13) a memref destination is not an input as well;
    - (attention_c14) the map of scales has loops that their key or value has,
      and groups of heads that are whole groups of its;
    - (attention_c15) pages are integers, and their map has `j floordiv P` and at
      most `b` besides; the maps of key and value then have no `b`, and
      `j floordiv P` and, unless `P` is 1, `j mod P` in place of `j`; those of
      scales as well, or the first of the two, or none.

    Examples:

    ```mlir
    %o = rope.attention {scale = 8.838835e-02 : f64, causal,
                         indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>,
                                          affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, d)>,
                                          affine_map<(b, h, i, j, d, e) -> (b, j, h floordiv 4, e)>,
                                          affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}
           ins(%q, %k, %v : tensor<1x?x32x128xbf16>, tensor<1x?x8x128xbf16>, tensor<1x?x8x128xbf16>)
           rotate_query(%cos, %sin : tensor<?x64xf32>, tensor<?x64xf32>)
             by <pairing = half, position_dims = [1]>
           outs(%init : tensor<1x?x32x128xbf16>) {
    ^bb0(%score: f32, %b: index, %h: index, %i: index, %j: index):
      %cap = arith.constant 5.000000e+01 : f32
      %x = arith.divf %score, %cap : f32
      %y = math.tanh %x : f32
      %z = arith.mulf %y, %cap : f32
      rope.yield %z : f32
    }
    %decoded = rope.attention {scale = 8.838835e-02 : f64,
                               indexing_maps = [affine_map<(b, h, i, j, d, e) -> (b, i, h, d)>,
                                                affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4, d)>,
                                                affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4, e)>,
                                                affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4)>,
                                                affine_map<(b, h, i, j, d, e) -> (j floordiv 16, j mod 16, h floordiv 4)>,
                                                affine_map<(b, h, i, j, d, e) -> (b, j floordiv 16)>,
                                                affine_map<(b, h, i, j, d, e) -> (b, i, h, e)>]}
                 ins(%query, %keys, %values : tensor<?x1x32x128xf32>, tensor<?x16x8x128xi8>, tensor<?x16x8x128xi8>)
                 key_scales(%key_scales : tensor<?x16x8xf16>) value_scales(%value_scales : tensor<?x16x8xf16>)
                 pages(%pages : tensor<?x?xi32>)
                 lengths(%lengths : tensor<?xi32>)
                 rotate_key(%key_cos, %key_sin : tensor<?x64xf32>, tensor<?x64xf32>)
                   by <pairing = half, position_dims = [1]>
                 outs(%empty : tensor<?x1x32x128xf32>)
    ```
  }];
  let arguments = (ins
    Rope_RankedTensorOrMemRef:$query,
    Rope_RankedTensorOrMemRef:$key,
    Rope_RankedTensorOrMemRef:$value,
    Optional<Rope_RankedTensorOrMemRef>:$key_scales,
    Optional<Rope_RankedTensorOrMemRef>:$value_scales,
    Optional<Rope_RankedTensorOrMemRef>:$pages,
    Variadic<Rope_RankedTensorOrMemRef>:$score_operands,
    Optional<AnyTypeOf<[AnySignlessIntegerOrIndex, AnyRankedTensor, AnyMemRef]>>:$query_offset,
    Optional<Rope_RankedTensorOrMemRef>:$lengths,
    Optional<Rope_RankedTensorOrMemRef>:$sinks,
    Variadic<Rope_RankedTensorOrMemRef>:$query_rotation_operands,
    Variadic<Rope_RankedTensorOrMemRef>:$key_rotation_operands,
    Variadic<Rope_RankedTensorOrMemRef>:$inits,
    AffineMapArrayAttr:$indexing_maps,
    DefaultValuedAttr<F64Attr, "1.0">:$scale,
    UnitAttr:$causal,
    OptionalAttr<I64Attr>:$window,
    OptionalAttr<I64Attr>:$chunk,
    OptionalAttr<Rope_RotationAttr>:$query_rotation,
    OptionalAttr<Rope_RotationAttr>:$key_rotation);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region MaxSizedRegion<1>:$region);
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    attr-dict
    `ins` `(` $query `,` $key `,` $value `:` type($query) `,` type($key) `,`
    type($value) `)`
    (`key_scales` `(` $key_scales^ `:` type($key_scales) `)`)?
    (`value_scales` `(` $value_scales^ `:` type($value_scales) `)`)?
    (`pages` `(` $pages^ `:` type($pages) `)`)?
    (`score_operands` `(` $score_operands^ `:` type($score_operands) `)`)?
    (`query_offset` `(` $query_offset^ `:` type($query_offset) `)`)?
    (`lengths` `(` $lengths^ `:` type($lengths) `)`)?
    (`sinks` `(` $sinks^ `:` type($sinks) `)`)?
    (`rotate_query` `(` $query_rotation_operands^ `:`
       type($query_rotation_operands) `)` `by` $query_rotation)?
    (`rotate_key` `(` $key_rotation_operands^ `:`
       type($key_rotation_operands) `)` `by` $key_rotation)?
    `outs` `(` $inits `:` type($inits) `)` ($region^)?
  }];
  let extraClassDeclaration = Rope_attentionDeclarations # [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitsMutable(); }
    /// The scales of key or value, null where it has none.
    ::mlir::OpOperand *getScales(::mlir::OpOperand &operand);
    /// The keys of a page, 0 where there are no pages.
    int64_t getPageSize();
    /// Whether `j floordiv P` of an operand is looked up in pages.
    bool isPaged(::mlir::OpOperand &operand);
    /// What each dimension of key or value follows once pages are looked up.
    ::llvm::SmallVector<::mlir::rope::MapResult>
    getLookedUpLoops(::mlir::OpOperand &operand);
  }];
}

def Rope_OnlineAttentionOp : Rope_AttentionLikeOp<"online_attention"> {
  let summary = "Attention to further keys";
  let description = [{
    Updates the state of an attention, `acc`, `max` and `sum`, by the keys and
    values at hand:

    ```
    s           = region(scale * sum_d q k, b, h, i, j, ...)
    new_max     = max(max, max_j s)
    correction  = exp(max - new_max)
    sum         = sum * correction + sum_j exp(s - new_max)
    acc         = acc * correction + sum_j exp(s - new_max) v
    ```

    The state starts from zeros and, for `max`, minus infinity, and ends as
    `acc / sum`. `scores` and `correction` are destinations so that nothing is
    allocated: what they hold before is not read, and after it is unspecified.
    A NaN or an infinity of a value whose weight is zero does not reach `acc`,
    unless the operation is `unmasked`: no score is hidden then, and a weight is
    zero where it is too small alone.
    Loops, maps and region are those of `rope.attention`.

    Rules:
    - (online_attention_c1) operands are all tensors or all memrefs;
    - (online_attention_c2) query, key and value hold f16, bf16, f32 or f64;
      the five destinations f32, or f64 where one of those is f64; score
      operands any integers, indices or floats;
    - (online_attention_c3) there is one map of the six loops for each operand,
      with a result for each dimension;
    - (online_attention_c4) the maps of query, key, value and score operands are
      those that `rope.attention` takes;
    - (online_attention_c5) the accumulator has `i` and `e`, the scores `i` and
      `j`, the others `i`, all `b` and `h` where another map has them, and no
      other loops;
    - (online_attention_c6) a loop has one size in all operands, groups of heads
      divide the number of heads, and there are channels;
    - (online_attention_c7) `scale` is finite;
    - (online_attention_c8) the region takes a score, four indices and the
      elements of the score operands, and yields a score;
    - (online_attention_c9) the product of static sizes does not exceed 2^63 - 1
      bytes;
    - (online_attention_c10) a memref destination is no other operand as well.

    Example:

    ```mlir
    %o:5 = rope.online_attention {scale = 0.125 : f64,
                                  indexing_maps = [affine_map<(b, h, i, j, d, e) -> (h, i, d)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, j, d)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, j, e)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i, e)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i, j)>,
                                                   affine_map<(b, h, i, j, d, e) -> (h, i)>]}
             ins(%q, %k, %v : tensor<8x16x64xf32>, tensor<8x?x64xf32>, tensor<8x?x64xf32>)
             outs(%acc, %max, %sum, %scores, %correction
                  : tensor<8x16x64xf32>, tensor<8x16xf32>, tensor<8x16xf32>, tensor<8x16x?xf32>, tensor<8x16xf32>)
    ```
  }];
  let arguments = (ins
    Rope_RankedTensorOrMemRef:$query,
    Rope_RankedTensorOrMemRef:$key,
    Rope_RankedTensorOrMemRef:$value,
    Variadic<Rope_RankedTensorOrMemRef>:$score_operands,
    Rope_RankedTensorOrMemRef:$acc,
    Rope_RankedTensorOrMemRef:$max,
    Rope_RankedTensorOrMemRef:$sum,
    Rope_RankedTensorOrMemRef:$scores,
    Rope_RankedTensorOrMemRef:$correction,
    AffineMapArrayAttr:$indexing_maps,
    DefaultValuedAttr<F64Attr, "1.0">:$scale,
    UnitAttr:$unmasked);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region MaxSizedRegion<1>:$region);
  let hasCanonicalizer = 1;
  let assemblyFormat = [{
    attr-dict
    `ins` `(` $query `,` $key `,` $value `:` type($query) `,` type($key) `,`
    type($value) `)`
    (`score_operands` `(` $score_operands^ `:` type($score_operands) `)`)?
    `outs` `(` $acc `,` $max `,` $sum `,` $scores `,` $correction `:`
    type($acc) `,` type($max) `,` type($sum) `,` type($scores) `,`
    type($correction) `)` ($region^)?
  }];
  let extraClassDeclaration = Rope_attentionDeclarations # [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return ::mlir::MutableOperandRange(getOperation(),
                                         getNumOperands() - 5, 5);
    }
  }];
}

def Rope_YieldOp : Op<Rope_Dialect, "yield", [Pure, ReturnLike, Terminator,
    ParentOneOf<["::mlir::rope::AttentionOp",
                 "::mlir::rope::OnlineAttentionOp"]>]> {
  let summary = "Yields a score";
  let description = [{
    Ends the region of `rope.attention` and `rope.online_attention`.

    Example:

    ```mlir
    rope.yield %score : f32
    ```
  }];
  let arguments = (ins AnyFloat:$score);
  let assemblyFormat = "$score attr-dict `:` type($score)";
}

#endif // ROPE_IR_ATTENTIONOPS_TD
