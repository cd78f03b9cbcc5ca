//===- Arguments.cpp - values on the command line -------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/Arguments.h"
#include "Rope/Execution/Npy.h"
#include "Rope/Target/Signature.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

/// The element type of a spelling such as `f32`; null where there is none.
static Type getElementType(StringRef name, MLIRContext *context) {
  Builder builder(context);
  if (name == "index")
    return builder.getIndexType();
  if (name == "bf16")
    return builder.getBF16Type();
  if (name == "f16")
    return builder.getF16Type();
  if (name == "f32")
    return builder.getF32Type();
  if (name == "f64")
    return builder.getF64Type();
  auto sign = IntegerType::Signless;
  if (name.consume_front("s"))
    sign = IntegerType::Signed;
  else if (name.consume_front("u"))
    sign = IntegerType::Unsigned;
  unsigned width;
  if (!name.consume_front("i") || name.getAsInteger(10, width) || width > 64)
    return Type();
  Type type = IntegerType::get(context, width, sign);
  return getElementBytes(type) ? type : Type();
}

/// Stores a number as an element of the type.
static Error store(StringRef text, Type type, MutableArrayRef<char> to) {
  auto notA = [&] {
    std::string name;
    llvm::raw_string_ostream(name) << type;
    return createStringError("'" + text + "' is no number of type " + name);
  };
  auto write = [&](const llvm::APInt &bits) {
    uint64_t value = bits.getZExtValue();
    memcpy(to.data(), &value, to.size());
    return Error::success();
  };
  if (auto floatType = dyn_cast<FloatType>(type)) {
    llvm::APFloat value(floatType.getFloatSemantics());
    auto status =
        value.convertFromString(text, llvm::APFloat::rmNearestTiesToEven);
    if (!status) {
      llvm::consumeError(status.takeError());
      return notA();
    }
    if (*status & llvm::APFloat::opOverflow)
      return notA();
    return write(value.bitcastToAPInt());
  }
  if (type.isInteger(1) && (text == "true" || text == "false"))
    return write(llvm::APInt(1, text == "true"));
  // Base 10 alone: a leading zero is no octal number.
  StringRef digits = text;
  bool negative = digits.consume_front("-");
  llvm::APInt magnitude;
  if (digits.empty() || digits.size() > 20 ||
      !llvm::all_of(digits, llvm::isDigit) ||
      digits.getAsInteger(10, magnitude))
    return notA();
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  llvm::APInt value = magnitude.zextOrTrunc(128);
  if (negative)
    value.negate();
  bool fits = (!type.isUnsignedInteger() && value.isSignedIntN(width)) ||
              // Without a sign in the type, both ranges are meant.
              (!type.isSignedInteger() && !type.isIndex() && !negative &&
               value.isIntN(width));
  return fits ? write(value.trunc(width)) : notA();
}

static Error storeAll(StringRef text, Array &array) {
  SmallVector<StringRef> numbers;
  for (size_t begin = 0; (begin = text.find_first_not_of(" \t\n,[]", begin)) !=
                         StringRef::npos;) {
    size_t end = text.find_first_of(" \t\n,[]", begin);
    numbers.push_back(text.slice(begin, end));
    begin = std::min(end, text.size());
  }
  MutableArrayRef<char> bytes = array.bytes();
  if (numbers.empty()) {
    llvm::fill(bytes, 0);
    return Error::success();
  }
  int64_t count = array.getNumElements();
  if (numbers.size() != 1 && int64_t(numbers.size()) != count)
    return createStringError(
        "expected " + Twine(count) + " numbers for " +
        describeShape(array.getElementType(), array.getShape()) +
        ", or one for all, but got " + Twine(numbers.size()));
  size_t width = array.getElementBytes();
  if (numbers.size() != 1) {
    for (auto [index, number] : llvm::enumerate(numbers))
      if (Error error = store(number, array.getElementType(),
                              bytes.slice(index * width, width)))
        return error;
    return Error::success();
  }
  SmallVector<char, 8> element(width);
  if (Error error = store(numbers.front(), array.getElementType(), element))
    return error;
  for (int64_t i = 0; i < count; ++i)
    memcpy(bytes.data() + i * width, element.data(), width);
  return Error::success();
}

Expected<Array> rope::parseArgument(StringRef text, Type expected) {
  if (text.consume_front("@"))
    return readNpy(text, expected);
  Type element = isArray(expected) ? cast<ShapedType>(expected).getElementType()
                                   : expected;
  SmallVector<int64_t> shape;
  std::string source = ("'" + text + "'").str();
  if (text.contains('=')) {
    auto [prefix, numbers] = text.split('=');
    StringRef rest = prefix;
    int64_t size;
    while (!rest.empty() && llvm::isDigit(rest.front())) {
      if (rest.consumeInteger(10, size) || !rest.consume_front("x"))
        return createStringError("expected a shape such as 2x3xf32 before "
                                 "'=', but got '" +
                                 prefix + "'");
      shape.push_back(size);
    }
    Type given = getElementType(rest, expected.getContext());
    if (!given)
      return createStringError(
          "unknown element type '" + rest + "' in '" + prefix +
          "': expected f64, f32, f16, bf16, index, i1, i8, i16, i32, i64, or "
          "si and ui of these widths");
    source = "'" + prefix.str() + "=..'";
    if (Error error = checkFits(expected, given, shape, source))
      return std::move(error);
    text = numbers;
  } else {
    if (text.trim().empty())
      return createStringError("there is no value");
    source = "a number";
    if (Error error = checkFits(expected, element, shape, source))
      return std::move(error);
  }
  Expected<Array> array = Array::allocate(element, shape);
  if (!array)
    return array.takeError();
  if (Error error = storeAll(text, *array))
    return std::move(error);
  return array;
}
