/*===- rope-c/Execution.h - functions compiled in memory ---------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_C_EXECUTION_H
#define ROPE_C_EXECUTION_H

#include "mlir-c/IR.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Types of elements. Integers of a type without sign take either kind. */
typedef enum RopeElementType {
  ROPE_BOOL = 0, /**< a byte, 0 or 1 */
  ROPE_I8 = 1,
  ROPE_I16 = 2,
  ROPE_I32 = 3,
  ROPE_I64 = 4, /**< also `index` */
  ROPE_U8 = 5,
  ROPE_U16 = 6,
  ROPE_U32 = 7,
  ROPE_U64 = 8,
  ROPE_F16 = 9,
  ROPE_BF16 = 10,
  ROPE_F32 = 11,
  ROPE_F64 = 12
} RopeElementType;

/** Bytes of one element; 0 for a number that is none of these. */
MLIR_CAPI_EXPORTED intptr_t ropeElementTypeGetBytes(RopeElementType type);

/** A size or a stride that any number fits. */
#define ROPE_DYNAMIC INT64_MIN

/**
 * An array in the memory of this machine. A scalar is one of rank 0. The
 * channels of arrays of rank 1 and more follow each other: the last stride is
 * 1 unless the last size is 1 or less.
 */
typedef struct RopeArray {
  void *data; /**< the element whose indices are 0; may be null without any */
  RopeElementType type;
  int32_t rank;
  const int64_t *sizes;
  const int64_t *strides; /**< in elements; null for rows without gaps */
} RopeArray;

/** What an argument or a result of a function is. */
typedef struct RopeParameter {
  RopeElementType type;
  int32_t rank;         /**< 0 for scalars and for arrays of rank 0 */
  bool isWritten;       /**< an argument that the function may write to */
  const int64_t *sizes; /**< ROPE_DYNAMIC where any size fits */
} RopeParameter;

typedef struct RopeCompileOptions {
  /** A processor as LLVM names it; empty for this machine's. */
  MlirStringRef targetCPU;
  /** Features to add to the processor or remove, as in `+avx2,-fma`. */
  MlirStringRef targetFeatures;
  /** Where compiled code is kept and looked for first; empty for nowhere. Made
   * where it does not exist. Any number of processes may use it at once; what
   * is damaged in it is compiled again. */
  MlirStringRef cacheDirectory;
  /** Run `rope-optimize` first: find rotations and fold them into attention. */
  bool optimize;
  /** Run loops on the calling thread alone. */
  bool singleThreaded;
  /** Of LLVM's optimization, 0 to 3. */
  int32_t optLevel;
} RopeCompileOptions;

/** This machine, level 3, threads, nothing else. */
MLIR_CAPI_EXPORTED RopeCompileOptions ropeCompileOptionsGetDefault(void);

/**
 * The number of threads of later calls, the calling one included; 0 or less
 * goes back to the default, `ROPE_NUM_THREADS` or else the number of processors
 * in the process's affinity mask. Calls at the same time share them: the first
 * takes them all, the others run on their own thread. See
 * `Rope/Runtime/Runtime.h`.
 */
MLIR_CAPI_EXPORTED void ropeSetNumThreads(int64_t threads);
MLIR_CAPI_EXPORTED int64_t ropeGetNumThreads(void);

/** A function of a module, compiled for this machine; null where `ptr` is. */
typedef struct RopeFunction {
  void *ptr;
} RopeFunction;

static inline bool ropeFunctionIsNull(RopeFunction function) {
  return !function.ptr;
}

/**
 * Compiles one public function of a module of any level, and what it calls. An
 * empty `name` stands for the only one. The module stays as it is, and neither
 * it nor its context has to live as long as the function. Returns a null
 * function after an error (`ropeSetErrorCallback`): the name is not there, with
 * those that are; the module cannot be lowered, the reason being a diagnostic
 * of its context; the processor is another.
 */
MLIR_CAPI_EXPORTED RopeFunction ropeFunctionCompile(
    MlirModule module, MlirStringRef name, const RopeCompileOptions *options);

/** Frees the code. No call of the function may be running. */
MLIR_CAPI_EXPORTED void ropeFunctionDestroy(RopeFunction function);

/** Name and type in one line. Lives as long as the function. */
MLIR_CAPI_EXPORTED MlirStringRef
ropeFunctionGetSignature(RopeFunction function);

/** Whether the code comes from the cache. */
MLIR_CAPI_EXPORTED bool ropeFunctionIsFromCache(RopeFunction function);

MLIR_CAPI_EXPORTED intptr_t ropeFunctionGetNumArguments(RopeFunction function);
MLIR_CAPI_EXPORTED intptr_t ropeFunctionGetNumResults(RopeFunction function);

/** Live as long as the function. An index out of range gives rank -1. */
MLIR_CAPI_EXPORTED RopeParameter ropeFunctionGetArgument(RopeFunction function,
                                                         intptr_t index);
MLIR_CAPI_EXPORTED RopeParameter ropeFunctionGetResult(RopeFunction function,
                                                       intptr_t index);

/**
 * Whether the sizes of all results are known from those of the arguments, so
 * that `ropeFunctionCall` can write to memory of the caller. Where they are
 * not, `ropeFunctionCallAndAllocate` calls the function.
 */
MLIR_CAPI_EXPORTED bool ropeFunctionHasKnownSizes(RopeFunction function);

/**
 * Checks the arguments and writes the sizes of result `index` to `sizes`, which
 * has room for its rank. Fails with an error as `ropeFunctionCall` does.
 */
MLIR_CAPI_EXPORTED MlirLogicalResult ropeFunctionGetResultSizes(
    RopeFunction function, intptr_t numArguments, const RopeArray *arguments,
    intptr_t index, int64_t *sizes);

/**
 * Calls the function, which writes to the results. Takes no lock, and may be
 * called by any number of threads. Fails with an error,
 * before anything is called, where a number, type, rank, size or stride does
 * not fit, where memory is missing, or where a result shares memory with
 * another one or with an argument. Results written fastest start at a multiple
 * of 64 bytes.
 */
MLIR_CAPI_EXPORTED MlirLogicalResult ropeFunctionCall(
    RopeFunction function, intptr_t numArguments, const RopeArray *arguments,
    intptr_t numResults, const RopeArray *results);

/** Results in memory of their own; null where `ptr` is. */
typedef struct RopeResults {
  void *ptr;
} RopeResults;

static inline bool ropeResultsIsNull(RopeResults results) {
  return !results.ptr;
}

/**
 * Calls the function with results in new memory, each on a 64-byte boundary.
 * Works for every function. Returns null after an error as `ropeFunctionCall`
 * gives it.
 */
MLIR_CAPI_EXPORTED RopeResults ropeFunctionCallAndAllocate(
    RopeFunction function, intptr_t numArguments, const RopeArray *arguments);

/** Result `index`, valid until they are destroyed; rank -1 out of range. */
MLIR_CAPI_EXPORTED RopeArray ropeResultsGet(RopeResults results,
                                            intptr_t index);

MLIR_CAPI_EXPORTED void ropeResultsDestroy(RopeResults results);

#ifdef __cplusplus
}
#endif

#endif /* ROPE_C_EXECUTION_H */
