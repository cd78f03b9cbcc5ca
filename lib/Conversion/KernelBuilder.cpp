//===- KernelBuilder.cpp - kernels and their launches ---------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Rope/IR/Attention.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::rope;

/// An element of `type` in memory of a kernel.
static Type storedType(Type type, const GPUTarget &target) {
  OpBuilder b(type.getContext());
  if (type.isInteger(1))
    return b.getI8Type();
  if (type.isBF16() && !target.hasBF16)
    return b.getI16Type();
  if (type.isIndex() || type.isInteger(64))
    return target.hasI64 ? b.getI64Type() : b.getI32Type();
  return type;
}

static MemRefType parameterType(Type element) {
  auto layout =
      StridedLayoutAttr::get(element.getContext(), ShapedType::kDynamic, {1});
  return MemRefType::get({ShapedType::kDynamic}, element, layout);
}

KernelBuilder::KernelBuilder(OpBuilder &host, Location loc,
                             gpu::GPUModuleOp kernels, StringRef name,
                             const GPUTarget &target, unsigned blockSize)
    : ImplicitLocOpBuilder(loc, host.getContext()), host(host), target(target),
      blockSize(blockSize) {
  std::string unique = name.str();
  for (unsigned i = 0; kernels.lookupSymbol(unique); ++i)
    unique = (name + "_" + Twine(i)).str();
  setInsertionPointToEnd(kernels.getBody());
  kernel = gpu::GPUFuncOp::create(*this, unique, getFunctionType({}, {}));
  kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), getUnitAttr());
  kernel.setKnownBlockSizeAttr(
      getDenseI32ArrayAttr({static_cast<int32_t>(blockSize), 1, 1}));
  setInsertionPointToEnd(&kernel.getBody().front());
}

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

Value KernelBuilder::number(OpFoldResult hostNumber) {
  if (std::optional<int64_t> known = getConstantIntValue(hostNumber)) {
    InsertionGuard guard(*this);
    setInsertionPointToStart(&kernel.getBody().front());
    return index(*known);
  }
  auto value = cast<Value>(hostNumber);
  if (isInLoops(value))
    return compute(value);
  Value &parameter = numbers[value];
  if (!parameter) {
    unsigned position = kernel.getNumArguments();
    (void)kernel.insertArgument(position, getIndexType(), {}, getLoc());
    parameter = kernel.getArgument(position);
    numberOperands.push_back(value);
  }
  return parameter;
}

const KernelBuffer &KernelBuilder::buffer(Value hostMemref) {
  if (isInLoops(hostMemref))
    return view(hostMemref);
  std::unique_ptr<KernelBuffer> &entry = buffers[hostMemref];
  if (entry)
    return *entry;
  entry = std::make_unique<KernelBuffer>();
  KernelBuffer &result = *entry;
  auto type = cast<MemRefType>(hostMemref.getType());
  result.elementType = type.getElementType();
  result.staticSizes.assign(type.getShape().begin(), type.getShape().end());
  int64_t offset;
  if (failed(type.getStridesAndOffset(result.staticStrides, offset))) {
    result.staticStrides.assign(type.getRank(), ShapedType::kDynamic);
    offset = ShapedType::kDynamic;
  }

  // One row that starts at the first element. How far it reaches is not said.
  ImplicitLocOpBuilder h(getLoc(), host);
  auto metadata = memref::ExtractStridedMetadataOp::create(h, hostMemref);
  auto mixed = [&](int64_t known, Value value) -> OpFoldResult {
    return ShapedType::isDynamic(known) ? OpFoldResult(value)
                                        : OpFoldResult(h.getIndexAttr(known));
  };
  for (auto [known, value] : llvm::zip(result.staticSizes, metadata.getSizes()))
    result.sizes.push_back(number(mixed(known, value)));
  for (auto [known, value] :
       llvm::zip(result.staticStrides, metadata.getStrides()))
    result.strides.push_back(number(mixed(known, value)));
  Value one = arith::ConstantIndexOp::create(h, 1);
  Value row = memref::ReinterpretCastOp::create(
      h, parameterType(result.elementType), metadata.getBaseBuffer(),
      OpFoldResult(getValueOrCreateConstantIndexOp(
          h, getLoc(), mixed(offset, metadata.getOffset()))),
      OpFoldResult(one), OpFoldResult(h.getIndexAttr(1)));
  MemRefType stored = parameterType(storedType(result.elementType, target));
  if (row.getType() != stored)
    row = UnrealizedConversionCastOp::create(h, stored, row).getResult(0);
  unsigned position = bufferOperands.size();
  (void)kernel.insertArgument(position, stored, {}, getLoc());
  result.memref = kernel.getArgument(position);
  bufferOperands.push_back(row);
  return result;
}

Value KernelBuilder::scalar(Value hostScalar) {
  Type type = hostScalar.getType();
  if (isInLoops(hostScalar))
    return compute(hostScalar);
  Attribute constant;
  if (matchPattern(hostScalar, m_Constant(&constant)))
    return arith::ConstantOp::create(*this, cast<TypedAttr>(constant));
  if (type.isIndex())
    return number(hostScalar);
  // Its bits travel as a number.
  Value &bits = scalars[hostScalar];
  if (!bits) {
    ImplicitLocOpBuilder h(getLoc(), host);
    Type integer = getIntegerType(type.getIntOrFloatBitWidth());
    Value value = hostScalar;
    if (isa<FloatType>(type))
      value = arith::BitcastOp::create(h, integer, value);
    bits = arith::IndexCastOp::create(h, getIndexType(), value);
  }
  Type integer = getIntegerType(type.getIntOrFloatBitWidth());
  Value value = arith::IndexCastOp::create(*this, integer, number(bits));
  if (isa<FloatType>(type))
    value = arith::BitcastOp::create(*this, type, value);
  return value;
}

Value KernelBuilder::workgroupMemory(int64_t count, Type type) {
  auto space =
      gpu::AddressSpaceAttr::get(getContext(), gpu::AddressSpace::Workgroup);
  auto memref =
      MemRefType::get({count}, type, MemRefLayoutAttrInterface(), space);
  Value memory = kernel.addWorkgroupAttribution(memref, getLoc());
  kernel.setWorkgroupAttributionAttr(numWorkgroup++,
                                     LLVM::LLVMDialect::getAlignAttrName(),
                                     getI64IntegerAttr(16));
  return memory;
}

//===----------------------------------------------------------------------===//
// Loops of the host
//===----------------------------------------------------------------------===//

bool KernelBuilder::canStore(Type type) {
  return isa<Float16Type, BFloat16Type, Float32Type, Float64Type, IndexType>(
             type) ||
         (type.isSignlessInteger() &&
          llvm::is_contained({1, 8, 16, 32, 64},
                             int(type.getIntOrFloatBitWidth())));
}

bool KernelBuilder::canEnter(Operation *op) {
  if (isa<memref::SubViewOp, memref::CastOp>(op))
    return true;
  if (auto load = dyn_cast<memref::LoadOp>(op))
    return canStore(load.getType());
  if (auto dim = dyn_cast<memref::DimOp>(op))
    return dim.getConstantIndex().has_value();
  auto isScalar = [](Type type) { return type.isIntOrIndexOrFloat(); };
  return isMemoryEffectFree(op) && op->getNumRegions() == 0 &&
         llvm::all_of(op->getOperandTypes(), isScalar) &&
         llvm::all_of(op->getResultTypes(), isScalar);
}

void KernelBuilder::enterLoops(Operation *outermost, ValueRange variables,
                               ValueRange values) {
  loops = outermost;
  computed.clear();
  views.clear();
  computed.map(variables, values);
}

bool KernelBuilder::isInLoops(Value value) const {
  return loops && loops->isAncestor(value.getParentBlock()->getParentOp());
}

Value KernelBuilder::compute(Value value) {
  if (Value known = computed.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  Value result;
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    const KernelBuffer &memory = buffer(load.getMemRef());
    SmallVector<Value> indices = llvm::map_to_vector(
        load.getIndices(), [&](Value index) { return number(index); });
    Value at = address(memory, indices);
    result = value.getType().isIndex() ? loadIndex(memory, at)
                                       : this->load(memory, at);
  } else if (auto dim = dyn_cast<memref::DimOp>(op)) {
    result = buffer(dim.getSource()).sizes[*dim.getConstantIndex()];
  } else {
    IRMapping operands;
    for (Value operand : op->getOperands())
      operands.map(operand, scalar(operand));
    result = clone(*op, operands)
                 ->getResult(cast<OpResult>(value).getResultNumber());
  }
  computed.map(value, result);
  return result;
}

const KernelBuffer &KernelBuilder::view(Value memref) {
  if (auto known = views.find(memref); known != views.end())
    return *known->second;
  Operation *op = memref.getDefiningOp();
  const KernelBuffer &source = buffer(op->getOperand(0));
  auto result = std::make_unique<KernelBuffer>(source);
  auto type = cast<MemRefType>(memref.getType());
  if (auto subview = dyn_cast<memref::SubViewOp>(op)) {
    auto numbers = [&](ArrayRef<OpFoldResult> values) {
      return llvm::map_to_vector(
          values, [&](OpFoldResult value) { return number(value); });
    };
    result->offset = address(source, numbers(subview.getMixedOffsets()));
    result->sizes.clear();
    result->strides.clear();
    llvm::SmallBitVector dropped = subview.getDroppedDims();
    SmallVector<Value> sizes = numbers(subview.getMixedSizes());
    SmallVector<Value> steps = numbers(subview.getMixedStrides());
    for (size_t dim = 0; dim < sizes.size(); ++dim) {
      if (dropped[dim])
        continue;
      result->sizes.push_back(sizes[dim]);
      result->strides.push_back(mul(steps[dim], source.strides[dim]));
    }
  }
  result->staticSizes.assign(type.getShape().begin(), type.getShape().end());
  int64_t offset;
  result->staticStrides.clear();
  if (failed(type.getStridesAndOffset(result->staticStrides, offset)))
    result->staticStrides.assign(type.getRank(), ShapedType::kDynamic);
  return *(views[memref] = std::move(result));
}

//===----------------------------------------------------------------------===//
// Launch
//===----------------------------------------------------------------------===//

gpu::LaunchFuncOp KernelBuilder::launch(OpFoldResult blocks) {
  gpu::ReturnOp::create(*this);
  // What a description of memory says and the kernel does not ask for.
  llvm::BitVector unused(kernel.getNumArguments());
  SmallVector<Value> operands;
  for (auto [index, operand] :
       llvm::enumerate(llvm::concat<Value>(bufferOperands, numberOperands))) {
    if (kernel.getArgument(index).use_empty())
      unused.set(index);
    else
      operands.push_back(operand);
  }
  (void)kernel.eraseArguments(unused);
  Value one = arith::ConstantIndexOp::create(host, getLoc(), 1);
  Value threads = arith::ConstantIndexOp::create(host, getLoc(), blockSize);
  Value grid = getValueOrCreateConstantIndexOp(host, getLoc(), blocks);
  return gpu::LaunchFuncOp::create(
      host, getLoc(), kernel, gpu::KernelDim3{grid, one, one},
      gpu::KernelDim3{threads, one, one}, /*dynamicSharedMemorySize=*/Value(),
      operands);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Value KernelBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}

Value KernelBuilder::i32(int64_t value) {
  return arith::ConstantIntOp::create(*this, getI32Type(), value);
}

Value KernelBuilder::real(FloatType type, double value) {
  return arith::ConstantOp::create(*this, getFloatAttr(type, value));
}

Value KernelBuilder::add(Value x, Value y) {
  return createOrFold<arith::AddIOp>(x, y);
}

Value KernelBuilder::sub(Value x, Value y) {
  return createOrFold<arith::SubIOp>(x, y);
}

Value KernelBuilder::mul(Value x, Value y) {
  return createOrFold<arith::MulIOp>(x, y);
}

Value KernelBuilder::mulWide(Value x, Value y) {
  Type i64 = getI64Type();
  Value product =
      createOrFold<arith::MulIOp>(createOrFold<arith::ExtSIOp>(i64, x),
                                  createOrFold<arith::ExtSIOp>(i64, y));
  return createOrFold<arith::IndexCastOp>(getIndexType(), product);
}

Value KernelBuilder::toI32(Value x) {
  return createOrFold<arith::IndexCastOp>(getI32Type(), x);
}

/// `Op` on the lower halves of numbers that these hold.
template <typename Op>
static Value narrow(KernelBuilder &b, Value x, Value y) {
  if (!x.getType().isIndex())
    return b.createOrFold<Op>(x, y);
  Value result = b.createOrFold<Op>(b.toI32(x), b.toI32(y));
  return b.createOrFold<arith::IndexCastUIOp>(b.getIndexType(), result);
}

Value KernelBuilder::div(Value x, Value y) {
  return narrow<arith::DivUIOp>(*this, x, y);
}

Value KernelBuilder::rem(Value x, Value y) {
  return narrow<arith::RemUIOp>(*this, x, y);
}

Value KernelBuilder::min(Value x, Value y) {
  return createOrFold<arith::MinSIOp>(x, y);
}

Value KernelBuilder::max(Value x, Value y) {
  return createOrFold<arith::MaxSIOp>(x, y);
}

Value KernelBuilder::less(Value x, Value y) {
  return createOrFold<arith::CmpIOp>(arith::CmpIPredicate::slt, x, y);
}

SmallVector<Value> KernelBuilder::delinearize(Value linear, ValueRange sizes) {
  SmallVector<Value> coordinates(sizes.size());
  for (size_t dim = sizes.size(); dim-- > 1;) {
    coordinates[dim] = rem(linear, sizes[dim]);
    linear = div(linear, sizes[dim]);
  }
  if (!sizes.empty())
    coordinates[0] = linear;
  return coordinates;
}

Value KernelBuilder::threadId() {
  return gpu::ThreadIdOp::create(*this, gpu::Dimension::x);
}

Value KernelBuilder::blockId() {
  return gpu::BlockIdOp::create(*this, gpu::Dimension::x);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value KernelBuilder::address(const KernelBuffer &buffer, ValueRange indices) {
  Value sum = buffer.offset;
  for (auto [dim, position] : llvm::enumerate(indices)) {
    if (!position || isConstantIntValue(position, 0))
      continue;
    Value term = mul(position, buffer.strides[dim]);
    sum = sum ? add(sum, term) : term;
  }
  return sum ? sum : index(0);
}

/// The distance in words of 32 bits of an element of 64.
static Value inWords(KernelBuilder &b, Value address) {
  return b.mul(address, b.index(2));
}

Value KernelBuilder::load(const KernelBuffer &buffer, Value address) {
  Type stored = cast<MemRefType>(buffer.memref.getType()).getElementType();
  Type element = buffer.elementType;
  if (element.isIndex() || element.isInteger(64)) {
    if (stored.isInteger(64))
      return memref::LoadOp::create(*this, buffer.memref, address);
    auto [low, high] = loadHalves(buffer, address);
    Type i64 = getI64Type();
    Value upper =
        arith::ShLIOp::create(*this, arith::ExtUIOp::create(*this, i64, high),
                              arith::ConstantIntOp::create(*this, i64, 32));
    return arith::OrIOp::create(*this, upper,
                                arith::ExtUIOp::create(*this, i64, low));
  }
  Value value = memref::LoadOp::create(*this, buffer.memref, address);
  if (element.isInteger(1))
    return arith::CmpIOp::create(
        *this, arith::CmpIPredicate::ne, value,
        arith::ConstantIntOp::create(*this, stored, 0));
  if (stored != element)
    return arith::BitcastOp::create(*this, element, value);
  return value;
}

void KernelBuilder::store(const KernelBuffer &buffer, Value address,
                          Value value) {
  Type stored = cast<MemRefType>(buffer.memref.getType()).getElementType();
  Type element = buffer.elementType;
  if (element.isIndex() || element.isInteger(64)) {
    if (value.getType().isIndex())
      value = arith::IndexCastOp::create(*this, getI64Type(), value);
    if (!stored.isInteger(64)) {
      Value first = inWords(*this, address);
      Value low = arith::TruncIOp::create(*this, stored, value);
      Value high = arith::TruncIOp::create(
          *this, stored,
          arith::ShRUIOp::create(
              *this, value,
              arith::ConstantIntOp::create(*this, getI64Type(), 32)));
      memref::StoreOp::create(*this, low, buffer.memref, first);
      memref::StoreOp::create(*this, high, buffer.memref, add(first, index(1)));
      return;
    }
  } else if (element.isInteger(1)) {
    value = arith::ExtUIOp::create(*this, stored, value);
  } else if (stored != element) {
    value = arith::BitcastOp::create(*this, stored, value);
  }
  memref::StoreOp::create(*this, value, buffer.memref, address);
}

/// How many elements of `bytes` each that lie in a row are moved at once.
static int64_t accessWidth(const GPUTarget &target, int64_t count,
                           int64_t bytes, bool aligned) {
  if (!aligned || !target.accessBytes || count <= 0)
    return 1;
  return std::max<int64_t>(
      1, std::min<int64_t>(target.accessBytes / bytes,
                           int64_t(1) << llvm::countr_zero(uint64_t(count))));
}

SmallVector<Value> KernelBuilder::loadRow(const KernelBuffer &buffer,
                                          Value address, int64_t count,
                                          bool aligned) {
  int64_t bytes = buffer.elementType.getIntOrFloatBitWidth() / 8;
  int64_t width = accessWidth(target, count, bytes, aligned);
  SmallVector<Value> row;
  for (int64_t first = 0; first < count; first += width) {
    Value at = add(address, index(first));
    if (width == 1)
      row.push_back(load(buffer, at));
    else
      row.push_back(vector::LoadOp::create(
          *this, VectorType::get({width}, buffer.elementType), buffer.memref,
          at, /*nontemporal=*/false, llvm::MaybeAlign(width * bytes)));
  }
  return row;
}

SmallVector<Value> KernelBuilder::toFloats(ValueRange row, FloatType type) {
  SmallVector<Value> values;
  for (Value piece : row) {
    auto vectorType = dyn_cast<VectorType>(piece.getType());
    if (!vectorType) {
      values.push_back(toFloat(*this, piece, type));
      continue;
    }
    Type element = vectorType.getElementType();
    if (element != type) {
      auto wide = VectorType::get(vectorType.getShape(), type);
      piece = element.getIntOrFloatBitWidth() < type.getWidth()
                  ? Value(arith::ExtFOp::create(*this, wide, piece))
                  : Value(arith::TruncFOp::create(*this, wide, piece));
    }
    for (int64_t i = 0; i < vectorType.getDimSize(0); ++i)
      values.push_back(vector::ExtractOp::create(*this, piece, i));
  }
  return values;
}

void KernelBuilder::storeFloats(const KernelBuffer &buffer, Value address,
                                ValueRange values, bool aligned) {
  auto element = cast<FloatType>(buffer.elementType);
  int64_t count = values.size(), bytes = element.getWidth() / 8;
  int64_t width = accessWidth(target, count, bytes, aligned);
  for (int64_t first = 0; first < count; first += width) {
    Value at = add(address, index(first));
    if (width == 1) {
      store(buffer, at, toFloat(*this, values[first], element));
      continue;
    }
    auto type = cast<FloatType>(values[first].getType());
    Value vector = vector::FromElementsOp::create(
        *this, VectorType::get({width}, type), values.slice(first, width));
    if (type != element) {
      auto stored = VectorType::get({width}, element);
      vector = element.getWidth() < type.getWidth()
                   ? Value(arith::TruncFOp::create(*this, stored, vector))
                   : Value(arith::ExtFOp::create(*this, stored, vector));
    }
    vector::StoreOp::create(*this, vector, buffer.memref, at,
                            /*nontemporal=*/false,
                            llvm::MaybeAlign(width * bytes));
  }
}

std::pair<Value, Value> KernelBuilder::loadHalves(const KernelBuffer &buffer,
                                                  Value address) {
  Type element = buffer.elementType, word = getI32Type();
  Type stored = cast<MemRefType>(buffer.memref.getType()).getElementType();
  if (element.isIndex() || element.isInteger(64)) {
    if (stored.isInteger(64)) {
      Value value = memref::LoadOp::create(*this, buffer.memref, address);
      Value upper = arith::ShRUIOp::create(
          *this, value, arith::ConstantIntOp::create(*this, getI64Type(), 32));
      return {arith::TruncIOp::create(*this, word, value),
              arith::TruncIOp::create(*this, word, upper)};
    }
    Value first = inWords(*this, address);
    return {memref::LoadOp::create(*this, buffer.memref, first),
            memref::LoadOp::create(*this, buffer.memref, add(first, index(1)))};
  }
  Value value = load(buffer, address);
  if (value.getType() != word)
    value = arith::ExtSIOp::create(*this, word, value);
  return {value, arith::ShRSIOp::create(*this, value, i32(31))};
}

SmallVector<std::pair<Value, Value>>
KernelBuilder::loadHalves(const KernelBuffer &buffer, Value address,
                          int64_t count, bool aligned) {
  Type stored = cast<MemRefType>(buffer.memref.getType()).getElementType();
  SmallVector<std::pair<Value, Value>> halves;
  int64_t width = accessWidth(target, count, 8, aligned);
  for (int64_t first = 0; first < count; first += width) {
    Value at = add(address, index(first));
    if (width == 1 || !stored.isInteger(64)) {
      for (int64_t i = 0; i < width; ++i)
        halves.push_back(loadHalves(buffer, add(at, index(i))));
      continue;
    }
    Value vector = vector::LoadOp::create(
        *this, VectorType::get({width}, stored), buffer.memref, at,
        /*nontemporal=*/false, llvm::MaybeAlign(width * 8));
    Value shift = arith::ConstantIntOp::create(*this, stored, 32);
    for (int64_t i = 0; i < width; ++i) {
      Value value = vector::ExtractOp::create(*this, vector, i);
      Value upper = arith::ShRUIOp::create(*this, value, shift);
      halves.emplace_back(arith::TruncIOp::create(*this, getI32Type(), value),
                          arith::TruncIOp::create(*this, getI32Type(), upper));
    }
  }
  return halves;
}

void KernelBuilder::copy(const KernelBuffer &from, Value fromAddress,
                         const KernelBuffer &to, Value toAddress, int64_t count,
                         bool aligned) {
  Type stored = cast<MemRefType>(from.memref.getType()).getElementType();
  int64_t bits = stored.getIntOrFloatBitWidth();
  bool isWide = from.elementType.isIndex() || from.elementType.isInteger(64);
  if (isWide && bits == 32) {
    fromAddress = inWords(*this, fromAddress);
    toAddress = inWords(*this, toAddress);
    count *= 2;
  }
  int64_t width = accessWidth(target, count, bits / 8, aligned);
  for (int64_t first = 0; first < count; first += width) {
    Value read = add(fromAddress, index(first));
    Value write = add(toAddress, index(first));
    if (width == 1) {
      Value value = memref::LoadOp::create(*this, from.memref, read);
      memref::StoreOp::create(*this, value, to.memref, write);
      continue;
    }
    auto alignment = llvm::MaybeAlign(width * bits / 8);
    Value value =
        vector::LoadOp::create(*this, VectorType::get({width}, stored),
                               from.memref, read, false, alignment);
    vector::StoreOp::create(*this, value, to.memref, write, false, alignment);
  }
}

Value KernelBuilder::loadIndex(const KernelBuffer &buffer, Value address) {
  return arith::IndexCastOp::create(*this, getIndexType(),
                                    loadHalves(buffer, address).first);
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

SmallVector<Value> KernelBuilder::forLoop(
    Value from, Value to, Value step, ValueRange inits,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(
      *this, from, to, step, inits,
      [&](OpBuilder &, Location, Value iv, ValueRange values) {
        InsertionGuard guard(*this);
        setInsertionPointToEnd(iv.getParentBlock());
        scf::YieldOp::create(*this, body(iv, values));
      });
  return SmallVector<Value>(loop.getResults());
}

void KernelBuilder::forLoop(Value from, Value to, Value step,
                            llvm::function_ref<void(Value)> body) {
  forLoop(from, to, step, {}, [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

void KernelBuilder::ifThen(Value condition, llvm::function_ref<void()> then,
                           llvm::function_ref<void()> otherwise) {
  auto branch = scf::IfOp::create(*this, condition, bool(otherwise));
  InsertionGuard guard(*this);
  setInsertionPointToStart(branch.thenBlock());
  then();
  if (!otherwise)
    return;
  setInsertionPointToStart(branch.elseBlock());
  otherwise();
}

SmallVector<Value>
KernelBuilder::ifThen(Value condition, ValueRange otherwise,
                      llvm::function_ref<SmallVector<Value>()> then) {
  auto branch = scf::IfOp::create(*this, otherwise.getTypes(), condition,
                                  /*withElseRegion=*/true);
  InsertionGuard guard(*this);
  setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(*this, then());
  setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(*this, otherwise);
  return SmallVector<Value>(branch.getResults());
}

void KernelBuilder::barrier() { gpu::BarrierOp::create(*this); }
