//===- HFConfig.h - import of Hugging Face configurations -------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From a model's config.json to a module of rope operations.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_IMPORT_HFCONFIG_H
#define ROPE_IMPORT_HFCONFIG_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstddef>
#include <string>

namespace mlir {
class DialectRegistry;
class MLIRContext;
} // namespace mlir

namespace mlir::rope {

/// Larger configurations are refused. Published ones have some ten kilobytes.
inline constexpr std::size_t maxHFConfigBytes = std::size_t(16) << 20;

struct HFImportOptions {
  /// Element type of the vectors that are rotated: `f32`, `bf16` or `f16`, or
  /// empty for the one the configuration names (f32 where it names none).
  std::string dtype;
};

/// Adds the dialects that imported modules hold.
void registerHFConfigDialects(DialectRegistry &registry);

/// Imports `json`, the text of a configuration as published with a model, with
/// the numbers that Hugging Face transformers computes from it. The module has,
/// for each kind of layer (`SUFFIX` is empty where there is one kind only),
///
///   rope_tableSUFFIX(positions : tensor<?xi64>)
///       -> (cos, sin : tensor<?xNxf32>)
///   rope_applySUFFIX(x : tensor<?x?xHxDxT>, positions : tensor<?x?xi64>)
///       -> tensor<?x?xHxDxT>
///   attentionSUFFIX(q : tensor<?x?xHxDxT>, k : tensor<?x?xHkxDxT>,
///                   v : tensor<?x?xHkxDvxT>, positions : tensor<?x?xi64>)
///       -> tensor<?x?xHxDvxT>
///
/// where `x` is [batch, sequence, query head, channel] and `N` counts every
/// pair of the table, those that do not turn included. Positions of models with
/// several position axes have that axis in front; functions of models whose
/// frequencies depend on the number of positions in use take it as a last
/// argument of type i64.
///
/// `attention` rotates q and k, and scales, caps and masks scores as the model
/// does: causally, but for encoders, in the kind's window or chunk. Indices in
/// the sequence decide what is visible, `positions` the rotation alone. Models
/// whose softmax has a learned logit for each head take these, `sinks :
/// tensor<HxT>`, behind the positions. What stands between a projection and the
/// rotation, such as a norm, is the caller's. Layers without rotation have
/// `attention` alone. Layers whose keys are compressed, or chosen by weights of
/// the model, have none.
///
/// Returns null after an error that names `fileName` and the key, reported at
/// a location in that file through the context's diagnostic engine.
OwningOpRef<ModuleOp> importHFConfig(MLIRContext *context, StringRef json,
                                     StringRef fileName,
                                     const HFImportOptions &options = {});

/// Registers `--import-hf-config` and its option `--dtype` with the
/// translations of MLIR. To be called once, before command lines are parsed.
void registerHFConfigTranslation();

} // namespace mlir::rope

#endif // ROPE_IMPORT_HFCONFIG_H
