//===- FuseCacheAppendTest.cpp - fusion into a cache under control --------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/IR/RopeDialect.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "gtest/gtest.h"

using namespace mlir;

static constexpr const char *kAppend = R"mlir(
func.func @append(%x: tensor<5x64xf32>, %t: tensor<5x32xf32>,
                  %cache: tensor<9x64xf32>) -> tensor<9x64xf32> {
  %y = rope.apply ins(%x, %t, %t : tensor<5x64xf32>, tensor<5x32xf32>,
                                   tensor<5x32xf32>)
                  outs(%x : tensor<5x64xf32>)
                  {pairing = #rope.pairing<half>, position_dims = array<i64: 0>}
  %r = tensor.insert_slice %y into %cache[2, 0] [5, 64] [1, 1]
    : tensor<5x64xf32> into tensor<9x64xf32>
  return %r : tensor<9x64xf32>
}
)mlir";

namespace {
class FuseCacheAppend : public testing::Test {
protected:
  FuseCacheAppend() {
    context.loadDialect<affine::AffineDialect, arith::ArithDialect,
                        func::FuncDialect, rope::RopeDialect, scf::SCFDialect,
                        tensor::TensorDialect>();
    module = parseSourceString<ModuleOp>(kAppend, &context);
  }

  rope::ApplyOp findApply() {
    rope::ApplyOp found;
    module->walk([&](rope::ApplyOp apply) { found = apply; });
    return found;
  }

  std::string print() {
    std::string text;
    llvm::raw_string_ostream stream(text);
    module->print(stream);
    return text;
  }

  bool isFused() { return isa<scf::ForOp>(findApply()->getParentOp()); }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};
} // namespace

TEST_F(FuseCacheAppend, ControlSaysNo) {
  ASSERT_TRUE(module);
  std::string before = print();
  rope::ApplyOp apply = findApply();
  rope::FusionCandidate asked;
  IRRewriter rewriter(&context);
  EXPECT_TRUE(
      failed(rope::fuseCacheAppend(rewriter, apply,
                                   [&](const rope::FusionCandidate &candidate)
                                       -> std::optional<std::string> {
                                     asked = candidate;
                                     return "it is not worth it";
                                   })));
  EXPECT_EQ(asked.rotation, apply);
  EXPECT_TRUE(isa_and_nonnull<tensor::InsertSliceOp>(asked.target));
  EXPECT_EQ(asked.bytesSaved, 5 * 64 * 4);
  EXPECT_EQ(print(), before);
}

TEST_F(FuseCacheAppend, ControlSaysYes) {
  ASSERT_TRUE(module);
  IRRewriter rewriter(&context);
  EXPECT_TRUE(succeeded(rope::fuseCacheAppend(
      rewriter, findApply(),
      [](const rope::FusionCandidate &) { return std::nullopt; })));
  EXPECT_TRUE(isFused());
}

TEST_F(FuseCacheAppend, Patterns) {
  ASSERT_TRUE(module);
  for (bool isWanted : {false, true}) {
    RewritePatternSet patterns(&context);
    rope::populateFuseCacheAppendPatterns(
        patterns,
        [&](const rope::FusionCandidate &) -> std::optional<std::string> {
          if (isWanted)
            return std::nullopt;
          return "it is not wanted";
        });
    EXPECT_TRUE(succeeded(applyPatternsGreedily(*module, std::move(patterns))));
    EXPECT_EQ(isFused(), isWanted);
  }
}
