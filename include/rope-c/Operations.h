/*===- rope-c/Operations.h - operations of the dialect -----------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
|* What an operation means, and the labelled rules that its operands and      *|
|* attributes obey, stand in the reference of the dialect. Here:              *|
|*                                                                            *|
|* - `rope...Create` makes an operation with the types of its results, loads  *|
|*   the rope dialect into the context, and verifies the operation. It stands *|
|*   in no block and belongs to the caller (`mlirOperationDestroy`) until it  *|
|*   is given to one (`mlirBlockAppendOwnedOperation`).                       *|
|* - Where a rule does not hold, the result is null and a diagnostic at the   *|
|*   location says which. A value of another type is such a case.             *|
|* - A null handle, an attribute of another kind, a handle of another context *|
|*   and a null array with elements give null and are reported to the error   *|
|*   callback (`ropeSetErrorCallback`).                                       *|
|* - Operations on tensors have a result for each destination; those on       *|
|*   memrefs write to it and have none. `T` stands for tensor or memref.      *|
|* - In structures of options zeros, null pointers and null handles stand for *|
|*   what an operation has by default; a null structure does for all of them. *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_C_OPERATIONS_H
#define ROPE_C_OPERATIONS_H

#include "mlir-c/AffineMap.h"
#include "mlir-c/IR.h"
#include "rope-c/Attributes.h"

#ifdef __cplusplus
extern "C" {
#endif

/*===----------------------------------------------------------------------===*\
|* Frequencies                                                                *|
\*===----------------------------------------------------------------------===*/

/**
 * `rope.frequencies`: `n` frequencies base^(-2i/dimension) in radians per
 * position, as a tensor<n x f64>. `dimension` points to a number of channels,
 * or is null for 2n. `base` > 0, 0 <= `n` <= 2^20.
 */
MLIR_CAPI_EXPORTED MlirOperation ropeFrequenciesCreate(
    MlirLocation location, intptr_t n, double base, const int64_t *dimension);

/**
 * `rope.frequencies` of numbers without a formula: `values[n]` in radians per
 * position, finite and less than 2^20 in magnitude.
 */
MLIR_CAPI_EXPORTED MlirOperation ropeFrequenciesCreateFromValues(
    MlirLocation location, intptr_t n, const double *values);

/**
 * `rope.scale_frequencies`: `frequencies`, a tensor<n x f64>, scaled by a rule.
 * `length`, an i64, is the number of positions in use where the rule depends on
 * it, and a null value where it does not.
 */
MLIR_CAPI_EXPORTED MlirOperation
ropeScaleFrequenciesCreate(MlirLocation location, MlirValue frequencies,
                           MlirAttribute scaling, MlirValue length);

/**
 * Evaluates a chain of `rope.frequencies`, `rope.scale_frequencies` and
 * constants, in radians per position, in extended precision and rounded once.
 * Writes `result[n]`, at most `capacity` numbers, and returns n. Returns -1,
 * silently, where the chain starts at another operation or reads a length that
 * is no constant; after an error where `value` is no tensor<n x f64>; after a
 * diagnostic where an operation of the chain does not obey its rules.
 */
MLIR_CAPI_EXPORTED intptr_t ropeEvaluateFrequencies(MlirValue value,
                                                    intptr_t capacity,
                                                    double *result);

/*===----------------------------------------------------------------------===*\
|* Tables and rotations                                                       *|
\*===----------------------------------------------------------------------===*/

typedef struct RopeTableOptions {
  /** A factor of cosine and sine; null for 1. */
  const double *magnitude;
  /** The axis of each pair, one number for each frequency; null for positions
   * of one axis. */
  intptr_t numAxes;
  const int64_t *axes;
  RopePrecision precision;
} RopeTableOptions;

/**
 * `rope.table`: cosine and sine of positions times frequencies.
 *
 * - `positions`: T<P..> of integers, indices or floats; T<axes x P..> with
 * axes.
 * - `frequencies`: T<n x f64>, in radians per position.
 * - `cos`, `sin`: the destinations, T<P.. x n> of floats.
 */
MLIR_CAPI_EXPORTED MlirOperation ropeTableCreate(
    MlirLocation location, MlirValue positions, MlirValue frequencies,
    MlirValue cos, MlirValue sin, const RopeTableOptions *options);

/**
 * `rope.apply`: rotates pairs of channels of the last dimension of x.
 *
 * - `x`, `init`: T<.. x channels> of floats; `init` is the destination.
 * - `cos`, `sin`: T<P.. x pairs>, where `rotation` says which dimensions of x
 *   P.. are. It is not optional.
 */
MLIR_CAPI_EXPORTED MlirOperation ropeApplyCreate(MlirLocation location,
                                                 MlirValue x, MlirValue cos,
                                                 MlirValue sin, MlirValue init,
                                                 const RopeRotation *rotation);

/*===----------------------------------------------------------------------===*\
|* Attention                                                                  *|
\*===----------------------------------------------------------------------===*/

typedef struct RopeAttentionOptions {
  /** Scales of keys and values that are i8. */
  MlirValue keyScales;
  MlirValue valueScales;
  /** The page of each block of keys. */
  MlirValue pages;
  /** What the region reads an element of for each score: masks, biases. */
  intptr_t numScoreOperands;
  const MlirValue *scoreOperands;
  /** The position of the first query: an integer, or T<batch> of integers. */
  MlirValue queryOffset;
  /** The number of keys of each batch: T<batch> of integers. */
  MlirValue lengths;
  /** A logit for each query head without a value: T<heads> of floats. */
  MlirValue sinks;
  /** A `#rope.rotation`, and its two operands: cosine and sine, or, with
   * angles, positions and frequencies. */
  MlirAttribute queryRotation;
  MlirValue queryRotationOperands[2];
  MlirAttribute keyRotation;
  MlirValue keyRotationOperands[2];
  /** What products of query and key are multiplied by; null for 1. */
  const double *scale;
  /** Whether a query sees no keys behind its own position. */
  bool causal;
  /** How many keys up to its own position a query sees, with `causal`; null for
   * all. */
  const int64_t *window;
  /** The number of positions in a chunk that sees itself alone; null for all.
   */
  const int64_t *chunk;
  /** What becomes of a score: one block of a score (f32, or f64 where an input
   * is), four indices b, h, i, j and the elements of the score operands, that
   * ends with `rope.yield`. The operation takes the region, and it is destroyed
   * where there is no operation. */
  MlirRegion region;
} RopeAttentionOptions;

/**
 * `rope.attention` of `query`, `key` and `value`. One of `indexingMaps` for
 * each of query, key, value, scales, pages, score operands and destinations, in
 * this order, says by which of the loops (b, h, i, j, d, e) its dimensions are
 * indexed: batch, query head, query, key, channel of query and key, channel of
 * value. `inits` holds the destination, and behind it that of the logarithms of
 * the sums of exponentials where these are asked for.
 */
MLIR_CAPI_EXPORTED MlirOperation ropeAttentionCreate(
    MlirLocation location, MlirValue query, MlirValue key, MlirValue value,
    intptr_t numInits, const MlirValue *inits, intptr_t numMaps,
    const MlirAffineMap *indexingMaps, const RopeAttentionOptions *options);

typedef struct RopeOnlineAttentionOptions {
  /** As in `RopeAttentionOptions`. */
  intptr_t numScoreOperands;
  const MlirValue *scoreOperands;
  const double *scale;
  /** Whether no score is hidden. */
  bool unmasked;
  /** As in `RopeAttentionOptions`. */
  MlirRegion region;
} RopeOnlineAttentionOptions;

/**
 * `rope.online_attention`: updates the state of an attention by further keys.
 * `inits` are five destinations: accumulator, maximum, sum, scores and
 * correction. `indexingMaps` are those of query, key, value, score operands and
 * the five.
 */
MLIR_CAPI_EXPORTED MlirOperation ropeOnlineAttentionCreate(
    MlirLocation location, MlirValue query, MlirValue key, MlirValue value,
    const MlirValue *inits, intptr_t numMaps, const MlirAffineMap *indexingMaps,
    const RopeOnlineAttentionOptions *options);

/**
 * `rope.yield`, which ends the region of an attention with a score. It is
 * verified with the operation around it.
 */
MLIR_CAPI_EXPORTED MlirOperation ropeYieldCreate(MlirLocation location,
                                                 MlirValue score);

#ifdef __cplusplus
}
#endif

#endif /* ROPE_C_OPERATIONS_H */
