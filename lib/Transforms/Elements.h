//===- Elements.h - what an element of a tensor is made of ------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads programs on tensors element by element: an element of a tensor, at
// indices that are affine in the indices of one tensor looked at, is an
// expression of elements of other tensors. Slices, concatenations, transposes,
// reshapes, broadcasts, look-ups and conditions on indices leave nothing behind
// in it, so that two spellings of one computation become the same expression.
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_TRANSFORMS_ELEMENTS_H
#define ROPE_LIB_TRANSFORMS_ELEMENTS_H

#include "ConstantColumns.h"
#include "Sizes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/FoldingSet.h"
#include "llvm/Support/Allocator.h"

namespace mlir::rope {

/// What an operation of an expression computes. Others are told apart by their
/// names.
enum class Fn : uint8_t { add, mul, div, neg, cast, fromInt, cos, sin, other };

/// A scalar. Equal ones are one object. Signs stand outermost: there is no
/// difference, and no factor, cast or sine of a negated operand.
struct Expr : llvm::FoldingSetNode {
  enum class Kind : uint8_t {
    element, ///< of the tensor `value`, at `indices`
    number,  ///< `number` of a float, `integer` of an integer
    index,   ///< `indices[0]`, an integer
    scalar,  ///< `value`, which is no tensor
    op,      ///< `fn` of `operands`
  };
  Kind kind = Kind::number;
  Fn fn = Fn::other;
  /// Of a complex number: whether this is the imaginary part.
  bool isImaginary = false;
  /// The type, null for all integers. Its members are not `const`.
  mutable FloatType type;
  Value value;
  double number = 0;
  int64_t integer = 0;
  ArrayRef<AffineExpr> indices;
  ArrayRef<const Expr *> operands;
  /// Of `Fn::other`: an operation that computes it, the name and attributes of
  /// which tell it from others.
  Operation *source = nullptr;

  bool is(Kind other) const { return kind == other; }
  bool is(Fn other) const { return kind == Kind::op && fn == other; }
  bool isFloatNumber() const { return kind == Kind::number && type; }
  bool isInteger() const { return kind == Kind::number && !type; }
  // The name that llvm::FoldingSet calls.
  // NOLINTNEXTLINE(readability-identifier-naming)
  void Profile(llvm::FoldingSetNodeID &id) const;
};
using ExprRef = const Expr *;

/// Expressions of the elements that one tensor looked at is computed from.
class Elements {
public:
  /// `sizes` are those of the dimensions that indices are affine in.
  Elements(MLIRContext *context, ArrayRef<int64_t> sizes, Sizes &tensorSizes,
           ConstantColumns &columns)
      : context(context), sizes(sizes), tensorSizes(tensorSizes),
        columns(columns) {}
  Elements(const Elements &) = delete;

  ExprRef getElement(Value tensor, ArrayRef<AffineExpr> indices,
                     bool isImaginary = false);

  /// The scalar in the body of `op` at the indices `loops`.
  ExprRef getScalar(linalg::LinalgOp op, Value scalar,
                    ArrayRef<AffineExpr> loops, bool isImaginary = false);

  /// What the element is computed from, one step back; null if that cannot be
  /// told.
  ExprRef expand(ExprRef element);

  /// `expr` with every element expanded as far as possible. Equal values have
  /// equal results, as far as the algebra sees it.
  ExprRef resolve(ExprRef expr, unsigned depth = 0);

  /// The elements that were found to be equal to a resolved expression, those
  /// closest to the tensor looked at first.
  ArrayRef<ExprRef> getHolders(ExprRef resolved) const {
    auto it = holders.find(resolved);
    return it == holders.end() ? ArrayRef<ExprRef>() : ArrayRef(it->second);
  }

  /// Whether what dimension `dim` of the tensor looked at indexes in `tensor`
  /// may be larger.
  bool isNarrowed(Value tensor, unsigned dim) const {
    return (narrowed.lookup(tensor) >> dim) & 1;
  }

  ConstantColumns &getColumns() { return columns; }

  /// Sizes of tensors, for those who build what was read.
  Sizes &getSizes() { return tensorSizes; }

  /// The expression that a symbol in an index stands for.
  ExprRef getSymbol(unsigned position) const { return symbols[position]; }

  /// Whether so much was read that the answers cannot be relied on.
  bool isExhausted() const { return budget == 0; }

  // Makers, which simplify.
  ExprRef makeNumber(double number, FloatType type);
  ExprRef makeInteger(int64_t integer);
  ExprRef makeIndex(AffineExpr index);
  ExprRef make(Fn fn, FloatType type, ArrayRef<ExprRef> operands);
  AffineExpr toAffine(ExprRef integer);

private:
  /// The body of an operation at given loop indices.
  struct Body {
    Body(Block *block, linalg::LinalgOp op, ArrayRef<AffineExpr> loops)
        : block(block), op(op), loops(loops) {}
    Block *block;
    linalg::LinalgOp op;
    ArrayRef<AffineExpr> loops;
    DenseMap<std::pair<Value, unsigned>, ExprRef> known;
    unsigned depth = 0;
  };
  struct Bounds {
    std::optional<int64_t> low, high;
  };

  /// Marks the dimensions that indices of `tensor` are affine in as narrowed.
  void narrow(Value tensor, ArrayRef<AffineExpr> indices);
  /// The type of a number, or of one part of a complex one; null for integers.
  static FloatType getFloatType(Type type) {
    if (auto complexType = dyn_cast<ComplexType>(type))
      type = complexType.getElementType();
    return dyn_cast<FloatType>(type);
  }
  static Type getScalarType(Value value) {
    return getElementTypeOrSelf(value.getType());
  }
  ExprRef unique(const Expr &expr);
  ExprRef makeScalar(Value value, bool isImaginary,
                     ArrayRef<AffineExpr> loops = {});
  ExprRef makeOther(Operation *op, FloatType type, ArrayRef<ExprRef> operands);
  ExprRef makeSum(ExprRef a, ExprRef b, bool isDifference, FloatType type);
  ExprRef getOutside(Value value, bool isImaginary);
  ExprRef getConstantElement(ExprRef element);
  ExprRef getEqualColumn(ExprRef element);
  ExprRef evaluate(Body &body, Value scalar, bool isImaginary);
  ExprRef evaluateOp(Operation *op,
                     function_ref<ExprRef(unsigned, bool)> operand,
                     bool isImaginary);
  ExprRef evaluateReal(Operation *op, ArrayRef<ExprRef> operands);
  ExprRef evaluateInteger(Operation *op, ArrayRef<ExprRef> operands);
  ExprRef evaluateComplex(Operation *op,
                          function_ref<ExprRef(unsigned, bool)> operand,
                          bool isImaginary);
  ExprRef expandReduction(linalg::LinalgOp op,
                          MutableArrayRef<AffineExpr> loops, OpResult result,
                          bool isImaginary);
  ExprRef expandStep(ExprRef element);
  ExprRef expandTosa(Operation *op, ExprRef element);

  AffineExpr getSize(OpFoldResult size);
  AffineExpr simplify(AffineExpr expr);
  Bounds getBounds(AffineExpr expr);
  std::optional<bool> isWithin(AffineExpr index, int64_t low, int64_t high);
  /// The index of an element in a group of dimensions of `shape`, and back.
  std::optional<AffineExpr> linearize(ArrayRef<int64_t> shape,
                                      ArrayRef<AffineExpr> indices);
  std::optional<SmallVector<AffineExpr>> delinearize(ArrayRef<int64_t> shape,
                                                     AffineExpr index);

  /// How deep expressions are read. Residual streams are chains of sums as long
  /// as a model has layers.
  static constexpr unsigned kMaxDepth = 192;

  MLIRContext *context;
  SmallVector<int64_t> sizes;
  Sizes &tensorSizes;
  ConstantColumns &columns;
  llvm::BumpPtrAllocator allocator;
  llvm::FoldingSet<Expr> exprs;
  SmallVector<ExprRef> symbols;
  DenseMap<ExprRef, unsigned> symbolOf;
  DenseMap<ExprRef, ExprRef> expanded, resolved;
  DenseMap<ExprRef, SmallVector<ExprRef, 4>> holders;
  /// One bit for each dimension.
  DenseMap<Value, uint64_t> narrowed;
  /// Expressions that may be made before reading stops, so that a raise takes
  /// no longer where a graph is large.
  unsigned budget = 1u << 20;
};

} // namespace mlir::rope

#endif // ROPE_LIB_TRANSFORMS_ELEMENTS_H
