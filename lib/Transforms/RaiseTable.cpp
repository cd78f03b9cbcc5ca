//===- RaiseTable.cpp - find what makes cosines and sines -----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RaiseTable.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::rope;

bool rope::isSlice(const Elements &elements, const View &view) {
  llvm::SmallBitVector isUsed(64);
  for (auto [i, index] : llvm::enumerate(view.indices)) {
    if (int64_t(i) == view.channelDim || isa<AffineConstantExpr>(index))
      continue;
    auto sum = dyn_cast<AffineBinaryOpExpr>(index);
    AffineExpr start = index;
    if (sum && sum.getKind() == AffineExprKind::Add) {
      start = sum.getLHS();
      // An offset that is a scalar of the program.
      AffineExpr offset = sum.getRHS();
      auto symbol = dyn_cast<AffineSymbolExpr>(offset);
      if (!isa<AffineConstantExpr>(offset) &&
          !(symbol &&
            elements.getSymbol(symbol.getPosition())->is(Expr::Kind::scalar)))
        return false;
    }
    if (auto symbol = dyn_cast<AffineSymbolExpr>(start);
        symbol && start == index &&
        elements.getSymbol(symbol.getPosition())->is(Expr::Kind::scalar))
      continue;
    auto dim = dyn_cast<AffineDimExpr>(start);
    if (!dim || dim.getPosition() >= isUsed.size() ||
        isUsed.test(dim.getPosition()))
      return false;
    isUsed.set(dim.getPosition());
  }
  return true;
}

/// The dimension, and no other, in which two elements of one tensor differ by a
/// number.
static std::optional<int64_t> getDifference(ExprRef a, ExprRef b) {
  if (!a->is(Expr::Kind::element) || !b->is(Expr::Kind::element) ||
      a->value != b->value || a->isImaginary != b->isImaginary)
    return std::nullopt;
  std::optional<int64_t> found;
  for (auto [i, s, t] : llvm::enumerate(a->indices, b->indices)) {
    if (s == t)
      continue;
    if (found || !isa<AffineConstantExpr>(s) || !isa<AffineConstantExpr>(t))
      return std::nullopt;
    found = i;
  }
  return found;
}

static View getView(ExprRef element, int64_t channelDim) {
  return {element->value, llvm::to_vector(element->indices), channelDim,
          element->isImaginary};
}

/// Those that hold a resolved expression, first those that vary along the
/// fewest dimensions, and of these the first that was made: before it was
/// broadcast, repeated or moved.
static SmallVector<ExprRef> getHolders(const Elements &elements,
                                       ExprRef resolved) {
  SmallVector<std::pair<int64_t, int64_t>> order;
  ArrayRef<ExprRef> found = elements.getHolders(resolved);
  for (auto [i, holder] : llvm::enumerate(found))
    order.push_back({llvm::count_if(holder->indices,
                                    [](AffineExpr index) {
                                      return !isa<AffineConstantExpr>(index);
                                    }),
                     -int64_t(i)});
  llvm::sort(order);
  SmallVector<ExprRef> holders;
  for (auto [dims, i] : order)
    holders.push_back(found[-i]);
  return holders;
}

//===----------------------------------------------------------------------===//
// Given tables
//===----------------------------------------------------------------------===//

/// The tensor, closest to the rotation, that holds `exprs` as columns.
static std::optional<Columns> findColumns(Elements &elements,
                                          ArrayRef<ExprRef> exprs) {
  Columns columns;
  columns.type = exprs.front()->type;
  if (llvm::all_of(exprs, [](ExprRef expr) { return expr->isFloatNumber(); })) {
    for (ExprRef expr : exprs)
      columns.numbers.push_back(expr->number);
    return columns;
  }
  auto accept = [&](View view) {
    columns.view = std::move(view);
    if (!isSlice(elements, columns.view) || columns.step <= 0)
      return false;
    for (auto [i, expr] : llvm::enumerate(exprs)) {
      int64_t channel = columns.first + columns.step * int64_t(i);
      if (llvm::none_of(elements.getHolders(expr), [&](ExprRef holder) {
            return columns.view.getChannel(holder) == channel;
          }))
        return false;
    }
    return true;
  };
  auto getNumber = [](ExprRef element, int64_t dim) {
    return cast<AffineConstantExpr>(element->indices[dim]).getValue();
  };
  for (ExprRef holder : getHolders(elements, exprs.front())) {
    if (exprs.size() == 1) {
      for (int64_t dim = holder->indices.size() - 1; dim >= 0; --dim) {
        if (!isa<AffineConstantExpr>(holder->indices[dim]))
          continue;
        columns.first = getNumber(holder, dim);
        if (accept(getView(holder, dim)))
          return columns;
      }
      continue;
    }
    for (ExprRef other : elements.getHolders(exprs[1])) {
      std::optional<int64_t> dim = getDifference(holder, other);
      if (!dim)
        continue;
      columns.first = getNumber(holder, *dim);
      columns.step = getNumber(other, *dim) - columns.first;
      if (accept(getView(holder, *dim)))
        return columns;
    }
  }
  return std::nullopt;
}

std::optional<GivenTable> rope::findTable(Elements &elements,
                                          const Rotation &rotation,
                                          std::string &reason) {
  std::optional<Columns> cos = findColumns(elements, rotation.cos);
  std::optional<Columns> sin = findColumns(elements, rotation.sin);
  if (!cos || !sin) {
    reason = ("no tensor holds the " + Twine(cos ? "sines" : "cosines") +
              ", one column for each pair")
                 .str();
    return std::nullopt;
  }
  return GivenTable{std::move(*cos), std::move(*sin)};
}

//===----------------------------------------------------------------------===//
// Made tables
//===----------------------------------------------------------------------===//

namespace {
/// A cosine or a sine.
struct Entry {
  FloatType type;
  double magnitude = 1;
  ExprRef angle = nullptr;
};

/// Follows cosines and sines to positions and frequencies.
class Tracer {
public:
  Tracer(Elements &elements, const Rotation &rotation, std::string &reason)
      : elements(elements), rotation(rotation), reason(reason) {}

  std::optional<MadeTable> trace();

private:
  std::nullopt_t fail(const Twine &why) {
    reason = why.str();
    return std::nullopt;
  }
  std::optional<Entry> getEntry(ExprRef expr, Fn fn);
  std::optional<MadeTable> traceAngles(ArrayRef<Entry> entries);
  std::optional<MadeTable> traceLookup();
  bool setPositions(MadeTable &table, ArrayRef<ExprRef> positions);

  Elements &elements;
  const Rotation &rotation;
  std::string &reason;
};
} // namespace

/// Without casts to wider types, which keep values.
static ExprRef stripWidening(ExprRef expr) {
  while (expr->is(Fn::cast) && expr->operands[0]->type &&
         expr->type.getWidth() > expr->operands[0]->type.getWidth())
    expr = expr->operands[0];
  return expr;
}

std::optional<Entry> Tracer::getEntry(ExprRef expr, Fn fn) {
  Entry entry;
  expr = stripWidening(expr);
  entry.type = expr->type;
  // Rounded once, after it was multiplied by a magnitude.
  if (expr->is(Fn::cast))
    expr = expr->operands[0];
  if (expr->is(Fn::mul) && expr->operands[0]->isFloatNumber()) {
    entry.magnitude = expr->operands[0]->number;
    expr = expr->operands[1];
  }
  if (!expr->is(fn))
    return std::nullopt;
  entry.angle = expr->operands[0];
  return entry;
}

/// Finds the tensor of the positions of each pair, which may differ in the
/// axis.
bool Tracer::setPositions(MadeTable &table, ArrayRef<ExprRef> positions) {
  ExprRef first = positions.front();
  if (llvm::all_equal(positions)) {
    // A tensor that is read whole needs no slice.
    for (bool isWhole : {true, false})
      for (ExprRef holder : getHolders(elements, first)) {
        table.positions = getView(holder, -1);
        if (isSlice(elements, table.positions) &&
            (!isWhole ||
             llvm::all_of(holder->indices, llvm::IsaPred<AffineDimExpr>)))
          return true;
      }
    if (!first->is(Expr::Kind::index) && !first->is(Expr::Kind::scalar))
      return false;
    table.positions = View();
    table.computed = first;
    return !first->type;
  }
  for (ExprRef holder : getHolders(elements, first)) {
    for (int64_t dim = 0, e = holder->indices.size(); dim != e; ++dim) {
      if (!isa<AffineConstantExpr>(holder->indices[dim]))
        continue;
      table.positions = getView(holder, dim);
      table.axes.clear();
      for (ExprRef position : positions)
        for (ExprRef other : elements.getHolders(position))
          if (std::optional<int64_t> axis = table.positions.getChannel(other)) {
            table.axes.push_back(*axis);
            break;
          }
      if (table.axes.size() == positions.size() &&
          isSlice(elements, table.positions))
        return true;
    }
  }
  return false;
}

std::optional<MadeTable> Tracer::traceAngles(ArrayRef<Entry> entries) {
  MadeTable table;
  table.type = entries.front().type;
  table.magnitude = rotation.magnitude * entries.front().magnitude;
  FloatType angleType = entries.front().angle->type;
  if (angleType.getWidth() < 32)
    return fail("angles are rounded to 16 bits");
  if (angleType.isF64() && table.type.isF64())
    return fail("angles are f64, which a table has no more than f32 of");
  table.precision = angleType.isF64() ? Precision::exact : Precision::f32;
  SmallVector<ExprRef> positions;
  for (const Entry &entry : entries) {
    ExprRef position = entry.angle;
    double frequency = 1;
    if (position->is(Fn::mul) && position->operands[0]->isFloatNumber()) {
      frequency = position->operands[0]->number;
      position = position->operands[1];
    } else if (position->is(Fn::div) &&
               position->operands[1]->isFloatNumber()) {
      frequency = 1 / position->operands[1]->number;
      position = position->operands[0];
    }
    if (position->is(Fn::neg)) {
      position = position->operands[0];
      frequency = -frequency;
    }
    if (!std::isfinite(frequency) || std::abs(frequency) >= 0x1p20)
      return fail("a frequency is not below 2^20");
    table.frequencies.push_back(frequency);
    position = stripWidening(position);
    if (position->is(Fn::fromInt) && position->type.getWidth() >= 32)
      position = position->operands[0];
    positions.push_back(position);
  }
  if (!setPositions(table, positions))
    return fail("angles are not the product of positions that a tensor holds "
                "and constant frequencies");
  return table;
}

namespace {
/// The column of a constant table that holds cosine and sine of one pair, one
/// number for each position.
struct LookedUp {
  SmallVector<double> cos, sin;

  double estimateFrequency() const;
  double getError(double magnitude, FloatType type,
                  function_ref<double(double)> getAngle) const;
};
} // namespace

/// Rows ever farther say ever more of the frequency.
double LookedUp::estimateFrequency() const {
  double frequency = 0;
  for (size_t row = 1; row < cos.size(); row = std::max(row + 1, row * 3 / 2)) {
    double angle = std::atan2(sin[row], cos[row]);
    frequency +=
        std::remainder(angle - double(row) * frequency, 2 * M_PI) / double(row);
  }
  return frequency;
}

/// The largest error, relative to the magnitude, of a table of other angles.
double LookedUp::getError(double magnitude, FloatType type,
                          function_ref<double(double)> getAngle) const {
  auto round = [&](double value) {
    if (type.isF32())
      return double(float(value));
    APFloat rounded(value);
    bool losesInfo = false;
    rounded.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                    &losesInfo);
    return rounded.convertToDouble();
  };
  double error = 0;
  for (size_t row = 0; row != cos.size(); ++row) {
    double angle = getAngle(double(row));
    error = std::max({error,
                      std::abs(round(magnitude * std::cos(angle)) - cos[row]),
                      std::abs(round(magnitude * std::sin(angle)) - sin[row])});
  }
  return error / magnitude;
}

/// Fits frequencies to `columns`, cosines and sines in turn, of elements of
/// `type`.
static ConstantColumns::Fit
fitFrequencies(ArrayRef<ConstantColumns::Column> columns, FloatType type) {
  ConstantColumns::Fit fit;
  auto fail = [&](StringRef why) {
    fit.failure = why.str();
    return fit;
  };
  std::vector<LookedUp> pairs(columns.size() / 2);
  for (const auto &[i, column] : llvm::enumerate(columns)) {
    LookedUp &pair = pairs[i / 2];
    SmallVector<double> &list = i % 2 ? pair.sin : pair.cos;
    for (int64_t row = 0; row != column.count; ++row) {
      std::optional<double> value =
          getNumber(column.constant, column.start + row * column.stride,
                    column.isImaginary);
      if (!value || !std::isfinite(*value))
        return fail("a constant table has no finite numbers");
      list.push_back(*value);
    }
  }
  for (const LookedUp &pair : pairs) {
    if (pair.cos.size() < 2 || pair.sin.size() != pair.cos.size())
      return fail("the constants of cosine and sine differ in size");
    if (pair.sin[0] != 0 || pair.cos[0] <= 0 ||
        pair.cos[0] != pairs.front().cos[0])
      return fail("the first row of a constant table is not that of position "
                  "zero");
  }
  fit.magnitude = pairs.front().cos[0];
  SmallVector<double> estimates, ladder;
  for (const LookedUp &pair : pairs)
    estimates.push_back(pair.estimateFrequency());
  // What was rounded says no more than a range, in which a ladder of a base is
  // likelier than all else.
  if (std::optional<double> base = fitBase(estimates))
    for (size_t i = 0; i != pairs.size(); ++i)
      ladder.push_back(std::pow(*base, -double(i) / double(pairs.size())));
  // Tables of a narrow type must be the same: many frequencies are close.
  double tolerance = type.getWidth() < 32 ? 0 : 3e-7;
  for (const SmallVector<double> &frequencies : {ladder, estimates}) {
    for (bool isExact : {false, true}) {
      fit.frequencies = frequencies;
      fit.isExact = isExact;
      if (!isExact)
        for (double &frequency : fit.frequencies)
          frequency = float(frequency);
      bool isSame = !frequencies.empty();
      for (size_t i = 0; i != pairs.size() && isSame; ++i)
        isSame = pairs[i].getError(fit.magnitude, type, [&](double position) {
          double angle = position * fit.frequencies[i];
          return isExact ? angle : double(float(angle));
        }) <= tolerance;
      if (isSame)
        return fit;
    }
  }
  return fail("a constant table is not that of any frequencies");
}

/// Cosines and sines that are looked up in constants, by row: their frequencies
/// are those for which the constants have been computed.
std::optional<MadeTable> Tracer::traceLookup() {
  MadeTable table;
  SmallVector<ConstantColumns::Column, 0> columns;
  ExprRef row = nullptr;
  FloatType constantType;
  for (auto [cos, sin] : llvm::zip_equal(rotation.cos, rotation.sin)) {
    for (ExprRef given : {cos, sin}) {
      ExprRef expr = stripWidening(given);
      FloatType type = expr->type;
      // Rounded after it was looked up.
      if (expr->is(Fn::cast))
        expr = expr->operands[0];
      ConstantColumns::Column column = {nullptr, 0, 0, 0, expr->isImaginary};
      if (!expr->is(Expr::Kind::element) || !expr->type ||
          !matchPattern(expr->value, m_Constant(&column.constant)))
        return fail("the table is neither computed by cosine and sine nor "
                    "looked up in a constant");
      for (auto [size, index] :
           llvm::zip_equal(cast<ShapedType>(expr->value.getType()).getShape(),
                           expr->indices)) {
        column.start *= size;
        column.stride *= size;
        if (auto known = dyn_cast<AffineConstantExpr>(index)) {
          column.start += known.getValue();
          continue;
        }
        ExprRef found = elements.makeIndex(index);
        if (column.stride != 0 || (row && row != found))
          return fail("cosine and sine are looked up at different positions");
        row = found;
        column.stride = 1;
        column.count = size;
      }
      if (table.type && (table.type != type || constantType != expr->type))
        return fail("the constants of cosine and sine differ in type");
      table.type = type;
      constantType = expr->type;
      columns.push_back(column);
    }
  }
  std::unique_ptr<ConstantColumns::Fit> &fit =
      elements.getColumns().getFit(columns);
  if (!fit)
    fit = std::make_unique<ConstantColumns::Fit>(
        fitFrequencies(columns, constantType));
  if (!fit->failure.empty())
    return fail(fit->failure);
  table.frequencies = fit->frequencies;
  table.precision = fit->isExact ? Precision::exact : Precision::f32;
  table.magnitude = fit->magnitude * rotation.magnitude;
  if (!row ||
      !setPositions(table, SmallVector<ExprRef>(rotation.getNumPairs(), row)))
    return fail("no tensor holds the positions of a constant table");
  return table;
}

std::optional<MadeTable> Tracer::trace() {
  SmallVector<Entry> entries;
  for (auto [cos, sin] : llvm::zip_equal(rotation.cos, rotation.sin)) {
    std::optional<Entry> a = getEntry(cos, Fn::cos), b = getEntry(sin, Fn::sin);
    if (!a || !b)
      return traceLookup();
    if (a->angle != b->angle)
      return fail("cosine and sine are not of the same angle");
    const Entry &first = entries.empty() ? *a : entries.front();
    for (const Entry &entry : {*a, *b})
      if (entry.magnitude != first.magnitude || entry.type != first.type ||
          entry.angle->type != first.angle->type)
        return fail("cosine and sine differ in magnitude or type");
    entries.push_back(*a);
  }
  return traceAngles(entries);
}

std::optional<MadeTable> rope::traceTable(Elements &elements,
                                          const Rotation &rotation,
                                          std::string &reason) {
  return Tracer(elements, rotation, reason).trace();
}

std::optional<double> rope::fitBase(ArrayRef<double> frequencies) {
  int64_t n = frequencies.size();
  if (n < 2 || std::abs(frequencies[0] - 1) > 1e-6 || frequencies[n - 1] <= 0)
    return std::nullopt;
  double base = std::pow(frequencies[n - 1], -double(n) / double(n - 1));
  if (!std::isfinite(base))
    return std::nullopt;
  // Bases are short numbers.
  double scale = std::pow(10.0, std::floor(std::log10(base)) - 4);
  base = std::round(base / scale) * scale;
  for (int64_t i = 0; i != n; ++i) {
    double expected = std::pow(base, -double(i) / double(n));
    if (std::abs(frequencies[i] - expected) > 4e-7 * expected)
      return std::nullopt;
  }
  return base;
}
