//===- AttentionMmaKernel.cpp - attention by mma.sync ---------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block computes some queries of one head. Each warp has rows of its own, 16
// or 32, whose queries, weights and accumulators stay in registers; tiles of
// keys and values go through workgroup memory by cp.async. While a tile of keys
// is multiplied its values are on their way, while those are, the next keys.
// Tiles come in descending order, so that what is masked or cut off at the
// diagonal and the end comes first.
//
// Weights are 2^(s - m), where s are scores and m their maximum in units of
// log2(e).
//
// The product of a weight of zero and a value that is not finite is not a
// number, and the matrix units add it. Such a value shows in the accumulators,
// which are looked at once, at the end: then the block does its values again
// (see emitCareful), with those that are not finite apart.
//
//===----------------------------------------------------------------------===//

#include "AttentionMmaKernel.h"
#include "AttentionParts.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::rope;

static constexpr int64_t kWarps = 4;
static constexpr int64_t kThreads = 32 * kWarps;
/// Elements of 16 bits in the widest access.
static constexpr int64_t kChunk = 8;
/// The shape of mma.sync: rows, columns, depth.
static constexpr int64_t kM = 16, kN = 8, kK = 16;

//===----------------------------------------------------------------------===//
// What the kernel takes
//===----------------------------------------------------------------------===//

namespace {
/// How attention is cut, and where tiles lie in workgroup memory, counted in
/// elements.
struct Tiling {
  int64_t channels, valueChannels;
  /// Rows of a warp, in units of 16.
  int64_t rowTiles = 1;
  /// Keys of a tile.
  int64_t keys = 64;
  /// Whether queries stay in workgroup memory, else in registers.
  bool keepsQueries = false;

  int64_t rows() const { return kWarps * kM * rowTiles; }
  /// Rows of 16-byte chunks, of which neighbours along a column are to be in
  /// different banks: an odd number of chunks.
  int64_t keyPitch() const { return channels + kChunk; }
  int64_t valuePitch() const { return valueChannels + kChunk; }
  int64_t keySize() const { return keys * keyPitch(); }
  int64_t valueSize() const { return keys * valuePitch(); }
  int64_t querySize() const { return rows() * keyPitch(); }

  int64_t valueOffset() const { return keySize(); }
  /// Where queries come to: beside tiles if they stay or if there is room, else
  /// in their place.
  int64_t queryOffset(int64_t capacity) const {
    if (keepsQueries)
      return keySize() + valueSize();
    return keySize() + querySize() <= capacity ? keySize() : 0;
  }
  int64_t size(int64_t capacity) const {
    return std::max({keySize() + valueSize(),
                     queryOffset(capacity) + querySize(),
                     rows() * valuePitch()});
  }
};
} // namespace

/// Elements of 16 bits for tiles; the rest is for flags.
static int64_t capacityOf(const GPUTarget &target) {
  return (int64_t(target.sharedBytes) - 4 * kWarps) / 2;
}

/// Whether neighbours along `loop` lie side by side.
static bool isContiguous(AttentionOp op, OpOperand &operand, Loop loop) {
  std::optional<int64_t> dim = findLoop(op.getMap(operand), loop);
  SmallVector<int64_t> strides;
  int64_t offset;
  return dim &&
         succeeded(cast<MemRefType>(operand.get().getType())
                       .getStridesAndOffset(strides, offset)) &&
         strides[*dim] == 1;
}

static Type elementOf(Value memref) {
  return cast<MemRefType>(memref.getType()).getElementType();
}

static std::optional<Tiling> getTiling(AttentionOp op,
                                       const GPUTarget &target) {
  auto channels = [&](OpOperand &operand, Loop loop) {
    int64_t dim = *findLoop(op.getMap(operand), loop);
    return cast<MemRefType>(operand.get().getType()).getDimSize(dim);
  };
  // A loop has one size, and one of its operands may know it.
  Tiling tiling;
  tiling.channels = std::max(channels(op.getQueryMutable(), Loop::channel),
                             channels(op.getKeyMutable(), Loop::channel));
  tiling.valueChannels =
      std::max(channels(op.getValueMutable(), Loop::valueChannel),
               channels(op.getInitsMutable()[0], Loop::valueChannel));
  for (int64_t count : {tiling.channels, tiling.valueChannels})
    if (count <= 0 || count % kK != 0 || count > 256)
      return std::nullopt;
  int64_t capacity = capacityOf(target);
  while (tiling.size(capacity) > capacity) {
    if (tiling.keys == kK)
      return std::nullopt;
    tiling.keys /= 2;
  }
  return tiling;
}

/// A tiling of more rows, which reads tiles half as often, if accumulators fit
/// in registers. Queries do not besides.
static std::optional<Tiling> getTallTiling(const Tiling &tiling) {
  if (tiling.channels > 128 || tiling.valueChannels > 128)
    return std::nullopt;
  Tiling tall = tiling;
  tall.rowTiles = 2;
  tall.keys = 64;
  tall.keepsQueries = true;
  return tall;
}

bool rope::canUseMma(AttentionOp op, const GPUTarget &target) {
  if (target.api != GPUApi::cuda || !target.hasMmaSync)
    return false;
  Type element = elementOf(op.getQuery());
  return (element.isF16() || element.isBF16()) &&
         elementOf(op.getKey()) == element &&
         elementOf(op.getValue()) == element &&
         isContiguous(op, op.getQueryMutable(), Loop::channel) &&
         isContiguous(op, op.getKeyMutable(), Loop::channel) &&
         isContiguous(op, op.getValueMutable(), Loop::valueChannel) &&
         getTiling(op, target);
}

/// Whether results are written in chunks.
static bool hasChunksOfOutput(AttentionOp op) {
  OpOperand &output = op.getInitsMutable()[0];
  return elementOf(output.get()) == elementOf(op.getQuery()) &&
         isContiguous(op, output, Loop::valueChannel);
}

/// Whether tables are read in chunks.
static bool hasChunksOfTables(RotationAttr rotation, ValueRange operands) {
  return rotation && !rotation.getAngles() &&
         llvm::all_of(operands, [](Value table) {
           auto type = cast<MemRefType>(table.getType());
           SmallVector<int64_t> strides;
           int64_t offset;
           return succeeded(type.getStridesAndOffset(strides, offset)) &&
                  strides.back() == 1 && type.getShape().back() > 0 &&
                  type.getShape().back() % kChunk == 0;
         });
}

Value rope::buildMmaCondition(OpBuilder &host, AttentionOp op) {
  ImplicitLocOpBuilder b(op.getLoc(), host);
  // The bits of all addresses and distances, in bytes.
  Value bits;
  auto join = [&](Value x) {
    bits = bits ? b.createOrFold<arith::OrIOp>(bits, x) : x;
  };
  // Elements along `contiguous` are read in chunks from the first one on.
  auto require = [&](Value memref, int64_t contiguous) {
    auto type = cast<MemRefType>(memref.getType());
    Value size =
        arith::ConstantIndexOp::create(b, type.getElementTypeBitWidth() / 8);
    auto metadata = memref::ExtractStridedMetadataOp::create(b, memref);
    join(memref::ExtractAlignedPointerAsIndexOp::create(b, memref));
    join(b.createOrFold<arith::MulIOp>(metadata.getOffset(), size));
    for (auto [dim, stride] : llvm::enumerate(metadata.getStrides()))
      if (int64_t(dim) != contiguous && type.getDimSize(dim) != 1)
        join(b.createOrFold<arith::MulIOp>(stride, size));
  };
  auto requireMapped = [&](OpOperand &operand, Loop loop) {
    require(operand.get(), *findLoop(op.getMap(operand), loop));
  };
  requireMapped(op.getQueryMutable(), Loop::channel);
  requireMapped(op.getKeyMutable(), Loop::channel);
  requireMapped(op.getValueMutable(), Loop::valueChannel);
  if (hasChunksOfOutput(op))
    requireMapped(op.getInitsMutable()[0], Loop::valueChannel);
  auto requireTables = [&](RotationAttr rotation, ValueRange operands) {
    if (hasChunksOfTables(rotation, operands))
      for (Value table : operands)
        require(table, cast<MemRefType>(table.getType()).getRank() - 1);
  };
  requireTables(op.getQueryRotationAttr(), op.getQueryRotationOperands());
  requireTables(op.getKeyRotationAttr(), op.getKeyRotationOperands());
  Value low =
      arith::AndIOp::create(b, bits, arith::ConstantIndexOp::create(b, 15));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, low,
                               arith::ConstantIndexOp::create(b, 0));
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

namespace {
/// A, or two B, of one mma.sync.
using Fragment = std::array<Value, 4>;

class MmaAttention {
public:
  MmaAttention(KernelBuilder &b, AttentionParts &parts, const Tiling &tiling)
      : b(b), parts(parts), op(parts.getOp()), tiling(tiling),
        element(cast<FloatType>(elementOf(op.getQuery()))) {}

  void emit();

private:
  enum class RotationKind { none, inPlace, byElement };

  /// All that follows from the numbers of block and thread. With `again` they
  /// are read anew, so that what is needed in a loop and after it occupies no
  /// registers in between.
  void emitIndices(bool again);
  Value readId(bool again, StringRef name, Value id);

  // Tiles in workgroup memory.
  RotationKind kindOf(const AttentionRotation *rotation);
  void copyTile(OpOperand &operand, Loop loop, Value first, Value last,
                int64_t rows, int64_t channels, int64_t offset);
  void rotateTile(const AttentionRotation &rotation, bool aligned, Loop loop,
                  Value first, Value last, int64_t rows, int64_t offset);
  void loadElements(OpOperand &operand, const AttentionRotation &rotation,
                    Loop loop, Value first, Value last, int64_t rows,
                    int64_t offset);
  void loadQueries();
  Fragment loadQueryFragment(int64_t tile, int64_t channel);
  void startKeys(Value start, bool isCut);
  void finishKeys(Value start);
  void startValues(Value start, Value isCut);
  void commit() { NVVM::CpAsyncCommitGroupOp::create(b); }
  void await() {
    NVVM::CpAsyncWaitGroupOp::create(b, 0);
    b.barrier();
  }

  // Matrices in registers.
  Value pointerAt(Value base, int64_t elements);
  Fragment loadMatrices(Value pointer, bool transposed);
  Value asOperand(Value word);
  Fragment asOperands(Fragment words);
  void multiply(const Fragment &a, Value b0, Value b1,
                MutableArrayRef<Value> c);
  Value pack(Value low, Value high);
  Fragment packWeights(ArrayRef<Value> weights, int64_t rowTile, int64_t step);

  // Scores, all of a tile: of each row tile, of each 8 keys, 4.
  Value &at(MutableArrayRef<Value> scores, int64_t row, int64_t column) {
    int64_t tile = (row / 2) * (tiling.keys / kN) + column / 2;
    return scores[tile * 4 + (row % 2) * 2 + column % 2];
  }
  /// Scores of a thread in each of its rows.
  int64_t columns() const { return tiling.keys / kN * 2; }
  int64_t numRows() const { return tiling.rowTiles * 2; }
  /// Of numbers that are not negative.
  Value wide(Value x) {
    return b.createOrFold<arith::IndexCastUIOp>(b.getIndexType(), x);
  }
  Value narrow(Value x) {
    return b.createOrFold<arith::IndexCastOp>(b.getI32Type(), x);
  }
  SmallVector<Value> emitProducts();
  SmallVector<Value> emitScores(Value start, bool mayBePlain);
  void mask(MutableArrayRef<Value> scores, Value start);
  Value exp2(Value x);
  Value fma(Value x, Value y, Value z);
  Value overQuad(Value x, llvm::function_ref<Value(Value, Value)> combine);
  Value anyInBlock(Value condition);
  Value maximum(Value x, Value y) { return LLVM::MaxNumOp::create(b, x, y); }
  /// What 2^ is taken of is added to: the negated maximum, 0 where all scores
  /// are minus infinity.
  Value negated(Value maximum);

  void emitMain();
  void emitResults(ArrayRef<Value> acc);
  void emitCareful();
  void storePairs(Value channel, ArrayRef<Value> acc, int64_t numTiles);

  KernelBuilder &b;
  AttentionParts &parts;
  AttentionOp op;
  Tiling tiling;
  FloatType element;

  Value shared, sharedPointer, flags;
  int64_t queryOffset = 0;
  /// Factor of scores, and whether it holds their scale.
  double factor = 1.0;
  bool isScaled = false;

  /// Batch and head.
  Indices indices;
  /// All i32: the queries of the block, both included, the keys that they see,
  /// those that all of them see, and the last key.
  Value first, last, from, to, allFrom, allTo, lastKey;
  Value thread, lane, warp, laneInQuad;
  RotationKind queryKind, keyKind;

  /// Of the rows of a thread: query, whether there is one, the first visible
  /// key and how many there are.
  SmallVector<Value> queries, isQuery, firstKey, numKeys;
  /// Queries in registers, and where they are in workgroup memory.
  SmallVector<Fragment> queryFragments;
  Value queryPointer, keyPointer, valuePointer;
  SmallVector<Value> maxima, sums;
};
} // namespace

Value MmaAttention::readId(bool again, StringRef name, Value id) {
  if (!again)
    return b.createOrFold<arith::IndexCastOp>(b.getI32Type(), id);
  return LLVM::InlineAsmOp::create(
             b, b.getI32Type(), ValueRange(),
             b.getStringAttr(("mov.u32 $0, %" + name + ";").str()),
             b.getStringAttr("=r"), /*has_side_effects=*/b.getUnitAttr(),
             /*is_align_stack=*/UnitAttr(),
             LLVM::TailCallKindAttr::get(b.getContext(),
                                         LLVM::TailCallKind::None),
             /*asm_dialect=*/LLVM::AsmDialectAttr(),
             /*operand_attrs=*/ArrayAttr())
      .getRes();
}

void MmaAttention::emitIndices(bool again) {
  // Blocks of late queries have most to do where masks are causal: they start
  // first, so that small ones fill the gaps at the end.
  Value numQueries = narrow(parts.size(Loop::query));
  Value blocks =
      b.div(b.add(numQueries, b.i32(tiling.rows() - 1)), b.i32(tiling.rows()));
  SmallVector<Value> at =
      b.delinearize(readId(again, "ctaid.x", b.blockId()),
                    {narrow(parts.size(Loop::batch)),
                     narrow(parts.size(Loop::head)), blocks});
  indices[Loop::batch] = wide(at[0]);
  indices[Loop::head] = wide(at[1]);
  Value block = b.sub(b.sub(blocks, b.i32(1)), at[2]);
  first = b.mul(block, b.i32(tiling.rows()));
  last = b.min(b.add(first, b.i32(tiling.rows() - 1)),
               b.sub(numQueries, b.i32(1)));

  thread = readId(again, "tid.x", b.threadId());
  lane = b.rem(thread, b.i32(32));
  warp = b.div(thread, b.i32(32));
  laneInQuad = b.rem(lane, b.i32(4));

  auto base = [&](Value row, int64_t pitch, Value channel) {
    Value offset = b.add(b.mul(row, b.i32(pitch)), channel);
    return LLVM::GEPOp::create(b, sharedPointer.getType(), element,
                               sharedPointer, ValueRange{offset});
  };
  // Lanes give the addresses of the rows of four matrices of 8 x 8: of keys
  // 8 x 16 and the next 8, of queries 16 x 8 and the next 8, of values the
  // same, transposed.
  Value row = b.rem(lane, b.i32(8)), matrix = b.div(lane, b.i32(8));
  Value odd = b.mul(b.rem(matrix, b.i32(2)), b.i32(8));
  Value upper = b.mul(b.div(matrix, b.i32(2)), b.i32(8));
  keyPointer = base(b.add(row, upper), tiling.keyPitch(), odd);
  Value ownRow =
      b.add(b.mul(warp, b.i32(kM * tiling.rowTiles)), b.add(row, odd));
  queryPointer = pointerAt(base(ownRow, tiling.keyPitch(), upper), queryOffset);
  valuePointer = pointerAt(base(b.add(row, odd), tiling.valuePitch(), upper),
                           tiling.valueOffset());

  parts.enterBatch(indices[Loop::batch]);
  AttentionParts::KeyRange range = parts.visibleKeys(wide(first), wide(last));
  from = narrow(range.from);
  to = narrow(range.to);
  allFrom = narrow(range.allFrom);
  allTo = narrow(range.allTo);
  lastKey = b.sub(to, b.i32(1));

  queries.clear();
  isQuery.clear();
  firstKey.clear();
  numKeys.clear();
  row = b.add(b.mul(warp, b.i32(kM * tiling.rowTiles)), b.div(lane, b.i32(4)));
  row = b.add(row, first);
  for (int64_t i = 0; i < numRows(); ++i) {
    Value query = b.add(row, b.i32(i * 8));
    isQuery.push_back(
        arith::CmpIOp::create(b, arith::CmpIPredicate::sle, query, last));
    query = b.min(query, last);
    queries.push_back(query);
    // Of one query the range is exact.
    AttentionParts::KeyRange visible =
        parts.visibleKeys(wide(query), wide(query));
    firstKey.push_back(narrow(visible.from));
    numKeys.push_back(
        b.max(b.i32(0), b.sub(narrow(visible.to), firstKey.back())));
  }
}

//===----------------------------------------------------------------------===//
// Tiles in workgroup memory
//===----------------------------------------------------------------------===//

MmaAttention::RotationKind
MmaAttention::kindOf(const AttentionRotation *rotation) {
  if (!rotation)
    return RotationKind::none;
  RotationAttr attr = rotation->getAttr();
  std::optional<int64_t> pairs = rotation->knownPairs();
  bool fits =
      pairs && *pairs % kChunk == 0 && attr.getOffset() % kChunk == 0 &&
      attr.getPairStride().value_or(0) % kChunk == 0 &&
      attr.getResultPairing().value_or(attr.getPairing()) == attr.getPairing();
  return fits ? RotationKind::inPlace : RotationKind::byElement;
}

/// Starts copies of rows `first` .. to workgroup memory. With `last` rows
/// beyond it are that one.
void MmaAttention::copyTile(OpOperand &operand, Loop loop, Value first,
                            Value last, int64_t rows, int64_t channels,
                            int64_t offset) {
  // Each row goes to as many threads as divide its chunks.
  int64_t chunks = channels / kChunk;
  int64_t perRow = std::min(kThreads, chunks & -chunks);
  int64_t step = kThreads / perRow, pitch = channels + kChunk;
  Value row = b.div(thread, b.i32(perRow));
  Value chunk = b.mul(b.rem(thread, b.i32(perRow)), b.i32(kChunk));
  const KernelBuffer &buffer = parts.buffer(operand);
  Value origin = b.add(parts.address(operand, indices), wide(chunk));
  Value stride = parts.stride(operand, loop);
  Value target = wide(b.add(b.mul(row, b.i32(pitch)), chunk));
  // Neighbours of rows that are there are a fixed distance away.
  if (!last)
    origin = b.add(origin, b.mul(wide(b.add(first, row)), stride));
  auto copyRow = [&](int64_t pass) {
    Value source;
    if (last) {
      Value number = b.min(b.add(b.add(first, row), b.i32(pass)), last);
      source = b.add(origin, b.mul(wide(number), stride));
    } else {
      source = b.add(origin, b.mul(b.index(pass), stride));
    }
    for (int64_t at = 0; at < channels; at += perRow * kChunk) {
      Value to = b.add(target, b.index(offset + pass * pitch + at));
      Value from = b.add(source, b.index(at));
      nvgpu::DeviceAsyncCopyOp::create(
          b, nvgpu::DeviceAsyncTokenType::get(b.getContext()), shared, to,
          buffer.memref, from, b.getIndexAttr(kChunk), /*srcElements=*/Value(),
          b.getUnitAttr());
    }
  };
  if (step > rows)
    return b.ifThen(b.less(row, b.i32(rows)), [&] { copyRow(0); });
  for (int64_t pass = 0; pass < rows; pass += step)
    copyRow(pass);
}

/// Rotates rows in workgroup memory, 8 pairs at a time.
void MmaAttention::rotateTile(const AttentionRotation &rotation, bool aligned,
                              Loop loop, Value first, Value last, int64_t rows,
                              int64_t offset) {
  RotationAttr attr = rotation.getAttr();
  bool isHalf = attr.getPairing() == Pairing::half;
  int64_t pairs = *rotation.knownPairs(), units = pairs / kChunk;
  int64_t second = isHalf ? attr.getPairStride().value_or(pairs) : kChunk;
  auto stored = VectorType::get({kChunk}, element);
  auto widened = VectorType::get({kChunk}, b.getF32Type());
  b.forLoop(thread, b.i32(rows * units), b.i32(kThreads), [&](Value number) {
    SmallVector<Value> at = b.delinearize(number, {b.i32(rows), b.i32(units)});
    Value rowNumber = wide(b.min(b.add(first, at[0]), last));
    AttentionRotation::Row row =
        rotation.row(indices.with(loop, rowNumber), Value());
    SmallVector<CosSin> angles = rotation.cosSin(
        row, wide(b.mul(at[1], b.i32(kChunk))), kChunk, aligned);
    Value address =
        wide(b.add(b.add(b.mul(at[0], b.i32(tiling.keyPitch())),
                         b.mul(at[1], b.i32(isHalf ? kChunk : 2 * kChunk))),
                   b.i32(offset + attr.getOffset())));
    Value addresses[] = {address, b.add(address, b.index(second))};
    SmallVector<Value> x;
    for (Value from : addresses) {
      Value chunk =
          vector::LoadOp::create(b, stored, shared, from,
                                 /*nontemporal=*/false, llvm::MaybeAlign(16));
      chunk = arith::ExtFOp::create(b, widened, chunk);
      for (int64_t i = 0; i < kChunk; ++i)
        x.push_back(vector::ExtractOp::create(b, chunk, i));
    }
    for (int64_t i = 0; i < kChunk; ++i) {
      Value &u = x[isHalf ? i : 2 * i];
      Value &v = x[isHalf ? i + kChunk : 2 * i + 1];
      std::tie(u, v) = rotation.rotate(u, v, angles[i]);
    }
    for (auto [i, to] : llvm::enumerate(addresses)) {
      Value chunk = vector::FromElementsOp::create(
          b, widened, ArrayRef(x).slice(i * kChunk, kChunk));
      chunk = arith::TruncFOp::create(b, stored, chunk);
      vector::StoreOp::create(b, chunk, shared, to, /*nontemporal=*/false,
                              llvm::MaybeAlign(16));
    }
  });
}

/// Rotates rows on their way to workgroup memory, channel by channel.
void MmaAttention::loadElements(OpOperand &operand,
                                const AttentionRotation &rotation, Loop loop,
                                Value first, Value last, int64_t rows,
                                int64_t offset) {
  b.forLoop(
      thread, b.i32(rows * tiling.channels), b.i32(kThreads),
      [&](Value number) {
        SmallVector<Value> at =
            b.delinearize(number, {b.i32(rows), b.i32(tiling.channels)});
        Indices from =
            indices.with(loop, wide(b.min(b.add(first, at[0]), last)));
        AttentionRotation::Row row =
            rotation.row(from, parts.address(operand, from));
        Value x = rotation.loadChannel(row, wide(at[1]));
        Value to = b.add(b.add(b.mul(at[0], b.i32(tiling.keyPitch())), at[1]),
                         b.i32(offset));
        memref::StoreOp::create(b, toFloat(b, x, element), shared, wide(to));
      });
  // Instructions of whole warps follow, which have to be together again.
  b.barrier();
}

Fragment MmaAttention::loadQueryFragment(int64_t tile, int64_t channel) {
  return asOperands(loadMatrices(
      pointerAt(queryPointer, tile * kM * tiling.keyPitch() + channel),
      /*transposed=*/false));
}

/// Rotates queries, which stay where they are or as fragments in registers.
void MmaAttention::loadQueries() {
  if (queryKind == RotationKind::byElement) {
    loadElements(parts.query(), *parts.queryRotation, Loop::query, first, last,
                 tiling.rows(), queryOffset);
  } else {
    copyTile(parts.query(), Loop::query, first, last, tiling.rows(),
             tiling.channels, queryOffset);
    commit();
    await();
  }
  if (queryKind == RotationKind::inPlace) {
    rotateTile(*parts.queryRotation,
               hasChunksOfTables(op.getQueryRotationAttr(),
                                 op.getQueryRotationOperands()),
               Loop::query, first, last, tiling.rows(), queryOffset);
    b.barrier();
  }
  if (tiling.keepsQueries)
    return;
  for (int64_t tile = 0; tile < tiling.rowTiles; ++tile)
    for (int64_t channel = 0; channel < tiling.channels; channel += kK)
      queryFragments.push_back(loadQueryFragment(tile, channel));
}

/// With `isCut` the tile may reach beyond the last key.
void MmaAttention::startKeys(Value start, bool isCut) {
  if (keyKind == RotationKind::byElement)
    return loadElements(parts.key(), *parts.keyRotation, Loop::key, start,
                        lastKey, tiling.keys, 0);
  copyTile(parts.key(), Loop::key, start, isCut ? lastKey : Value(),
           tiling.keys, tiling.channels, 0);
}

/// What is left to do when all threads see the keys.
void MmaAttention::finishKeys(Value start) {
  if (keyKind != RotationKind::inPlace)
    return;
  rotateTile(
      *parts.keyRotation,
      hasChunksOfTables(op.getKeyRotationAttr(), op.getKeyRotationOperands()),
      Loop::key, start, lastKey, tiling.keys, 0);
  b.barrier();
}

void MmaAttention::startValues(Value start, Value isCut) {
  auto copy = [&](Value last) {
    copyTile(parts.value(), Loop::key, start, last, tiling.keys,
             tiling.valueChannels, tiling.valueOffset());
  };
  if (!isCut)
    return copy(lastKey);
  b.ifThen(isCut, [&] { copy(lastKey); }, [&] { copy(Value()); });
}

//===----------------------------------------------------------------------===//
// Matrices in registers
//===----------------------------------------------------------------------===//

Value MmaAttention::pointerAt(Value base, int64_t elements) {
  if (elements == 0)
    return base;
  return LLVM::GEPOp::create(
      b, base.getType(), element, base,
      ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(elements)});
}

Fragment MmaAttention::loadMatrices(Value pointer, bool transposed) {
  Type word = b.getI32Type();
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(),
                                               {word, word, word, word});
  Value loaded = NVVM::LdMatrixOp::create(
      b, type, pointer, b.getI32IntegerAttr(4),
      NVVM::MMALayoutAttr::get(b.getContext(), transposed
                                                   ? NVVM::MMALayout::col
                                                   : NVVM::MMALayout::row),
      NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8),
      NVVM::LdStMatrixEltTypeAttr::get(b.getContext(),
                                       NVVM::LdStMatrixEltType::B16));
  Fragment words;
  for (int64_t i = 0; i < 4; ++i)
    words[i] = LLVM::ExtractValueOp::create(b, loaded, i);
  return words;
}

/// mma.sync takes words of two bf16, and vectors of two f16.
Value MmaAttention::asOperand(Value word) {
  if (element.isBF16())
    return word;
  return LLVM::BitcastOp::create(b, VectorType::get({2}, element), word);
}

Fragment MmaAttention::asOperands(Fragment words) {
  for (Value &word : words)
    word = asOperand(word);
  return words;
}

/// c += a b
void MmaAttention::multiply(const Fragment &a, Value b0, Value b1,
                            MutableArrayRef<Value> c) {
  Type f32 = b.getF32Type();
  auto type =
      LLVM::LLVMStructType::getLiteral(b.getContext(), {f32, f32, f32, f32});
  NVVM::MMATypes operand =
      element.isBF16() ? NVVM::MMATypes::bf16 : NVVM::MMATypes::f16;
  Value result = NVVM::MmaOp::create(
      b, type, ValueRange(a), ValueRange{b0, b1}, ValueRange(c), {kM, kN, kK},
      std::nullopt, std::nullopt, std::array{operand, operand},
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (int64_t i = 0; i < 4; ++i)
    c[i] = LLVM::ExtractValueOp::create(b, result, i);
}

/// Two f32, rounded, in one word.
Value MmaAttention::pack(Value low, Value high) {
  Value wide = vector::FromElementsOp::create(
      b, VectorType::get({2}, b.getF32Type()), ValueRange{low, high});
  Value narrow =
      arith::TruncFOp::create(b, VectorType::get({2}, element), wide);
  return element.isBF16()
             ? Value(LLVM::BitcastOp::create(b, b.getI32Type(), narrow))
             : narrow;
}

/// The weights of 16 keys lie in the accumulators of their scores as the
/// operand of the next product has them.
Fragment MmaAttention::packWeights(ArrayRef<Value> weights, int64_t rowTile,
                                   int64_t step) {
  ArrayRef<Value> w =
      weights.slice((rowTile * (tiling.keys / kN) + 2 * step) * 4, 8);
  return {pack(w[0], w[1]), pack(w[2], w[3]), pack(w[4], w[5]),
          pack(w[6], w[7])};
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

SmallVector<Value> MmaAttention::emitProducts() {
  SmallVector<Value> scores(tiling.rowTiles * (tiling.keys / kN) * 4,
                            b.real(b.getF32Type(), 0.0));
  int64_t steps = tiling.channels / kK;
  for (int64_t step = 0; step < steps; ++step) {
    SmallVector<Fragment> queries;
    for (int64_t tile = 0; tile < tiling.rowTiles; ++tile)
      queries.push_back(tiling.keepsQueries
                            ? loadQueryFragment(tile, step * kK)
                            : queryFragments[tile * steps + step]);
    for (int64_t key = 0; key < tiling.keys; key += 2 * kN) {
      Fragment keys = asOperands(loadMatrices(
          pointerAt(keyPointer, key * tiling.keyPitch() + step * kK),
          /*transposed=*/false));
      for (int64_t tile = 0; tile < tiling.rowTiles; ++tile)
        for (int64_t half = 0; half < 2; ++half)
          multiply(queries[tile], keys[2 * half], keys[2 * half + 1],
                   MutableArrayRef(scores).slice(
                       (tile * (tiling.keys / kN) + key / kN + half) * 4, 4));
    }
  }
  return scores;
}

/// Keys that a query does not see get minus infinity.
void MmaAttention::mask(MutableArrayRef<Value> scores, Value start) {
  Value key = b.add(start, b.mul(laneInQuad, b.i32(2)));
  for (int64_t row = 0; row < numRows(); ++row) {
    Value number = b.sub(key, firstKey[row]);
    for (int64_t column = 0; column < columns(); ++column) {
      // One comparison for both ends.
      Value isVisible = arith::CmpIOp::create(
          b, arith::CmpIPredicate::ult,
          b.add(number, b.i32(column / 2 * kN + column % 2)), numKeys[row]);
      Value &score = at(scores, row, column);
      score =
          arith::SelectOp::create(b, isVisible, score, parts.minusInfinity());
    }
  }
}

/// The scores of the keys in workgroup memory, from `start` on, times `factor`
/// of what is in `factor`'s comment. With `mayBePlain` masks are left out where
/// all queries of the block see all keys.
SmallVector<Value> MmaAttention::emitScores(Value start, bool mayBePlain) {
  SmallVector<Value> scores = emitProducts();
  if (isScaled) {
    Value key = b.add(start, b.mul(laneInQuad, b.i32(2)));
    for (int64_t column = 0; column < columns(); ++column) {
      Value number =
          b.min(b.add(key, b.i32(column / 2 * kN + column % 2)), lastKey);
      for (int64_t row = 0; row < numRows(); ++row) {
        Value &score = at(scores, row, column);
        Indices where = indices.with(Loop::query, wide(queries[row]));
        score = parts.score(score, where.with(Loop::key, wide(number)),
                            /*allVisible=*/true);
      }
    }
  }
  if (!mayBePlain) {
    mask(scores, start);
    return scores;
  }
  Value isCut =
      arith::OrIOp::create(b, b.less(start, allFrom),
                           b.less(allTo, b.add(start, b.i32(tiling.keys))));
  auto branch = scf::IfOp::create(b, ValueRange(scores).getTypes(), isCut,
                                  /*addThenBlock=*/true,
                                  /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, scores);
  b.setInsertionPointToStart(branch.thenBlock());
  mask(scores, start);
  scf::YieldOp::create(b, scores);
  return SmallVector<Value>(branch.getResults());
}

Value MmaAttention::exp2(Value x) {
  return LLVM::CallIntrinsicOp::create(
             b, x.getType(), b.getStringAttr("llvm.nvvm.ex2.approx.ftz"),
             ValueRange{x})
      .getResults();
}

Value MmaAttention::fma(Value x, Value y, Value z) {
  return LLVM::FMAOp::create(b, x, y, z);
}

/// Combines what the four threads of a row have.
Value MmaAttention::overQuad(Value x,
                             llvm::function_ref<Value(Value, Value)> combine) {
  for (int32_t distance : {1, 2}) {
    Value other =
        gpu::ShuffleOp::create(b, x, distance, 32, gpu::ShuffleMode::XOR)
            .getShuffleResult();
    x = combine(x, other);
  }
  return x;
}

/// Whether a condition holds for a thread of the block. All wait for it.
Value MmaAttention::anyInBlock(Value condition) {
  Value inWarp = NVVM::VoteSyncOp::create(b, b.getI1Type(), b.i32(-1),
                                          condition, NVVM::VoteSyncKind::any);
  inWarp = arith::ExtUIOp::create(b, b.getI32Type(), inWarp);
  b.ifThen(arith::CmpIOp::create(b, arith::CmpIPredicate::eq, lane, b.i32(0)),
           [&] { memref::StoreOp::create(b, inWarp, flags, wide(warp)); });
  b.barrier();
  Value all;
  for (int64_t i = 0; i < kWarps; ++i) {
    Value one = memref::LoadOp::create(b, flags, b.index(i));
    all = all ? Value(arith::OrIOp::create(b, all, one)) : one;
  }
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, all, b.i32(0));
}

Value MmaAttention::negated(Value maximum) {
  Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum,
                                        parts.minusInfinity());
  return arith::SelectOp::create(b, isEmpty, parts.real(0.0),
                                 arith::NegFOp::create(b, maximum));
}

//===----------------------------------------------------------------------===//
// The loop over keys
//===----------------------------------------------------------------------===//

void MmaAttention::emitMain() {
  // The last tile, which may be cut off, starts at `top`; below `from` if there
  // is none.
  Value span = b.max(b.sub(to, from), b.i32(0));
  Value count = b.div(b.add(span, b.i32(tiling.keys - 1)), b.i32(tiling.keys));
  Value top = b.add(from, b.mul(b.sub(count, b.i32(1)), b.i32(tiling.keys)));
  auto startFirst = [&] {
    b.ifThen(b.less(from, to), [&] { startKeys(top, /*isCut=*/true); });
    commit();
  };
  bool isBeside = queryOffset != 0;
  if (isBeside)
    startFirst();
  loadQueries();
  if (!isBeside) {
    b.barrier();
    startFirst();
  }

  SmallVector<Value> state;
  Value initial = parts.initialMax(indices[Loop::head]);
  if (op.getSinks())
    initial =
        arith::MulFOp::create(b, initial, parts.real(llvm::numbers::log2e));
  state.append(numRows(), initial);
  // One thread of each row has the sink.
  auto isFirstInQuad = [&] {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, laneInQuad,
                                 b.i32(0));
  };
  Value initialSum = parts.real(0.0);
  if (op.getSinks())
    initialSum = arith::SelectOp::create(
        b, isFirstInQuad(), parts.real(parts.initialSum()), initialSum);
  state.append(numRows(), initialSum);
  int64_t accTiles = tiling.valueChannels / kN;
  state.append(tiling.rowTiles * accTiles * 4, parts.real(0.0));

  Value scale = parts.real(factor);
  state = b.forLoop(
      b.sub(b.i32(0), top), b.sub(b.i32(1), from), b.i32(tiling.keys), state,
      [&](Value below, ValueRange values) {
        Value start = b.sub(b.i32(0), below);
        SmallVector<Value> maxima(values.take_front(numRows()));
        SmallVector<Value> sums(values.slice(numRows(), numRows()));
        SmallVector<Value> acc(values.drop_front(2 * numRows()));

        // Keys are there, the values before are done with.
        await();
        finishKeys(start);
        startValues(start, b.less(to, b.add(start, b.i32(tiling.keys))));
        commit();
        SmallVector<Value> scores = emitScores(start, /*mayBePlain=*/true);
        // Values are there, the keys done with.
        await();
        b.ifThen(b.less(from, start), [&] {
          startKeys(b.sub(start, b.i32(tiling.keys)), /*isCut=*/false);
        });
        commit();

        SmallVector<Value> corrections;
        for (int64_t row = 0; row < numRows(); ++row) {
          Value most = at(scores, row, 0);
          for (int64_t column = 1; column < columns(); ++column)
            most = maximum(most, at(scores, row, column));
          most =
              overQuad(most, [&](Value x, Value y) { return maximum(x, y); });
          Value next =
              maximum(maxima[row], arith::MulFOp::create(b, most, scale));
          Value less = negated(next);
          Value correction = exp2(arith::AddFOp::create(b, maxima[row], less));
          maxima[row] = next;
          corrections.push_back(correction);
          Value sum = arith::MulFOp::create(b, sums[row], correction);
          for (int64_t column = 0; column < columns(); ++column) {
            Value &score = at(scores, row, column);
            score = exp2(fma(score, scale, less));
            sum = arith::AddFOp::create(b, sum, score);
          }
          sums[row] = sum;
        }
        for (auto [i, x] : llvm::enumerate(acc)) {
          int64_t row = int64_t(i) / (accTiles * 4) * 2 + (i / 2) % 2;
          x = arith::MulFOp::create(b, x, corrections[row]);
        }
        for (int64_t step = 0; step < tiling.keys / kK; ++step) {
          SmallVector<Fragment> weights;
          for (int64_t tile = 0; tile < tiling.rowTiles; ++tile)
            weights.push_back(packWeights(scores, tile, step));
          for (int64_t channel = 0; channel < tiling.valueChannels;
               channel += 2 * kN) {
            Fragment loaded = asOperands(loadMatrices(
                pointerAt(valuePointer,
                          step * kK * tiling.valuePitch() + channel),
                /*transposed=*/true));
            for (int64_t tile = 0; tile < tiling.rowTiles; ++tile)
              for (int64_t half = 0; half < 2; ++half)
                multiply(weights[tile], loaded[2 * half], loaded[2 * half + 1],
                         MutableArrayRef(acc).slice(
                             (tile * accTiles + channel / kN + half) * 4, 4));
          }
        }
        SmallVector<Value> next = maxima;
        llvm::append_range(next, sums);
        llvm::append_range(next, acc);
        return next;
      });
  emitIndices(/*again=*/true);
  maxima.assign(state.begin(), state.begin() + numRows());
  for (int64_t row = 0; row < numRows(); ++row)
    sums.push_back(overQuad(state[numRows() + row], [&](Value x, Value y) {
      return Value(arith::AddFOp::create(b, x, y));
    }));
  ArrayRef<Value> acc = ArrayRef(state).drop_front(2 * numRows());

  if (parts.hasLogSumExp())
    for (int64_t row = 0; row < numRows(); ++row)
      b.ifThen(arith::AndIOp::create(b, isQuery[row], isFirstInQuad()), [&] {
        Value max = arith::MulFOp::create(b, maxima[row],
                                          parts.real(llvm::numbers::ln2));
        parts.storeLogSumExp(max, sums[row],
                             indices.with(Loop::query, wide(queries[row])));
      });

  // Not finite, though the sum is a number.
  Value isSpoilt;
  for (auto [i, x] : llvm::enumerate(acc)) {
    int64_t row = int64_t(i) / (accTiles * 4) * 2 + (i / 2) % 2;
    Value zero = arith::MulFOp::create(b, x, parts.real(0.0));
    Value isNone =
        arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, zero, zero);
    Value hasSum = arith::CmpFOp::create(b, arith::CmpFPredicate::ORD,
                                         sums[row], sums[row]);
    Value spoils = arith::AndIOp::create(b, isNone, hasSum);
    isSpoilt =
        isSpoilt ? Value(arith::OrIOp::create(b, isSpoilt, spoils)) : spoils;
  }
  b.ifThen(
      anyInBlock(isSpoilt), [&] { emitCareful(); }, [&] { emitResults(acc); });
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

/// Writes `numTiles` tiles of 8 channels from `channel` on, element by element.
void MmaAttention::storePairs(Value channel, ArrayRef<Value> acc,
                              int64_t numTiles) {
  Value own = wide(b.add(channel, b.mul(laneInQuad, b.i32(2))));
  for (int64_t row = 0; row < numRows(); ++row)
    b.ifThen(isQuery[row], [&] {
      for (int64_t tile = 0; tile < numTiles; ++tile)
        for (int64_t i = 0; i < 2; ++i)
          parts.storeOutput(
              acc[((row / 2) * numTiles + tile) * 4 + (row % 2) * 2 + i],
              indices.with(Loop::query, wide(queries[row]))
                  .with(Loop::valueChannel,
                        b.add(own, b.index(tile * kN + i))));
    });
}

void MmaAttention::emitResults(ArrayRef<Value> acc) {
  int64_t accTiles = tiling.valueChannels / kN;
  SmallVector<Value> inverses, results;
  for (Value sum : sums)
    inverses.push_back(parts.inverse(sum));
  for (auto [i, x] : llvm::enumerate(acc))
    results.push_back(arith::MulFOp::create(
        b, x, inverses[int64_t(i) / (accTiles * 4) * 2 + (i / 2) % 2]));
  if (!hasChunksOfOutput(op))
    return storePairs(b.i32(0), results, accTiles);

  // By way of workgroup memory, so that threads next to each other write chunks
  // next to each other.
  int64_t pitch = tiling.valuePitch();
  Value row =
      b.add(b.mul(warp, b.i32(kM * tiling.rowTiles)), b.div(lane, b.i32(4)));
  Value address =
      wide(b.add(b.mul(row, b.i32(pitch)), b.mul(laneInQuad, b.i32(2))));
  for (int64_t row = 0; row < numRows(); ++row)
    for (int64_t tile = 0; tile < accTiles; ++tile) {
      ArrayRef<Value> two = ArrayRef(results).slice(
          ((row / 2) * accTiles + tile) * 4 + (row % 2) * 2, 2);
      Value wide = vector::FromElementsOp::create(
          b, VectorType::get({2}, b.getF32Type()), two);
      Value narrow =
          arith::TruncFOp::create(b, VectorType::get({2}, element), wide);
      vector::StoreOp::create(
          b, narrow, shared,
          b.add(address, b.index(row * 8 * pitch + tile * kN)),
          /*nontemporal=*/false, llvm::MaybeAlign(4));
    }
  b.barrier();
  int64_t chunks = tiling.valueChannels / kChunk;
  const KernelBuffer &buffer = parts.buffer(parts.output());
  auto type = VectorType::get({kChunk}, element);
  b.forLoop(
      thread, b.i32(tiling.rows() * chunks), b.i32(kThreads),
      [&](Value number) {
        SmallVector<Value> at =
            b.delinearize(number, {b.i32(tiling.rows()), b.i32(chunks)});
        Value query = b.add(first, at[0]);
        Value channel = b.mul(at[1], b.i32(kChunk));
        Value isQuery =
            arith::CmpIOp::create(b, arith::CmpIPredicate::sle, query, last);
        b.ifThen(isQuery, [&] {
          Value chunk = vector::LoadOp::create(
              b, type, shared, wide(b.add(b.mul(at[0], b.i32(pitch)), channel)),
              /*nontemporal=*/false, llvm::MaybeAlign(16));
          vector::StoreOp::create(
              b, chunk, buffer.memref,
              parts.address(parts.output(),
                            indices.with(Loop::query, wide(query))
                                .with(Loop::valueChannel, wide(channel))),
              /*nontemporal=*/false, llvm::MaybeAlign(16));
        });
      });
}

/// The results once more, 16 channels at a time, with what a value that is not
/// finite does to queries that give it weight, and to no others. Maxima and
/// sums are known.
void MmaAttention::emitCareful() {
  uint32_t exponent = element.isBF16() ? 0x7f80 : 0x7c00;
  uint32_t one = element.isBF16() ? 0x3f80 : 0x3c00;
  auto constant = [&](uint32_t bits) {
    return b.i32(static_cast<int32_t>(bits));
  };
  auto bitAnd = [&](Value x, uint32_t bits) -> Value {
    return arith::AndIOp::create(b, x, constant(bits));
  };
  auto is = [&](arith::CmpIPredicate predicate, Value x,
                uint32_t bits) -> Value {
    return arith::CmpIOp::create(b, predicate, x, constant(bits));
  };
  auto select = [&](Value condition, Value x, Value y) -> Value {
    return arith::SelectOp::create(b, condition, x, y);
  };
  // A word of two values: those that are finite; ones where a value is an
  // infinity of either sign, or both for what is not a number.
  struct Apart {
    Value finite, positive, negative;
  };
  auto takeApart = [&](Value x) {
    Apart result;
    for (unsigned shift : {0, 16}) {
      Value half = bitAnd(x, 0xffffu << shift);
      Value isFinite = is(arith::CmpIPredicate::ne,
                          bitAnd(x, exponent << shift), exponent << shift);
      Value isPositive =
          is(arith::CmpIPredicate::ne, half, (exponent | 0x8000u) << shift);
      Value isNegative = is(arith::CmpIPredicate::ne, half, exponent << shift);
      Value mark = select(isFinite, b.i32(0), constant(one << shift));
      auto join = [&](Value &to, Value part) {
        to = to ? Value(arith::OrIOp::create(b, to, part)) : part;
      };
      join(result.finite, select(isFinite, half, b.i32(0)));
      join(result.positive, select(isPositive, mark, b.i32(0)));
      join(result.negative, select(isNegative, mark, b.i32(0)));
    }
    return result;
  };

  Value scale = parts.real(factor);
  Value infinity = arith::NegFOp::create(b, parts.minusInfinity());
  SmallVector<Value> inverses, less;
  for (int64_t row = 0; row < numRows(); ++row) {
    inverses.push_back(parts.inverse(sums[row]));
    less.push_back(negated(maxima[row]));
  }
  b.forLoop(
      b.i32(0), b.i32(tiling.valueChannels), b.i32(2 * kN), [&](Value channel) {
        Value pointer = LLVM::GEPOp::create(b, valuePointer.getType(), element,
                                            valuePointer, ValueRange{channel});
        SmallVector<Value> state(tiling.rowTiles * 2 * 4, parts.real(0.0));
        state = b.forLoop(
            from, to, b.i32(tiling.keys), state,
            [&](Value start, ValueRange values) {
              SmallVector<Value> acc(values);
              SmallVector<Value> positive(acc.size(), parts.real(0.0));
              SmallVector<Value> negative = positive;
              b.barrier();
              startKeys(start, /*isCut=*/true);
              startValues(start, Value());
              commit();
              await();
              finishKeys(start);
              SmallVector<Value> weights =
                  emitScores(start, /*mayBePlain=*/false);
              SmallVector<Value> signs(weights.size());
              for (int64_t row = 0; row < numRows(); ++row)
                for (int64_t column = 0; column < columns(); ++column) {
                  Value &weight = at(weights, row, column);
                  weight = exp2(fma(weight, scale, less[row]));
                  Value isNone = arith::CmpFOp::create(
                      b, arith::CmpFPredicate::OEQ, weight, parts.real(0.0));
                  at(signs, row, column) =
                      select(isNone, parts.real(0.0), parts.real(1.0));
                }
              for (int64_t step = 0; step < tiling.keys / kK; ++step) {
                Fragment loaded = loadMatrices(
                    pointerAt(pointer, step * kK * tiling.valuePitch()),
                    /*transposed=*/true);
                std::array<Apart, 4> apart;
                for (int64_t i = 0; i < 4; ++i)
                  apart[i] = takeApart(loaded[i]);
                for (int64_t tile = 0; tile < tiling.rowTiles; ++tile) {
                  Fragment weight = packWeights(weights, tile, step);
                  Fragment sign = packWeights(signs, tile, step);
                  for (int64_t half = 0; half < 2; ++half) {
                    auto add = [&](const Fragment &a, Value Apart::*which,
                                   MutableArrayRef<Value> to) {
                      multiply(a, asOperand(apart[2 * half].*which),
                               asOperand(apart[2 * half + 1].*which),
                               to.slice((tile * 2 + half) * 4, 4));
                    };
                    add(weight, &Apart::finite, acc);
                    add(sign, &Apart::positive, positive);
                    add(sign, &Apart::negative, negative);
                  }
                }
              }
              auto addInfinity = [&](Value &to, Value count, Value x) {
                Value isAny = arith::CmpFOp::create(
                    b, arith::CmpFPredicate::OGT, count, parts.real(0.0));
                to = arith::AddFOp::create(b, to,
                                           select(isAny, x, parts.real(0.0)));
              };
              for (auto [x, up, down] : llvm::zip(acc, positive, negative)) {
                addInfinity(x, up, infinity);
                addInfinity(x, down, parts.minusInfinity());
              }
              return acc;
            });
        for (auto [i, x] : llvm::enumerate(state))
          x = arith::MulFOp::create(b, x, inverses[i / 8 * 2 + (i / 2) % 2]);
        storePairs(channel, state, 2);
      });
}

void MmaAttention::emit() {
  int64_t capacity = capacityOf(b.getTarget());
  auto space =
      gpu::AddressSpaceAttr::get(b.getContext(), gpu::AddressSpace::Workgroup);
  queryOffset = tiling.queryOffset(capacity);
  if (tiling.size(capacity) <= capacity) {
    shared = b.workgroupMemory(tiling.size(capacity), element);
  } else {
    Value bytes = gpu::DynamicSharedMemoryOp::create(
        b, MemRefType::get({ShapedType::kDynamic}, b.getI8Type(),
                           MemRefLayoutAttrInterface(), space));
    shared = memref::ViewOp::create(
        b,
        MemRefType::get({tiling.size(capacity)}, element,
                        MemRefLayoutAttrInterface(), space),
        bytes, b.index(0), ValueRange());
  }
  flags = b.workgroupMemory(kWarps, b.getI32Type());
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, shared);
  address = arith::IndexCastOp::create(b, b.getI64Type(), address);
  sharedPointer = LLVM::IntToPtrOp::create(
      b,
      LLVM::LLVMPointerType::get(
          b.getContext(), static_cast<unsigned>(NVVM::NVVMMemorySpace::Shared)),
      address);

  // Scores are multiplied as they are raised to powers. Maxima are then those
  // of the products if the factor is a positive number, far from the bounds of
  // its type.
  double scale = op.getScale().convertToDouble();
  isScaled = !parts.isPlainScore() || scale < 0x1p-60 || scale > 0x1p60;
  factor = (isScaled ? 1.0 : scale) * llvm::numbers::log2e;

  queryKind = kindOf(parts.queryRotation.get());
  keyKind = kindOf(parts.keyRotation.get());
  emitIndices(/*again=*/false);
  emitMain();
}

/// The size of a loop, on the host.
static Value hostSize(ImplicitLocOpBuilder &h, AttentionOp op, Loop loop) {
  for (OpOperand *operand : op.getMappedOperands())
    if (std::optional<int64_t> dim = findLoop(op.getMap(*operand), loop))
      if (matchMapResult(op.getMap(*operand).getResult(*dim))->group == 1)
        return h.createOrFold<memref::DimOp>(operand->get(), *dim);
  return arith::ConstantIndexOp::create(h, 1);
}

static Value hostBlocks(OpBuilder &host, AttentionOp op, const Tiling &tiling) {
  ImplicitLocOpBuilder h(op.getLoc(), host);
  Value blocks = h.createOrFold<arith::CeilDivUIOp>(
      hostSize(h, op, Loop::query),
      arith::ConstantIndexOp::create(h, tiling.rows()));
  for (Loop loop : {Loop::head, Loop::batch})
    blocks = h.createOrFold<arith::MulIOp>(blocks, hostSize(h, op, loop));
  return blocks;
}

/// Whether blocks of `tall` keep the device busy and have rows to fill them.
static Value fillsDevice(OpBuilder &host, AttentionOp op, const Tiling &tall,
                         const GPUTarget &target) {
  ImplicitLocOpBuilder h(op.getLoc(), host);
  auto exceeds = [&](Value x, int64_t bound) {
    return h.createOrFold<arith::CmpIOp>(
        arith::CmpIPredicate::ugt, x, arith::ConstantIndexOp::create(h, bound));
  };
  return h.createOrFold<arith::AndIOp>(
      exceeds(hostBlocks(host, op, tall), target.processors - 1),
      exceeds(hostSize(h, op, Loop::query), tall.rows() / 2));
}

static void emitKernel(RewriterBase &host, AttentionOp op,
                       gpu::GPUModuleOp kernels, const GPUTarget &target,
                       const Tiling &tiling) {
  auto func = op->getParentOfType<FunctionOpInterface>();
  std::string name =
      func ? (func.getName() + "_attention_mma").str() : "attention_mma";
  KernelBuilder b(host, op.getLoc(), kernels, name, target, kThreads);
  AttentionParts parts(b, op);
  MmaAttention kernel(b, parts, tiling);
  kernel.emit();
  OpFoldResult blocks = hostBlocks(host, op, tiling);
  // Every device with these instructions has this much, where it is asked for.
  int64_t capacity = capacityOf(target), size = tiling.size(capacity);
  Value bytes;
  if (size > capacity)
    bytes = arith::ConstantIntOp::create(host, op.getLoc(), host.getI32Type(),
                                         2 * size);
  gpu::LaunchFuncOp launch = b.launch(blocks);
  if (bytes)
    launch.getDynamicSharedMemorySizeMutable().assign(bytes);
}

LogicalResult rope::emitMmaAttentionKernel(RewriterBase &host, AttentionOp op,
                                           gpu::GPUModuleOp kernels,
                                           const GPUTarget &target) {
  // Kernels for wgmma and bulk copies (sm_90a) would be chosen here.
  std::optional<Tiling> tiling = getTiling(op, target);
  if (!tiling)
    return failure();
  // Where there are many queries the caller has rotated keys. Regions of scores
  // need registers of their own.
  std::optional<Tiling> tall;
  if (!op.getKeyRotationAttr() &&
      (op.getRegion().empty() || tiling->valueChannels <= 64))
    tall = getTallTiling(*tiling);
  if (!tall) {
    emitKernel(host, op, kernels, target, *tiling);
    return success();
  }
  // Many rows in few blocks would leave processors idle.
  Value isTall = fillsDevice(host, op, *tall, target);
  APInt known;
  if (matchPattern(isTall, m_ConstantInt(&known))) {
    emitKernel(host, op, kernels, target, known.isZero() ? *tiling : *tall);
    return success();
  }
  auto branch = scf::IfOp::create(host, op.getLoc(), isTall,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(host);
  host.setInsertionPointToStart(branch.thenBlock());
  emitKernel(host, op, kernels, target, *tall);
  host.setInsertionPointToStart(branch.elseBlock());
  emitKernel(host, op, kernels, target, *tiling);
  return success();
}
