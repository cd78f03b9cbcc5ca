//===- Arrays.cpp - arrays of Python as those of the C interface ----------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Arrays.h"
#include "Diagnostics.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>

namespace nb = nanobind;
using namespace rope_python;

//===----------------------------------------------------------------------===//
// Element types
//===----------------------------------------------------------------------===//

namespace {
struct ElementType {
  /// In NumPy, PyTorch and JAX.
  const char *name;
  /// As the array interface of NumPy has it.
  char kind;
  nb::dlpack::dtype dlpack;
};
} // namespace

static constexpr nb::dlpack::dtype makeDType(nb::dlpack::dtype_code code,
                                             int bits) {
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
}

/// By RopeElementType.
static constexpr ElementType kElementTypes[] = {
    {"bool", 'b', makeDType(nb::dlpack::dtype_code::Bool, 8)},
    {"int8", 'i', makeDType(nb::dlpack::dtype_code::Int, 8)},
    {"int16", 'i', makeDType(nb::dlpack::dtype_code::Int, 16)},
    {"int32", 'i', makeDType(nb::dlpack::dtype_code::Int, 32)},
    {"int64", 'i', makeDType(nb::dlpack::dtype_code::Int, 64)},
    {"uint8", 'u', makeDType(nb::dlpack::dtype_code::UInt, 8)},
    {"uint16", 'u', makeDType(nb::dlpack::dtype_code::UInt, 16)},
    {"uint32", 'u', makeDType(nb::dlpack::dtype_code::UInt, 32)},
    {"uint64", 'u', makeDType(nb::dlpack::dtype_code::UInt, 64)},
    {"float16", 'f', makeDType(nb::dlpack::dtype_code::Float, 16)},
    {"bfloat16", 'V', makeDType(nb::dlpack::dtype_code::Bfloat, 16)},
    {"float32", 'f', makeDType(nb::dlpack::dtype_code::Float, 32)},
    {"float64", 'f', makeDType(nb::dlpack::dtype_code::Float, 64)}};
static constexpr int kNumElementTypes = std::size(kElementTypes);
static_assert(kNumElementTypes == ROPE_F64 + 1);

const char *rope_python::getName(RopeElementType type) {
  return kElementTypes[type].name;
}

static int64_t getBytes(RopeElementType type) {
  return kElementTypes[type].dlpack.bits / 8;
}

//===----------------------------------------------------------------------===//
// Libraries
//===----------------------------------------------------------------------===//

/// What __array_struct__ of NumPy points at: the array interface, version 3.
namespace {
struct ArrayInterface {
  static constexpr int kNativeOrder = 0x200, kWriteable = 0x400;
  int two;
  int rank;
  char kind;
  int bytes;
  int flags;
  Py_ssize_t *sizes;
  Py_ssize_t *strides;
  void *data;
  PyObject *descr;
};

/// The table that __dlpack_c_exchange_api__ of DLPack 1.2 holds, up to what is
/// used. Functions return 0, or another number after an exception.
struct ExchangeAPI {
  uint32_t major, minor;
  void *previous;
  void *allocate;
  void *fromObject;
  void *toObject;
  int (*viewObject)(void *object, nb::dlpack::dltensor *view);
};

/// A type of a library that the program may have imported, or not.
struct LazyType {
  const char *module;
  const char *name;
  PyTypeObject *type = nullptr;

  /// Null as long as the library is not imported. The type is kept.
  PyTypeObject *get() {
    if (type)
      return type;
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *found = PyDict_GetItemString(modules, module);
    if (!found)
      return nullptr;
    PyObject *attribute = PyObject_GetAttrString(found, name);
    // A module may be half imported.
    if (!attribute || !PyType_Check(attribute)) {
      PyErr_Clear();
      Py_XDECREF(attribute);
      return nullptr;
    }
    return type = reinterpret_cast<PyTypeObject *>(attribute);
  }
};
} // namespace

static LazyType ndarrayType{"numpy", "ndarray"};
static LazyType scalarType{"numpy", "generic"};
static LazyType tensorType{"torch", "Tensor"};
static LazyType jaxType{"jax", "Array"};

/// Looks up an object. What is kept of them lives as long as the process, and
/// is no initializer of a static variable: threads that wait for one hold the
/// interpreter's lock, which the lookup may need.
static nb::object getAttribute(const char *module, const char *name) {
  return nb::module_::import_(module).attr(name);
}

static PyObject *intern(const char *text) {
  return PyUnicode_InternFromString(text);
}

/// An element type of NumPy.
static nb::handle getNumPyType(RopeElementType type) {
  static PyObject *types[kNumElementTypes] = {};
  if (!types[type]) {
    nb::object element = type == ROPE_BF16
                             ? getAttribute("ml_dtypes", "bfloat16")
                             : nb::object(nb::str(kElementTypes[type].name));
    types[type] = getAttribute("numpy", "dtype")(element).release().ptr();
  }
  return types[type];
}

/// An element type of PyTorch.
static nb::handle getTorchType(RopeElementType type) {
  static PyObject *types[kNumElementTypes] = {};
  if (!types[type])
    types[type] =
        getAttribute("torch", kElementTypes[type].name).release().ptr();
  return types[type];
}

/// PyTorch's table of functions; null for a version that has none.
static const ExchangeAPI *getTorchAPI() {
  static const ExchangeAPI *api = nullptr;
  static bool isKnown = false;
  if (isKnown)
    return api;
  PyObject *capsule =
      PyObject_GetAttrString(reinterpret_cast<PyObject *>(tensorType.get()),
                             "__dlpack_c_exchange_api__");
  const ExchangeAPI *found = nullptr;
  if (capsule)
    found = static_cast<const ExchangeAPI *>(
        PyCapsule_GetPointer(capsule, "dlpack_exchange_api"));
  PyErr_Clear();
  // The capsule stays with its type, and the table for ever.
  Py_XDECREF(capsule);
  if (found && found->major == 1 && found->viewObject)
    api = found;
  isKnown = true;
  return api;
}

//===----------------------------------------------------------------------===//
// Arrays
//===----------------------------------------------------------------------===//

/// The text of the current exception, which ends.
static std::string takeException() {
  nb::python_error error;
  nb::object text = nb::steal(PyObject_Str(error.value().ptr()));
  if (!text.is_valid()) {
    PyErr_Clear();
    return nb::inst_name(error.value()).c_str();
  }
  const char *utf8 = PyUnicode_AsUTF8(text.ptr());
  if (!utf8)
    PyErr_Clear();
  return utf8 ? utf8 : "";
}

static std::string getTypeName(PyObject *object) {
  return nb::inst_name(object).c_str();
}

static std::string toText(nb::handle object) {
  PyObject *text = PyObject_Str(object.ptr());
  if (!text)
    return takeException();
  return nb::steal<nb::str>(text).c_str();
}

static Refusal makeElementTypeRefusal(const std::string &name) {
  return {PyExc_TypeError,
          "elements of type " + name +
              " are not supported, those of bool, int8 to int64, uint8 to "
              "uint64, float16, bfloat16, float32 and float64 are"};
}

static Refusal makeReadOnlyRefusal() {
  return {PyExc_ValueError,
          "the function writes to it, but the array is read-only"};
}

Arrays::~Arrays() {
  for (int32_t i = 0; i < numReferences; ++i)
    Py_DECREF(references[i]);
  for (PyObject *reference : moreReferences)
    Py_DECREF(reference);
}

int64_t *Arrays::take(int32_t size) {
  if (size > kNumbers - numNumbers)
    return moreNumbers.emplace_back(new int64_t[size]).get();
  int64_t *result = numbers + numNumbers;
  numNumbers += size;
  return result;
}

void Arrays::keep(PyObject *reference) {
  if (numReferences < kReferences)
    references[numReferences++] = reference;
  else
    moreReferences.push_back(reference);
}

void Arrays::see(Maker::Kind kind, PyObject *object) {
  if (!hasMaker)
    maker = {kind, object};
  hasMaker = true;
}

/// Whether an array of two bytes an element, which NumPy knows no more of,
/// holds bfloat16. There is one such dtype, which is kept.
static bool isBFloat16(PyObject *array) {
  static PyObject *bfloat16 = nullptr, *dtypeName = intern("dtype");
  PyObject *dtype = PyObject_GetAttr(array, dtypeName);
  if (!dtype)
    throw nb::python_error();
  if (dtype == bfloat16) {
    Py_DECREF(dtype);
    return true;
  }
  nb::object held = nb::steal(dtype);
  if (std::strcmp(nb::str(held).c_str(), "bfloat16") != 0)
    return false;
  if (!bfloat16)
    bfloat16 = held.inc_ref().ptr();
  return true;
}

RopeArray Arrays::addNumPy(PyObject *object, bool isWritten) {
  // NumPy's own descriptor, whatever a subclass says.
  static PyObject *descriptor = nullptr;
  if (!descriptor) {
    nb::object found =
        getAttribute("numpy", "ndarray").attr("__array_struct__");
    descriptor = found.release().ptr();
  }
  PyObject *capsule =
      Py_TYPE(descriptor)
          ->tp_descr_get(descriptor, object,
                         reinterpret_cast<PyObject *>(Py_TYPE(object)));
  if (!capsule)
    throw nb::python_error();
  nb::object held = nb::steal(capsule);
  auto *view =
      static_cast<ArrayInterface *>(PyCapsule_GetPointer(capsule, nullptr));
  if (!view)
    throw nb::python_error();
  see(Maker::numpy, object);

  int type = 0;
  while (type < kNumElementTypes &&
         (kElementTypes[type].kind != view->kind ||
          kElementTypes[type].dlpack.bits != view->bytes * 8))
    ++type;
  if (type == kNumElementTypes ||
      !(view->flags & ArrayInterface::kNativeOrder) ||
      (type == ROPE_BF16 && !isBFloat16(object)))
    throw makeElementTypeRefusal(toText(nb::handle(object).attr("dtype")));
  if (isWritten && !(view->flags & ArrayInterface::kWriteable))
    throw makeReadOnlyRefusal();

  int64_t *sizes = take(view->rank), *strides = take(view->rank);
  for (int i = 0; i < view->rank; ++i) {
    sizes[i] = view->sizes[i];
    if (view->strides[i] % view->bytes && sizes[i] > 1)
      throw Refusal{PyExc_ValueError,
                    "expected strides that are multiples of the element's " +
                        std::to_string(view->bytes) + " bytes, but got " +
                        std::to_string(view->strides[i]) +
                        ": pass a contiguous copy"};
    strides[i] = view->strides[i] / view->bytes;
  }
  // While there is a weak reference NumPy does not move the array's memory.
  PyObject *reference = PyWeakref_NewRef(object, nullptr);
  if (!reference)
    throw nb::python_error();
  keep(reference);
  return {view->data, static_cast<RopeElementType>(type), view->rank, sizes,
          strides};
}

RopeArray Arrays::addDLTensor(const nb::dlpack::dltensor &tensor,
                              PyObject *object) {
  using nb::device::cpu, nb::device::cuda_host, nb::device::rocm_host;
  int device = tensor.device.device_type;
  if (device != cpu::value && device != cuda_host::value &&
      device != rocm_host::value)
    throw Refusal{PyExc_ValueError,
                  "expected an array in the memory of the processor, but got "
                  "one on DLPack device " +
                      std::to_string(device) + ": copy it to the processor"};
  int type = 0;
  while (type < kNumElementTypes && kElementTypes[type].dlpack != tensor.dtype)
    ++type;
  if (type == kNumElementTypes) {
    PyObject *dtype = PyObject_GetAttrString(object, "dtype");
    if (!dtype)
      PyErr_Clear();
    nb::object held = nb::steal(dtype);
    throw makeElementTypeRefusal(
        dtype ? toText(held)
              : "DLPack code " + std::to_string(tensor.dtype.code) + " and " +
                    std::to_string(tensor.dtype.bits) + " bits");
  }
  // Others may reshape the array while it is used.
  int64_t *sizes = take(tensor.ndim), *strides = nullptr;
  std::copy_n(tensor.shape, tensor.ndim, sizes);
  if (tensor.strides) {
    strides = take(tensor.ndim);
    std::copy_n(tensor.strides, tensor.ndim, strides);
  }
  void *data = tensor.data;
  if (data)
    data = static_cast<char *>(data) + tensor.byte_offset;
  return {data, static_cast<RopeElementType>(type), tensor.ndim, sizes,
          strides};
}

/// Whether a truth value of PyTorch holds.
static bool isTrue(nb::handle value) {
  int result = PyObject_IsTrue(value.ptr());
  if (result < 0)
    throw nb::python_error();
  return result;
}

RopeArray Arrays::addTorch(PyObject *object) {
  see(Maker::torch, object);
  static PyObject *requiresGrad = intern("requires_grad"),
                  *isNeg = intern("is_neg");
  nb::object needsGradient = nb::steal(PyObject_GetAttr(object, requiresGrad));
  nb::object isNegative = nb::steal(PyObject_CallMethodNoArgs(object, isNeg));
  if (!needsGradient.is_valid() || !isNegative.is_valid())
    throw nb::python_error();
  if (isTrue(needsGradient) &&
      isTrue(getAttribute("torch", "is_grad_enabled")()))
    throw Refusal{PyExc_ValueError,
                  "the tensor requires a gradient, which a compiled function "
                  "does not give: pass tensor.detach(), or call it under "
                  "torch.no_grad()"};
  if (isTrue(isNegative))
    throw Refusal{PyExc_ValueError, "the tensor is the negative of what its "
                                    "memory holds: pass "
                                    "tensor.resolve_neg()"};
  const ExchangeAPI *api = getTorchAPI();
  nb::dlpack::dltensor view;
  if (api->viewObject(object, &view) != 0)
    throw Refusal{PyExc_ValueError, takeException()};
  return addDLTensor(view, object);
}

/// The capsule of an object with __dlpack__, or the object, which may have a
/// buffer.
static nb::object getCapsule(PyObject *object) {
  nb::handle array(object);
  if (!nb::hasattr(array, "__dlpack__"))
    return nb::borrow(array);
  // Those on another device say so rather than copying.
  if (nb::hasattr(array, "__dlpack_device__")) {
    nb::object device = array.attr("__dlpack_device__")();
    int kind = nb::cast<int>(device[0]);
    if (kind != nb::device::cpu::value &&
        kind != nb::device::cuda_host::value &&
        kind != nb::device::rocm_host::value)
      throw Refusal{PyExc_ValueError,
                    "expected an array in the memory of the processor, but "
                    "got one on DLPack device " +
                        std::to_string(kind) + ": copy it to the processor"};
  }
  // Not computed yet, maybe.
  if (nb::hasattr(array, "block_until_ready"))
    array.attr("block_until_ready")();
  nb::object method = array.attr("__dlpack__");
  try {
    return method(nb::arg("max_version") = nb::make_tuple(1, 1));
  } catch (nb::python_error &error) {
    // Producers of before version 1 do not know the argument.
    if (!error.matches(PyExc_TypeError))
      throw;
  }
  return method();
}

RopeArray Arrays::addOther(PyObject *object, bool isWritten) {
  nb::object capsule;
  try {
    capsule = getCapsule(object);
  } catch (nb::python_error &error) {
    // An array that has been deleted, for one.
    error.restore();
    if (PyErr_ExceptionMatches(PyExc_Exception))
      throw Refusal{PyExc_ValueError, takeException()};
    throw nb::python_error();
  } catch (nb::cast_error &) {
    throw Refusal{PyExc_TypeError,
                  "expected a device from __dlpack_device__ of " +
                      getTypeName(object)};
  }
  nb::ndarray<nb::ro> array;
  nb::ndarray<> writable;
  // Arrays of JAX never change, whatever they export.
  nb::handle jax(reinterpret_cast<PyObject *>(jaxType.get()));
  bool mayWrite = isWritten && !(jax.is_valid() && nb::isinstance(object, jax));
  if (mayWrite && nb::try_cast(capsule, writable, /*convert=*/false)) {
    array = nb::ndarray<nb::ro>(writable);
  } else if (!nb::try_cast(capsule, array, /*convert=*/false)) {
    PyErr_Clear();
    throw Refusal{PyExc_TypeError,
                  "expected an array, of NumPy, PyTorch, JAX or another that "
                  "has __dlpack__, but got " +
                      getTypeName(object)};
  } else if (isWritten) {
    throw makeReadOnlyRefusal();
  }
  PyErr_Clear();
  see(Maker::other, object);
  imported.push_back(array);
  nb::dlpack::dltensor tensor;
  tensor.data = array.data_handle();
  tensor.device = {array.device_type(), array.device_id()};
  tensor.ndim = static_cast<int32_t>(array.ndim());
  tensor.dtype = array.dtype();
  tensor.shape = const_cast<int64_t *>(array.shape_ptr());
  tensor.strides = const_cast<int64_t *>(array.stride_ptr());
  tensor.byte_offset = array.byte_offset();
  return addDLTensor(tensor, object);
}

RopeArray Arrays::addArray(PyObject *object, bool isWritten) {
  PyTypeObject *type = Py_TYPE(object), *ndarray = ndarrayType.get(),
               *tensor = tensorType.get();
  if (ndarray && PyType_IsSubtype(type, ndarray))
    return addNumPy(object, isWritten);
  if (tensor && PyType_IsSubtype(type, tensor) && getTorchAPI())
    return addTorch(object);
  return addOther(object, isWritten);
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

/// Rounds to nearest and even.
static uint16_t toBFloat16(double number) {
  auto narrow = static_cast<float>(number);
  uint32_t bits;
  std::memcpy(&bits, &narrow, sizeof(bits));
  if (std::isnan(narrow))
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

RopeArray Arrays::addNumber(PyObject *number, RopeElementType type) {
  char *data = reinterpret_cast<char *>(take(1));
  RopeArray result = {data, type, 0, nullptr, nullptr};
  char kind = kElementTypes[type].kind;
  if (kind == 'f' || kind == 'V') {
    double value = PyFloat_AsDouble(number);
    if (value == -1 && PyErr_Occurred())
      throw Refusal{PyExc_ValueError, takeException()};
    if (type == ROPE_F64) {
      std::memcpy(data, &value, sizeof(value));
    } else if (type == ROPE_F32) {
      auto narrow = static_cast<float>(value);
      std::memcpy(data, &narrow, sizeof(narrow));
    } else if (type == ROPE_BF16) {
      uint16_t bits = toBFloat16(value);
      std::memcpy(data, &bits, sizeof(bits));
    } else if (PyFloat_Pack2(value, data, PY_LITTLE_ENDIAN) != 0) {
      throw Refusal{PyExc_ValueError, takeException()};
    }
    return result;
  }
  nb::object index = nb::steal(PyNumber_Index(number));
  if (!index.is_valid()) {
    PyErr_Clear();
    throw Refusal{PyExc_TypeError, "expected a number of type " +
                                       std::string(getName(type)) +
                                       ", but got " + getTypeName(number)};
  }
  int64_t bits = kElementTypes[type].dlpack.bits;
  bool isSigned = kind == 'i';
  // A boolean is 0 or 1.
  nb::object lowest = nb::int_(0), highest = nb::int_(1);
  if (kind != 'b') {
    nb::object one = nb::int_(1);
    highest = (one << nb::int_(bits - isSigned)) - one;
    if (isSigned)
      lowest = nb::int_(0) - highest - one;
  }
  if (index < lowest || index > highest)
    throw Refusal{PyExc_ValueError, "expected a number of type " +
                                        std::string(getName(type)) +
                                        ", but got " + toText(index)};
  uint64_t value = PyLong_AsUnsignedLongLongMask(index.ptr());
  std::memcpy(data, &value, bits / 8);
  return result;
}

RopeArray Arrays::addArgument(PyObject *object,
                              const RopeParameter &parameter) {
  if (!parameter.rank && !parameter.isWritten) {
    PyTypeObject *scalar = scalarType.get();
    if (PyLong_Check(object) || PyFloat_Check(object) ||
        (scalar && PyType_IsSubtype(Py_TYPE(object), scalar)))
      return addNumber(object, parameter.type);
  }
  return addArray(object, parameter.isWritten);
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

static nb::object makeShape(int32_t rank, const int64_t *sizes) {
  nb::object shape = nb::steal(PyTuple_New(rank));
  for (int32_t i = 0; i < rank; ++i)
    PyTuple_SET_ITEM(shape.ptr(), i, PyLong_FromLongLong(sizes[i]));
  return shape;
}

/// Calls `callable(first, second)`.
static nb::object call(PyObject *callable, nb::handle first,
                       nb::handle second) {
  PyObject *arguments[] = {nullptr, first.ptr(), second.ptr()};
  PyObject *result = PyObject_Vectorcall(
      callable, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  if (!result)
    throw nb::python_error();
  return nb::steal(result);
}

static int64_t getNumBytes(RopeElementType type, int32_t rank,
                           const int64_t *sizes) {
  int64_t bytes = getBytes(type);
  for (int32_t i = 0; i < rank; ++i)
    if (__builtin_mul_overflow(bytes, sizes[i], &bytes) ||
        bytes > std::numeric_limits<int64_t>::max() / 2) {
      PyErr_NoMemory();
      throw nb::python_error();
    }
  return bytes;
}

/// Where large rows start, so that they are written around the caches.
constexpr int64_t kAlignment = 64, kLarge = 1 << 18;

nb::object Arrays::makeNumPy(RopeElementType type, int32_t rank,
                             const int64_t *sizes) {
  static PyObject *empty = nullptr;
  if (!empty)
    empty = getAttribute("numpy", "empty").release().ptr();
  nb::object shape = makeShape(rank, sizes);
  int64_t bytes = getNumBytes(type, rank, sizes);
  if (bytes < kLarge)
    return call(empty, shape, getNumPyType(type));
  nb::object memory =
      call(empty, nb::int_(bytes + kAlignment - 1), getNumPyType(ROPE_U8));
  auto address = reinterpret_cast<uintptr_t>(
      addNumPy(memory.ptr(), /*isWritten=*/true).data);
  return getAttribute("numpy", "ndarray")(
      shape, getNumPyType(type), memory,
      nb::int_((kAlignment - address % kAlignment) % kAlignment));
}

/// A tensor of PyTorch's own, which may grow: memory that it takes over by
/// DLPack may not, and a tensor that has tried to is damaged.
static nb::object makeTorch(RopeElementType type, int32_t rank,
                            const int64_t *sizes) {
  static PyObject *empty = getAttribute("torch", "empty").release().ptr();
  static PyObject *cpu = getAttribute("torch", "device")("cpu").release().ptr();
  static PyObject *names = PyTuple_Pack(2, intern("dtype"), intern("device"));
  nb::object shape = makeShape(rank, sizes);
  PyObject *arguments[] = {nullptr, shape.ptr(), getTorchType(type).ptr(), cpu};
  PyObject *result = PyObject_Vectorcall(
      empty, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
  if (!result)
    throw nb::python_error();
  return nb::steal(result);
}

nb::object rope_python::toArray(const Maker &maker, const RopeArray &array,
                                nb::handle owner) {
  std::vector<size_t> sizes(array.sizes, array.sizes + array.rank);
  using Exporter = nb::ndarray<nb::array_api>;
  if (maker.kind == Maker::numpy) {
    // Bytes have a format in the buffer protocol, all element types have not.
    size_t bytes = getNumBytes(array.type, array.rank, array.sizes);
    nb::object memory = nb::cast(
        Exporter(array.data, 1, &bytes, owner, nullptr, nb::dtype<uint8_t>()));
    nb::object shape = makeShape(array.rank, array.sizes);
    return getAttribute("numpy", "ndarray")(shape, getNumPyType(array.type),
                                            memory);
  }
  nb::object exporter =
      nb::cast(Exporter(array.data, array.rank, sizes.data(), owner,
                        array.strides, kElementTypes[array.type].dlpack));
  if (maker.kind == Maker::torch)
    return getAttribute("torch", "from_dlpack")(exporter);
  // The standard of array libraries; NumPy's where they do not know it.
  nb::handle sample(maker.array);
  if (nb::hasattr(sample, "__array_namespace__"))
    return sample.attr("__array_namespace__")().attr("from_dlpack")(exporter);
  return toArray(Maker(), array, owner);
}

RopeArray Arrays::addResult(const Maker &maker, RopeElementType type,
                            int32_t rank, const int64_t *sizes,
                            nb::object &object) {
  if (maker.kind == Maker::numpy) {
    object = makeNumPy(type, rank, sizes);
    return addNumPy(object.ptr(), /*isWritten=*/true);
  }
  if (maker.kind == Maker::torch && getTorchAPI()) {
    object = makeTorch(type, rank, sizes);
    nb::dlpack::dltensor view;
    if (getTorchAPI()->viewObject(object.ptr(), &view) != 0)
      throw nb::python_error();
    return addDLTensor(view, object.ptr());
  }
  int64_t bytes = getNumBytes(type, rank, sizes);
  void *memory =
      std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
  if (!memory) {
    PyErr_NoMemory();
    throw nb::python_error();
  }
  nb::capsule owner(memory, [](void *data) noexcept { std::free(data); });
  int64_t *copied = take(rank), *strides = take(rank), stride = 1;
  for (int32_t i = rank; i-- > 0; stride *= sizes[i]) {
    copied[i] = sizes[i];
    strides[i] = stride;
  }
  RopeArray array = {memory, type, rank, copied, strides};
  object = toArray(maker, array, owner);
  return array;
}
