//===- Checks.h - arguments of the C interface ------------------*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_LIB_CAPI_CHECKS_H
#define ROPE_LIB_CAPI_CHECKS_H

#include "Errors.h"
#include "Rope/IR/RopeDialect.h"
#include "mlir/CAPI/AffineMap.h"
#include "mlir/CAPI/IR.h"
#include "mlir/CAPI/Support.h"
#include "mlir/IR/Diagnostics.h"
#include "rope-c/Attributes.h"

namespace mlir::rope {

/// Reports that an argument is not what was expected.
inline void reportArgument(const char *function, const llvm::Twine &expected,
                           const llvm::Twine &found) {
  reportError(llvm::Twine(function) + ": expected " + expected + ", but got " +
              found);
}

template <typename T>
std::string toText(const T &object) {
  std::string text;
  llvm::raw_string_ostream(text) << object;
  return text;
}

/// The kind of an attribute as a user reads it.
template <typename AttrT>
std::string kindOf() {
  return ("#rope." + AttrT::getMnemonic()).str();
}
template <>
inline std::string kindOf<ScalingAttrInterface>() {
  return "a scaling rule";
}

/// The attribute as an `AttrT`; null, after an error, where it is none.
template <typename AttrT>
AttrT getAs(const char *function, MlirAttribute handle,
            const char *argument = "attr") {
  Attribute attr = unwrap(handle);
  if (!attr) {
    reportNull(function, argument);
    return {};
  }
  auto result = dyn_cast<AttrT>(attr);
  if (!result)
    reportArgument(function,
                   llvm::Twine(argument) + " to be " + kindOf<AttrT>(),
                   toText(attr));
  return result;
}

/// The context with the rope dialect loaded, without which attributes and
/// operations cannot be made; null after an error.
inline MLIRContext *loadDialect(const char *function, MlirContext context) {
  if (mlirContextIsNull(context)) {
    reportNull(function, "context");
    return nullptr;
  }
  unwrap(context)->getOrLoadDialect<RopeDialect>();
  return unwrap(context);
}

/// Whether an array can be read; an error otherwise.
template <typename T>
bool isArray(const char *function, const char *argument, intptr_t size,
             const T *elements) {
  if (size < 0) {
    reportArgument(function,
                   llvm::Twine("the number of ") + argument +
                       " not to be negative",
                   llvm::Twine(size));
    return false;
  }
  if (size > 0 && !elements) {
    reportNull(function, argument);
    return false;
  }
  return true;
}

/// Whether an attribute or a value is one of `context`; an error otherwise.
/// What mixes contexts outlives one of them.
template <typename T>
bool isOfContext(const char *function, const llvm::Twine &argument, T object,
                 MLIRContext *context) {
  if (object.getContext() == context)
    return true;
  reportArgument(function, argument + " to be of the same context", "another");
  return false;
}

/// The case of an enumeration; none, after a diagnostic at `loc`, for a number
/// that is no case.
template <typename EnumT>
std::optional<EnumT> getCase(Location loc, const char *name, int value) {
  std::optional<EnumT> result;
  if constexpr (std::is_same_v<EnumT, Pairing>)
    result = symbolizePairing(uint32_t(value));
  else
    result = symbolizePrecision(uint32_t(value));
  if (!result)
    emitError(loc) << "expected '" << name << "' to be 0 or 1, but got "
                   << value;
  return result;
}

/// A `RopeRotation` with cases that exist.
struct RotationParameters {
  Pairing pairing;
  ArrayRef<int64_t> positionDims;
  std::optional<int64_t> pairStride;
  std::optional<Pairing> resultPairing;
};
std::optional<RotationParameters>
getParameters(const char *function, Location loc, const RopeRotation &rotation);

} // namespace mlir::rope

#endif // ROPE_LIB_CAPI_CHECKS_H
