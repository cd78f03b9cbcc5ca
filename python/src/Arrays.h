//===- Arrays.h - arrays of Python as those of the C interface --*- C++ -*-===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef ROPE_PYTHON_ARRAYS_H
#define ROPE_PYTHON_ARRAYS_H

#include "nanobind/nanobind.h"
#include "nanobind/ndarray.h"
#include "rope-c/Execution.h"
#include <memory>
#include <string>
#include <vector>

namespace rope_python {

/// Name of an element type in texts.
const char *getName(RopeElementType type);

/// Who makes results: the library of the first array argument.
struct Maker {
  enum Kind { numpy, torch, other } kind = numpy;
  /// An array of another library; borrowed.
  PyObject *array = nullptr;
};

/// What is wrong with an argument: an exception without the function's name.
struct Refusal {
  PyObject *type;
  std::string text;
};

/// Arrays while a function uses them, with what keeps their memory.
class Arrays {
public:
  Arrays() = default;
  ~Arrays();
  Arrays(const Arrays &) = delete;
  Arrays &operator=(const Arrays &) = delete;

  /// An argument, which may be a number where a scalar is expected.
  RopeArray addArgument(PyObject *object, const RopeParameter &parameter);

  /// An array that the function writes to.
  RopeArray addOutput(PyObject *object) {
    return addArray(object, /*isWritten=*/true);
  }

  /// Makes a new array, borrowed, of a result. `sizes` have room for its rank.
  RopeArray addResult(const Maker &maker, RopeElementType type, int32_t rank,
                      const int64_t *sizes, nanobind::object &object);

  /// Room for so many numbers.
  int64_t *take(int32_t size);

  /// The library of the first array that was added.
  const Maker &getMaker() const { return maker; }

private:
  RopeArray addArray(PyObject *object, bool isWritten);
  RopeArray addNumber(PyObject *number, RopeElementType type);
  RopeArray addNumPy(PyObject *object, bool isWritten);
  RopeArray addTorch(PyObject *object);
  nanobind::object makeNumPy(RopeElementType type, int32_t rank,
                             const int64_t *sizes);
  RopeArray addOther(PyObject *object, bool isWritten);
  RopeArray addDLTensor(const nanobind::dlpack::dltensor &tensor,
                        PyObject *object);
  void keep(PyObject *reference);
  void see(Maker::Kind kind, PyObject *object);

  Maker maker;
  bool hasMaker = false;
  static constexpr int32_t kNumbers = 128, kReferences = 16;
  int64_t numbers[kNumbers];
  int32_t numNumbers = 0;
  PyObject *references[kReferences];
  int32_t numReferences = 0;
  /// What the above have no room for.
  std::vector<std::unique_ptr<int64_t[]>> moreNumbers;
  std::vector<PyObject *> moreReferences;
  std::vector<nanobind::ndarray<nanobind::ro>> imported;
};

/// Makes an array of results that the library has allocated. `owner` keeps
/// them.
nanobind::object toArray(const Maker &maker, const RopeArray &array,
                         nanobind::handle owner);

} // namespace rope_python

#endif // ROPE_PYTHON_ARRAYS_H
