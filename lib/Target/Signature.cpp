//===- Signature.cpp - what a lowered function takes and gives ------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Target/Signature.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

std::string Signature::str() const {
  std::string text = name + ": ";
  llvm::raw_string_ostream(text) << type;
  return text;
}

std::optional<unsigned> rope::getElementBytes(Type type) {
  if (type.isIndex())
    return 8;
  if (isa<Float64Type, Float32Type, Float16Type, BFloat16Type>(type))
    return type.getIntOrFloatBitWidth() / 8;
  for (unsigned width : {1, 8, 16, 32, 64})
    if (type.isInteger(width))
      return (width + 7) / 8;
  return std::nullopt;
}

static constexpr StringLiteral interfacePrefix("_mlir_ciface_");

std::string Signature::getSymbol() const {
  return (interfacePrefix + name).str();
}

/// Whether a value of the type can be passed or returned at all.
static bool isSupported(Type type) {
  if (auto memref = dyn_cast<MemRefType>(type); memref && !memref.isStrided())
    return false;
  return getElementBytes(isArray(type) ? cast<ShapedType>(type).getElementType()
                                       : type)
      .has_value();
}

static bool isDim(FunctionType type, int64_t argument, int64_t dim) {
  if (argument < 0 || argument >= type.getNumInputs())
    return false;
  Type input = type.getInput(argument);
  return isArray(input) && dim >= 0 && dim < cast<ShapedType>(input).getRank();
}

/// Reads an array attribute of `DenseI64ArrayAttr`s.
static std::optional<SmallVector<ArrayRef<int64_t>>> getLists(Attribute attr) {
  auto array = dyn_cast<ArrayAttr>(attr);
  if (!array)
    return std::nullopt;
  SmallVector<ArrayRef<int64_t>> lists;
  for (Attribute element : array) {
    auto list = dyn_cast<DenseI64ArrayAttr>(element);
    if (!list)
      return std::nullopt;
    lists.push_back(list.asArrayRef());
  }
  return lists;
}

/// Checks that the C symbol takes what the signature says, so that a call
/// through it reads and writes only what it was given.
static Error checkInterface(ModuleOp module, const Signature &signature) {
  std::string symbol = signature.getSymbol();
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(symbol);
  if (!function || function.isExternal())
    return createStringError("function '" + signature.name +
                             "' has no C interface: the module does not define "
                             "'" +
                             symbol + "'");
  SmallVector<Type> expected;
  MLIRContext *context = module.getContext();
  Type pointer = LLVM::LLVMPointerType::get(context);
  auto lower = [&](Type type) -> Type {
    if (isArray(type))
      return pointer;
    if (type.isIndex())
      return IntegerType::get(context, 64);
    if (auto integer = dyn_cast<IntegerType>(type))
      return IntegerType::get(context, integer.getWidth());
    return type;
  };
  TypeRange results = signature.type.getResults();
  Type returned = LLVM::LLVMVoidType::get(context);
  if (signature.resultDims) {
    for (Type type : signature.type.getInputs())
      expected.push_back(lower(type));
    expected.append(results.size(), pointer);
  } else {
    // A descriptor or a structure is returned through a first pointer.
    if (results.size() == 1 && !isArray(results.front()))
      returned = lower(results.front());
    else if (!results.empty())
      expected.push_back(pointer);
    for (Type type : signature.type.getInputs())
      expected.push_back(lower(type));
  }
  auto type = LLVM::LLVMFunctionType::get(returned, expected);
  if (function.getFunctionType() == type)
    return Error::success();
  std::string text;
  llvm::raw_string_ostream(text)
      << "the C interface '" << symbol << "' does not fit its signature: "
      << "expected " << type << ", but got " << function.getFunctionType();
  return createStringError(text);
}

Expected<Signature> rope::getSignature(ModuleOp module, StringRef name) {
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!function)
    return createStringError("there is no function '" + name + "'");
  auto fail = [&](const Twine &reason) {
    return createStringError("function '" + name + "' " + reason);
  };
  Signature signature;
  signature.name = name.str();
  auto typeAttr = function->getAttrOfType<TypeAttr>("c_signature");
  if (!typeAttr)
    return fail("has no 'c_signature' attribute, so its arguments are unknown; "
                "give the module as it was before it was lowered to the llvm "
                "dialect, or lower it with --rope-to-llvm");
  signature.type = dyn_cast<FunctionType>(typeAttr.getValue());
  if (!signature.type)
    return fail("has a 'c_signature' that is no function type");
  for (auto [kind, types] :
       {std::pair("argument", TypeRange(signature.type.getInputs())),
        std::pair("result", TypeRange(signature.type.getResults()))})
    for (auto [index, type] : llvm::enumerate(types))
      if (!isSupported(type)) {
        std::string text;
        llvm::raw_string_ostream(text) << "cannot be called from C: " << kind
                                       << " " << index << " has type " << type;
        return fail(text);
      }

  if (Attribute attr = function->getAttr("c_result_dims")) {
    auto lists = getLists(attr);
    if (!lists || lists->size() != signature.type.getNumResults())
      return fail("has a 'c_result_dims' that is not one array for each "
                  "result");
    signature.resultDims.emplace();
    for (auto [type, list] : llvm::zip(signature.type.getResults(), *lists)) {
      auto shaped = dyn_cast<ShapedType>(type);
      if (!shaped)
        return fail("has a 'c_result_dims', but a result that is no array");
      if (list.size() != 2 * shaped.getNumDynamicDims())
        return fail("has a 'c_result_dims' that is not one pair for each "
                    "dynamic dimension");
      auto &dims = signature.resultDims->emplace_back();
      for (size_t i = 0; i < list.size(); i += 2) {
        if (!isDim(signature.type, list[i], list[i + 1]))
          return fail("has a 'c_result_dims' that names no dimension of an "
                      "argument");
        dims.push_back({unsigned(list[i]), unsigned(list[i + 1])});
      }
    }
  }
  if (Attribute attr = function->getAttr("c_equal_dims")) {
    auto lists = getLists(attr);
    if (!lists)
      return fail("has a 'c_equal_dims' that is no list of arrays");
    for (ArrayRef<int64_t> list : *lists) {
      if (list.size() != 4 || !isDim(signature.type, list[0], list[1]) ||
          !isDim(signature.type, list[2], list[3]))
        return fail("has a 'c_equal_dims' that does not name two dimensions of "
                    "arguments");
      signature.equalDims.push_back({{unsigned(list[0]), unsigned(list[1])},
                                     {unsigned(list[2]), unsigned(list[3])}});
    }
  }
  if (Attribute attr = function->getAttr("c_size_bounds")) {
    auto lists = getLists(attr);
    if (!lists)
      return fail("has a 'c_size_bounds' that is no list of arrays");
    for (ArrayRef<int64_t> list : *lists) {
      auto names = [&](size_t i) {
        return list[i] == -1 || isDim(signature.type, list[i], list[i + 1]);
      };
      if (list.size() != 6 || !names(0) || !names(4))
        return fail("has a 'c_size_bounds' that does not name dimensions of "
                    "arguments");
      SizeBound &bound = signature.sizeBounds.emplace_back();
      bound.factor = list[2];
      bound.constant = list[3];
      bound.limit = list[5];
      if (list[0] != -1)
        bound.smaller = {unsigned(list[0]), unsigned(list[1])};
      if (list[4] != -1)
        bound.larger = {unsigned(list[4]), unsigned(list[5])};
    }
  }
  if (Error error = checkInterface(module, signature))
    return std::move(error);
  return signature;
}

std::string rope::listFunctions(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  for (auto function : module.getOps<FunctionOpInterface>()) {
    if (function.isExternal() || !function.isPublic() ||
        function.getName().starts_with(interfacePrefix))
      continue;
    os << "\n  " << function.getName();
    if (auto type = function->getAttrOfType<TypeAttr>("c_signature"))
      os << ": " << type.getValue();
    else if (isa<FunctionType>(function.getFunctionType()))
      os << ": " << function.getFunctionType();
  }
  return text;
}

SmallVector<StringRef> rope::getInterfaceFunctions(ModuleOp module) {
  SmallVector<StringRef> names;
  for (auto function : module.getOps<LLVM::LLVMFuncOp>())
    if (function->hasAttr("c_signature") &&
        !function.getName().starts_with(interfacePrefix))
      names.push_back(function.getName());
  return names;
}
