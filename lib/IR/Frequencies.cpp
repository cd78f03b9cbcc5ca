//===- Frequencies.cpp - evaluate frequency chains ------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/Frequencies.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"
#include <cmath>

using namespace mlir;
using namespace mlir::rope;

using Numbers = SmallVector<long double>;

static Numbers evaluate(FrequenciesOp op) {
  if (std::optional<ElementsAttr> values = op.getValues())
    return Numbers(values->getValues<double>());
  int64_t n = op.getType().getDimSize(0);
  long double base = op.getBase()->convertToDouble();
  long double dimension =
      op.getDimension() ? int64_t(*op.getDimension()) : 2 * n;
  return llvm::map_to_vector(llvm::seq<int64_t>(n), [&](int64_t i) {
    return std::pow(base, -2.0L * i / dimension);
  });
}

std::optional<Numbers> rope::evaluateUnrounded(Value frequencies) {
  // A chain is as long as the user wrote it: no recursion.
  llvm::SmallSetVector<ScaleFrequenciesOp, 4> scalings;
  while (auto scale = frequencies.getDefiningOp<ScaleFrequenciesOp>()) {
    // Code that is not reached may be a circle.
    if (!scalings.insert(scale))
      return std::nullopt;
    frequencies = scale.getFrequencies();
  }

  Numbers w;
  DenseElementsAttr constant;
  if (auto op = frequencies.getDefiningOp<FrequenciesOp>())
    w = evaluate(op);
  else if (matchPattern(frequencies, m_Constant(&constant)) &&
           constant.getElementType().isF64())
    w = Numbers(constant.getValues<double>());
  else
    return std::nullopt;

  for (ScaleFrequenciesOp scale : llvm::reverse(scalings)) {
    std::optional<double> length;
    APInt constantLength;
    if (scale.getLength()) {
      if (!matchPattern(scale.getLength(), m_ConstantInt(&constantLength)))
        return std::nullopt;
      length = double(constantLength.getSExtValue());
    }
    w = scale.getScaling().scale(w, length);
  }
  return w;
}

std::optional<SmallVector<double>>
rope::evaluateFrequencies(Value frequencies) {
  std::optional<Numbers> w = evaluateUnrounded(frequencies);
  if (!w)
    return std::nullopt;
  return SmallVector<double>(w->begin(), w->end());
}
