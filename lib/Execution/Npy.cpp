//===- Npy.cpp - NumPy's array files --------------------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/Npy.h"
#include "Rope/Target/Signature.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include <tuple>

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::Twine;
namespace fs = llvm::sys::fs;

static constexpr StringLiteral magic("\x93NUMPY");
/// NumPy's own headers have about a hundred bytes; it refuses more than this.
static constexpr uint32_t maxHeader = 10000;

namespace {
/// What a header says.
struct Header {
  std::string descr;
  bool fortranOrder = false;
  SmallVector<int64_t> shape;
};

/// Parses the Python dictionary literal of a header.
class HeaderParser {
public:
  HeaderParser(StringRef text) : rest(text) {}

  Expected<Header> parse() {
    Header header;
    SmallVector<std::string> seen;
    if (!consume("{"))
      return fail("expected '{'");
    while (!consume("}")) {
      std::string key;
      if (!parseString(key) || !consume(":"))
        return fail("expected a quoted key and ':'");
      if (llvm::is_contained(seen, key))
        return fail("'" + key + "' occurs twice");
      seen.push_back(key);
      if (key == "descr") {
        if (!parseString(header.descr))
          return fail("'descr' is not a string: arrays of structures are not "
                      "read");
      } else if (key == "fortran_order") {
        if (consume("True"))
          header.fortranOrder = true;
        else if (!consume("False"))
          return fail("'fortran_order' is neither True nor False");
      } else if (key == "shape") {
        if (!parseShape(header.shape))
          return fail("'shape' is not a tuple of sizes below 2^63");
      } else {
        return fail("unknown key '" + key + "'");
      }
      if (!consume(",") && !rest.ltrim().starts_with("}"))
        return fail("expected ',' or '}'");
    }
    if (seen.size() != 3)
      return fail("expected the keys 'descr', 'fortran_order' and 'shape'");
    if (!rest.trim().empty())
      return fail("text follows the dictionary");
    return header;
  }

private:
  static Error fail(const Twine &reason) {
    return createStringError("has a malformed header: " + reason);
  }

  bool consume(StringRef token) {
    rest = rest.ltrim();
    return rest.consume_front(token);
  }

  bool parseString(std::string &result) {
    rest = rest.ltrim();
    if (rest.empty() || !StringRef("'\"").contains(rest.front()))
      return false;
    size_t end = rest.find(rest.front(), 1);
    if (end == StringRef::npos)
      return false;
    result.clear();
    for (char c : rest.slice(1, end))
      result += llvm::isPrint(c) ? c : '?';
    rest = rest.drop_front(end + 1);
    return true;
  }

  bool parseShape(SmallVectorImpl<int64_t> &shape) {
    if (!consume("("))
      return false;
    while (!consume(")")) {
      int64_t size;
      rest = rest.ltrim();
      if (rest.consumeInteger(10, size) || size < 0)
        return false;
      shape.push_back(size);
      // `(3)` is a number in Python, not a tuple.
      if (!consume(",") &&
          (shape.size() == 1 || !rest.ltrim().starts_with(")")))
        return false;
    }
    return true;
  }

  StringRef rest;
};
} // namespace

/// The spellings in a header that hold elements of the type; the first is
/// written.
static SmallVector<StringRef> getDescrs(Type type) {
  if (type.isF64())
    return {"<f8"};
  if (type.isF32())
    return {"<f4"};
  if (type.isF16())
    return {"<f2"};
  if (type.isBF16())
    return {"<V2", "|V2", "<u2"};
  if (type.isIndex())
    return {"<i8"};
  if (type.isInteger(1))
    return {"|b1"};
  bool isUnsigned = type.isUnsignedInteger(), isSigned = type.isSignedInteger();
  SmallVector<StringRef> descrs;
  for (auto [width, signedDescr, unsignedDescr] :
       {std::tuple(8, "|i1", "|u1"), std::tuple(16, "<i2", "<u2"),
        std::tuple(32, "<i4", "<u4"), std::tuple(64, "<i8", "<u8")}) {
    if (!type.isInteger(width))
      continue;
    if (!isUnsigned)
      descrs.push_back(signedDescr);
    if (!isSigned)
      descrs.push_back(unsignedDescr);
  }
  return descrs;
}

/// The type that a spelling stands for, for messages; null where it is none of
/// ours.
static Type getType(StringRef descr, MLIRContext *context) {
  Builder builder(context);
  for (Type type : {Type(builder.getF64Type()), Type(builder.getF32Type()),
                    Type(builder.getF16Type()), Type(builder.getI1Type()),
                    Type(builder.getI8Type()), Type(builder.getI16Type()),
                    Type(builder.getI32Type()), Type(builder.getI64Type())})
    if (llvm::is_contained(getDescrs(type), descr))
      return type;
  return Type();
}

namespace {
/// Reads a file or a pipe from front to back.
class Reader {
public:
  static Expected<Reader> open(StringRef path) {
    Expected<fs::file_t> file = fs::openNativeFileForRead(path);
    if (!file)
      return createStringError(llvm::toString(file.takeError()));
    return Reader(*file);
  }

  Reader(Reader &&other) : file(other.file), isOpen(other.isOpen) {
    other.isOpen = false;
  }
  ~Reader() {
    // Nothing was written, so nothing can be lost here.
    if (isOpen)
      std::ignore = fs::closeFile(file);
  }

  /// Fills as much of `bytes` as there is and returns how much that was.
  Expected<size_t> read(MutableArrayRef<char> bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
      // The system reads less than 2^31 bytes at a time.
      Expected<size_t> count = fs::readNativeFile(
          file, bytes.slice(done, std::min<size_t>(bytes.size() - done,
                                                   size_t(1) << 30)));
      if (!count)
        return createStringError(llvm::toString(count.takeError()));
      if (*count == 0)
        break;
      done += *count;
    }
    return done;
  }

  Error readAll(MutableArrayRef<char> bytes, StringRef what) {
    Expected<size_t> count = read(bytes);
    if (!count)
      return count.takeError();
    if (*count == bytes.size())
      return Error::success();
    return createStringError("ends within its " + what + ": expected " +
                             Twine(bytes.size()) + " bytes, but got " +
                             Twine(*count));
  }

  /// The length of a regular file, none of a pipe.
  std::optional<uint64_t> size() {
    fs::file_status status;
    if (fs::status(file, status) || !fs::is_regular_file(status))
      return std::nullopt;
    return status.getSize();
  }

private:
  explicit Reader(fs::file_t file) : file(file) {}

  fs::file_t file;
  bool isOpen = true;
};
} // namespace

/// Copies columns-first data to rows-first.
static void reorder(ArrayRef<char> from, Array &to) {
  ArrayRef<int64_t> shape = to.getShape();
  unsigned bytes = to.getElementBytes();
  SmallVector<int64_t> index(shape.size(), 0);
  for (int64_t i = 0, e = to.getNumElements(); i < e; ++i) {
    int64_t source = 0;
    for (size_t dim = shape.size(); dim-- > 0;)
      source = source * shape[dim] + index[dim];
    memcpy(to.data() + i * bytes, from.data() + source * bytes, bytes);
    for (size_t dim = shape.size(); dim-- > 0;) {
      if (++index[dim] < shape[dim])
        break;
      index[dim] = 0;
    }
  }
}

/// As `readNpy`, but errors do not name the file.
static Expected<Array> read(StringRef path, Type expected) {
  Expected<Reader> reader = Reader::open(path);
  if (!reader)
    return reader.takeError();

  char start[8];
  Expected<size_t> count = reader->read(start);
  if (!count)
    return count.takeError();
  if (*count < sizeof(start) ||
      StringRef(start, sizeof(start)).take_front(magic.size()) != magic)
    return createStringError("is no .npy file: it does not start with "
                             "'\\x93NUMPY' and a version");
  unsigned version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3)
    return createStringError("has version " + Twine(version) +
                             ": expected 1, 2 or 3");
  unsigned char lengthBytes[4] = {};
  size_t numLengthBytes = version == 1 ? 2 : 4;
  if (Error error = reader->readAll(
          {reinterpret_cast<char *>(lengthBytes), numLengthBytes}, "header"))
    return std::move(error);
  uint32_t length = llvm::support::endian::read32le(lengthBytes);
  if (length > maxHeader)
    return createStringError("has a header of " + Twine(length) +
                             " bytes: expected at most " + Twine(maxHeader));
  std::string text(length, '\0');
  if (Error error = reader->readAll({text.data(), text.size()}, "header"))
    return std::move(error);
  Expected<Header> header = HeaderParser(text).parse();
  if (!header)
    return header.takeError();

  Type element = isArray(expected) ? cast<ShapedType>(expected).getElementType()
                                   : expected;
  SmallVector<StringRef> descrs = getDescrs(element);
  if (!llvm::is_contained(descrs, header->descr)) {
    if (StringRef(header->descr).starts_with(">"))
      return createStringError("holds big-endian elements '" + header->descr +
                               "': expected '" + descrs.front() + "'");
    Type found = getType(header->descr, expected.getContext());
    if (!found) {
      std::string spelling = "elements '" + header->descr + "'";
      std::string wanted;
      llvm::raw_string_ostream(wanted) << element;
      return createStringError("holds " + spelling + ": expected '" +
                               llvm::join(descrs, "' or '") + "' for " +
                               wanted);
    }
    return checkFits(expected, found, header->shape, "the file");
  }
  if (Error error = checkFits(expected, element, header->shape, "the file"))
    return std::move(error);

  // Counted before anything is allocated: a header of a hundred bytes can ask
  // for any amount.
  std::optional<uint64_t> size = reader->size();
  std::optional<uint64_t> bytes = getElementBytes(element);
  for (int64_t dim : header->shape)
    if (bytes)
      bytes = llvm::checkedMulUnsigned(*bytes, uint64_t(dim));
  uint64_t before = sizeof(start) + numLengthBytes + length;
  if (size && bytes && *size - std::min(before, *size) != *bytes)
    return createStringError("has " + Twine(*size - std::min(before, *size)) +
                             " bytes of data: expected " + Twine(*bytes) +
                             " for " + describeShape(element, header->shape));
  Expected<Array> array = Array::allocate(element, header->shape);
  if (!array)
    return array.takeError();
  if (Error error = reader->readAll(array->bytes(), "data"))
    return std::move(error);
  char extra;
  Expected<size_t> numExtra = reader->read(extra);
  if (!numExtra)
    return numExtra.takeError();
  if (*numExtra)
    return createStringError("has more bytes of data than the " +
                             Twine(array->bytes().size()) + " of " +
                             describeShape(element, header->shape));
  // A bool is 0 or 1, in the compiled code as in NumPy.
  if (element.isInteger(1))
    for (char &byte : array->bytes())
      byte = byte != 0;
  if (!header->fortranOrder || header->shape.size() < 2)
    return array;
  Expected<Array> rows = Array::allocate(element, header->shape);
  if (rows)
    reorder(array->bytes(), *rows);
  return rows;
}

Expected<Array> rope::readNpy(StringRef path, Type expected) {
  Expected<Array> array = read(path, expected);
  if (array)
    return array;
  return createStringError("'" + path +
                           "': " + llvm::toString(array.takeError()));
}

void rope::writeNpy(const Array &array, llvm::raw_ostream &os) {
  std::string text = "{'descr': '" +
                     getDescrs(array.getElementType()).front().str() +
                     "', 'fortran_order': False, 'shape': (";
  for (int64_t size : array.getShape())
    text += std::to_string(size) + ", ";
  text += "), }";
  // Data begins at a multiple of 64 bytes; the header ends in a line break.
  size_t start = magic.size() + 4;
  text.append(llvm::alignTo(start + text.size() + 1, 64) - start - text.size() -
                  1,
              ' ');
  text += '\n';
  char length[2];
  llvm::support::endian::write16le(length, text.size());
  os << magic << StringRef("\x01\x00", 2) << StringRef(length, 2) << text
     << StringRef(array.bytes().data(), array.bytes().size());
}
