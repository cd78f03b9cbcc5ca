//===- Report.cpp - print a table of the rotations ------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Elements.h"
#include "RaiseTable.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/JSON.h"

namespace mlir::rope {
#define GEN_PASS_DEF_REPORT
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

namespace {
/// What is known of one rotation. Sizes are absent where they are dynamic.
struct Row {
  std::string function, file;
  std::optional<int64_t> line;
  StringRef operand;
  Pairing pairing = Pairing::half, writtenPairing = Pairing::half;
  bool isInverse = false;
  int64_t offset = 0;
  std::optional<int64_t> rotary, channels;
  /// Nothing is known of the frequencies of tables that are given.
  bool isGiven = true;
  std::optional<double> base;
  SmallVector<StringRef> scaling;
  double magnitude = 1;
  Precision precision = Precision::exact;
  int64_t axes = 1;
  /// Absent where attention makes cosines and sines itself.
  std::optional<int64_t> table;
  SmallVector<StringRef, 2> fusedInto;
  std::optional<int64_t> bytesSaved;
};

class Reporter {
public:
  explicit Reporter(Operation *root) {
    root->walk([&](Operation *op) {
      if (auto apply = dyn_cast<ApplyOp>(op))
        add(apply);
      else if (auto attention = dyn_cast<AttentionOp>(op))
        add(attention);
    });
  }

  void printTable(raw_ostream &os) const;
  void printJSON(raw_ostream &os) const;

private:
  struct Sums {
    int64_t fused = 0, bytesSaved = 0, unknown = 0;
  };

  Row start(Operation *op, StringRef operand, Value x, Value cos);
  void setTable(Row &row, Value cos, Value sin);
  void add(ApplyOp apply);
  void add(AttentionOp attention);
  void add(AttentionOp attention, StringRef operand, Value x,
           std::optional<RotationAttr> rotation, ValueRange operands);
  Sums getSums() const;

  std::vector<Row> rows;
  DenseMap<std::pair<Value, Value>, int64_t> tables;
};
} // namespace

static std::optional<int64_t> getLastSize(Value value) {
  auto type = cast<ShapedType>(value.getType());
  return type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1)
             ? std::nullopt
             : std::optional(type.getShape().back());
}

/// The array that `value` is a part of.
static Value getWhole(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<tensor::ExtractSliceOp, tensor::CastOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, memref::SubViewOp, memref::CastOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

/// The table that makes `cos`, null where it is given.
static TableOp findTable(Value cos) {
  if (isa<TensorType>(cos.getType()))
    return cos.getDefiningOp<TableOp>();
  for (Operation *user : cos.getUsers())
    if (auto table = dyn_cast<TableOp>(user);
        table && getWhole(table.getCos()) == cos)
      return table;
  return {};
}

/// What is known of the frequencies.
static void setFrequencies(Row &row, Value frequencies) {
  row.isGiven = false;
  frequencies = getWhole(frequencies);
  while (auto scale = frequencies.getDefiningOp<ScaleFrequenciesOp>()) {
    StringRef name = scale.getScaling().getAbstractAttribute().getName();
    row.scaling.insert(row.scaling.begin(), name.split('.').second);
    frequencies = scale.getFrequencies();
  }
  ElementsAttr values;
  if (auto op = frequencies.getDefiningOp<FrequenciesOp>()) {
    if (op.getBase())
      row.base = op.getBase()->convertToDouble();
    values = op.getValuesAttr();
  } else {
    matchPattern(frequencies, m_Constant(&values));
  }
  if (!values || !values.getElementType().isF64())
    return;
  SmallVector<double> numbers;
  for (int64_t i = 0, e = values.getNumElements(); i != e; ++i)
    numbers.push_back(getNumber(values, i).value_or(0));
  row.base = fitBase(numbers);
}

static void setAxes(Row &row, std::optional<ArrayRef<int64_t>> axes) {
  if (axes && !axes->empty())
    row.axes = *llvm::max_element(*axes) + 1;
}

Row Reporter::start(Operation *op, StringRef operand, Value x, Value cos) {
  Row row;
  if (auto function = op->getParentOfType<FunctionOpInterface>())
    row.function = function.getName();
  if (auto loc = op->getLoc()->findInstanceOf<FileLineColLoc>()) {
    row.file = loc.getFilename().str();
    row.line = loc.getLine();
  }
  row.operand = operand;
  row.channels = getLastSize(x);
  if (std::optional<int64_t> pairs = getLastSize(cos))
    row.rotary = 2 * *pairs;
  return row;
}

void Reporter::setTable(Row &row, Value cos, Value sin) {
  std::pair<Value, Value> key = {getWhole(cos), getWhole(sin)};
  row.table = tables.try_emplace(key, tables.size() + 1).first->second;
  TableOp table = findTable(key.first);
  if (!table)
    return;
  setFrequencies(row, table.getFrequencies());
  row.magnitude = table.getMagnitude().convertToDouble();
  row.precision = table.getPrecision();
  setAxes(row, table.getAxes());
}

//===----------------------------------------------------------------------===//
// What a rotation was fused into
//===----------------------------------------------------------------------===//

static bool hasContraction(Operation *op) {
  return op
      ->walk([](linalg::LinalgOp inner) {
        return linalg::isaContractionOpInterface(inner)
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

/// The operations that make what `apply` rotates, as far as `filter` says.
static SetVector<Operation *>
findMakers(ApplyOp apply, function_ref<bool(Operation *)> filter) {
  BackwardSliceOptions options(filter);
  options.omitBlockArguments = true;
  options.omitUsesFromAbove = false;
  options.inclusive = true;
  SetVector<Operation *> makers;
  // Fails where it meets a region of several blocks: what it found before is
  // all that is known.
  if (Operation *op = apply.getX().getDefiningOp(); op && filter(op))
    (void)getBackwardSlice(op, &makers, options);
  return makers;
}

/// Whether `tensor`, which a loop carries, was there before, and is not made by
/// the loop alone.
static bool isKept(Value tensor) {
  for (;;) {
    tensor = getWhole(tensor);
    if (auto argument = dyn_cast<BlockArgument>(tensor)) {
      auto loop = dyn_cast_if_present<LoopLikeOpInterface>(
          argument.getOwner()->getParentOp());
      OpOperand *init = loop ? loop.getTiedLoopInit(argument) : nullptr;
      if (!init)
        return true;
      tensor = init->get();
    } else if (auto write = tensor.getDefiningOp<tensor::InsertSliceOp>()) {
      tensor = write.getDest();
    } else {
      return !isa<tensor::EmptyOp, bufferization::AllocTensorOp>(
          tensor.getDefiningOp());
    }
  }
}

/// The loops that a fusion has put `apply` into.
static SmallVector<StringRef, 2> findFusions(ApplyOp apply) {
  SmallVector<StringRef, 2> fusions;
  Block *block = apply->getBlock();
  SetVector<Operation *> makers =
      findMakers(apply, [&](Operation *op) { return op->getBlock() == block; });
  if (llvm::any_of(makers, hasContraction))
    fusions.push_back("projection");
  SetVector<Operation *> users;
  for (Value result : apply.getResults())
    getForwardSlice(result, &users, ForwardSliceOptions([&](Operation *op) {
                      return block->findAncestorOpInBlock(*op);
                    }));
  if (llvm::any_of(users, [](Operation *op) {
        auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
        return linalgOp && linalg::isaContractionOpInterface(linalgOp);
      }))
    fusions.push_back("contraction");
  else if (llvm::any_of(users, [](Operation *op) {
             auto write = dyn_cast<tensor::InsertSliceOp>(op);
             return write && isKept(write.getDest());
           }))
    fusions.push_back("cache append");
  // Buffers do not say who reads them.
  if (fusions.empty())
    fusions.push_back("loop");
  return fusions;
}

/// The bytes that `apply` rotates in all rounds of the loops around it.
static std::optional<int64_t> getBytesOfRounds(ApplyOp apply) {
  std::optional<int64_t> bytes = getStaticBytes(apply.getInit());
  Operation *outermost = apply;
  for (Operation *op = apply; op; op = op->getParentOp())
    if (isa<LoopLikeOpInterface>(op))
      outermost = op;
  SetVector<Operation *> makers = findMakers(
      apply, [&](Operation *op) { return outermost->isAncestor(op); });
  makers.insert(apply);
  // Rounds that rotate the same again save nothing more.
  for (auto loop = apply->getParentOfType<LoopLikeOpInterface>(); loop && bytes;
       loop = loop->getParentOfType<LoopLikeOpInterface>()) {
    bool isFollowed = llvm::any_of(makers, [&](Operation *op) {
      return llvm::any_of(op->getOperands(), [&](Value operand) {
        auto argument = dyn_cast<BlockArgument>(operand);
        return argument && argument.getOwner()->getParentOp() == loop &&
               !loop.getTiedLoopInit(argument);
      });
    });
    if (!isFollowed)
      continue;
    std::optional<APInt> rounds = loop.getStaticTripCount();
    if (!rounds || rounds->getActiveBits() > 62)
      return std::nullopt;
    bytes = llvm::checkedMul(*bytes, int64_t(rounds->getZExtValue()));
  }
  return bytes;
}

void Reporter::add(ApplyOp apply) {
  Row row = start(apply, "x", apply.getX(), apply.getCos());
  row.pairing = apply.getPairing();
  row.writtenPairing = apply.getWrittenPairing();
  row.isInverse = apply.getTranspose();
  row.offset = apply.getOffset();
  setTable(row, apply.getCos(), apply.getSin());
  row.bytesSaved = 0;
  if (isFolded(apply)) {
    row.fusedInto = findFusions(apply);
    row.bytesSaved = getBytesOfRounds(apply);
  }
  rows.push_back(std::move(row));
}

void Reporter::add(AttentionOp attention) {
  add(attention, "query", attention.getQuery(), attention.getQueryRotation(),
      attention.getQueryRotationOperands());
  add(attention, "key", attention.getKey(), attention.getKeyRotation(),
      attention.getKeyRotationOperands());
}

void Reporter::add(AttentionOp attention, StringRef operand, Value x,
                   std::optional<RotationAttr> rotation, ValueRange operands) {
  if (!rotation)
    return;
  // Cosine and sine, or positions and frequencies: the last size of the second
  // is the number of pairs.
  Row row = start(attention, operand, x, operands[1]);
  row.pairing = rotation->getPairing();
  row.writtenPairing = rotation->getResultPairing().value_or(row.pairing);
  row.isInverse = rotation->getTranspose();
  row.offset = rotation->getOffset();
  if (AnglesAttr angles = rotation->getAngles()) {
    setFrequencies(row, operands[1]);
    row.magnitude = angles.getMagnitude().getValueAsDouble();
    row.precision = angles.getPrecision();
    if (DenseI64ArrayAttr axes = angles.getAxes())
      setAxes(row, axes.asArrayRef());
  } else {
    setTable(row, operands[0], operands[1]);
  }
  row.fusedInto = {"attention"};
  // It is neither written nor read.
  if (std::optional<int64_t> bytes = getStaticBytes(x))
    row.bytesSaved = llvm::checkedMul<int64_t>(*bytes, 2);
  rows.push_back(std::move(row));
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

Reporter::Sums Reporter::getSums() const {
  Sums sums;
  for (const Row &row : rows) {
    sums.fused += !row.fusedInto.empty();
    std::optional<int64_t> sum =
        row.bytesSaved ? llvm::checkedAdd(sums.bytesSaved, *row.bytesSaved)
                       : std::nullopt;
    sums.unknown += !sum;
    sums.bytesSaved = sum.value_or(sums.bytesSaved);
  }
  return sums;
}

static std::string toString(std::optional<int64_t> number) {
  return number ? std::to_string(*number) : "?";
}

static std::string describePairing(const Row &row) {
  std::string text = stringifyPairing(row.pairing).str();
  if (row.writtenPairing != row.pairing)
    text += " -> " + stringifyPairing(row.writtenPairing).str();
  return row.isInverse ? text + ", inverse" : text;
}

static std::string describeVariant(const Row &row) {
  if (row.isGiven)
    return "given";
  std::string text;
  llvm::raw_string_ostream os(text);
  if (row.base)
    os << "base " << llvm::format("%.15g", *row.base);
  else
    os << "values";
  for (StringRef scaling : row.scaling)
    os << ", " << scaling;
  if (row.magnitude != 1)
    os << ", magnitude " << llvm::format("%.6g", row.magnitude);
  if (row.precision != Precision::exact)
    os << ", " << stringifyPrecision(row.precision);
  if (row.axes != 1)
    os << ", " << row.axes << " axes";
  return text;
}

static std::string plural(int64_t count, StringRef noun) {
  return (Twine(count) + " " + noun + (count == 1 ? "" : "s")).str();
}

void Reporter::printTable(raw_ostream &os) const {
  using Cells = std::array<std::string, 9>;
  std::vector<Cells> table = {{"function", "line", "operand", "pairing",
                               "channels", "variant", "table", "fused into",
                               "bytes saved"}};
  for (const Row &row : rows)
    table.push_back(
        {row.function.empty() ? "-" : row.function, toString(row.line),
         row.operand.str(), describePairing(row),
         toString(row.rotary) + " of " + toString(row.channels) +
             (row.offset ? " from " + std::to_string(row.offset) : ""),
         describeVariant(row),
         row.table ? std::to_string(*row.table) : "on the fly",
         row.fusedInto.empty() ? "-" : llvm::join(row.fusedInto, ", "),
         toString(row.bytesSaved)});
  Sums sums = getSums();
  table.push_back(
      {"total", "", plural(rows.size(), "rotation"), "", "", "",
       plural(tables.size(), "table"), std::to_string(sums.fused) + " fused",
       std::to_string(sums.bytesSaved) + (sums.unknown ? " + ?" : "")});
  Cells::size_type last = table.front().size() - 1;
  for (const Cells &cells : table) {
    for (Cells::size_type i = 0; i != last; ++i) {
      size_t width = 0;
      for (const Cells &other : table)
        width = std::max(width, other[i].size());
      os << llvm::left_justify(cells[i], width + 2);
    }
    os << cells[last] << "\n";
  }
}

void Reporter::printJSON(raw_ostream &os) const {
  llvm::json::OStream json(os, /*IndentSize=*/2);
  auto number = [](auto value) {
    return value ? llvm::json::Value(*value) : llvm::json::Value(nullptr);
  };
  json.object([&] {
    json.attributeArray("rotations", [&] {
      for (const Row &row : rows)
        json.object([&] {
          json.attribute("function", row.function);
          json.attribute("file", row.file);
          json.attribute("line", number(row.line));
          json.attribute("operand", row.operand);
          json.attribute("pairing", stringifyPairing(row.pairing));
          json.attribute("resultPairing", stringifyPairing(row.writtenPairing));
          json.attribute("inverse", row.isInverse);
          json.attribute("offset", row.offset);
          json.attribute("rotary", number(row.rotary));
          json.attribute("channels", number(row.channels));
          if (!row.isGiven) {
            json.attribute("base", number(row.base));
            json.attributeArray("scaling", [&] {
              for (StringRef scaling : row.scaling)
                json.value(scaling);
            });
            json.attribute("magnitude", row.magnitude);
            json.attribute("precision", stringifyPrecision(row.precision));
            json.attribute("axes", row.axes);
          }
          json.attribute("table", number(row.table));
          json.attributeArray("fusedInto", [&] {
            for (StringRef fusion : row.fusedInto)
              json.value(fusion);
          });
          json.attribute("bytesSaved", number(row.bytesSaved));
        });
    });
    Sums sums = getSums();
    json.attributeObject("total", [&] {
      json.attribute("rotations", int64_t(rows.size()));
      json.attribute("tables", int64_t(tables.size()));
      json.attribute("fused", sums.fused);
      json.attribute("bytesSaved", sums.bytesSaved);
      json.attribute("unknown", sums.unknown);
    });
  });
  os << "\n";
}

void rope::reportRotations(Operation *root, ReportFormat format,
                           raw_ostream &os) {
  Reporter reporter(root);
  if (format == ReportFormat::json)
    reporter.printJSON(os);
  else
    reporter.printTable(os);
}

namespace {
struct Report : rope::impl::ReportBase<Report> {
  using ReportBase::ReportBase;
  void runOnOperation() override {
    reportRotations(getOperation(), format, llvm::errs());
    markAllAnalysesPreserved();
  }
};
} // namespace
