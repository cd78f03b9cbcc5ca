//===- SerializeKernels.cpp - modules of kernels to binaries --------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVAttributes.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVDialect.h"
#include "mlir/Dialect/SPIRV/IR/SPIRVOps.h"
#include "mlir/Target/LLVM/ROCDL/Utils.h"
#include "mlir/Target/SPIRV/Serialization.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir::rope {
#define GEN_PASS_DEF_SERIALIZEKERNELS
#include "Rope/Transforms/Passes.h.inc"
} // namespace mlir::rope

using namespace mlir;
using namespace mlir::rope;

/// The program in one of `folders`, or else on the path; empty where there is
/// none.
static std::string findProgram(StringRef name, ArrayRef<std::string> folders) {
  SmallVector<StringRef> paths;
  for (const std::string &folder : folders)
    if (!folder.empty())
      paths.push_back(folder);
  if (!paths.empty())
    if (auto found = llvm::sys::findProgramByName(name, paths))
      return *found;
  if (auto found = llvm::sys::findProgramByName(name))
    return *found;
  return "";
}

static std::string join(StringRef folder, StringRef name) {
  if (folder.empty())
    return "";
  SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  return std::string(path);
}

//===----------------------------------------------------------------------===//
// CUDA
//===----------------------------------------------------------------------===//

/// Checks that programs of the CUDA toolkit are where upstream looks for them.
static LogicalResult checkToolkit(gpu::GPUModuleOp kernels,
                                  gpu::CompilationTarget format,
                                  StringRef toolkit) {
  SmallVector<StringRef, 2> programs;
  if (format != gpu::CompilationTarget::Assembly)
    programs.push_back("ptxas");
  if (format == gpu::CompilationTarget::Fatbin)
    programs.push_back("fatbinary");
  SmallVector<std::string> folders = {join(toolkit, "bin")};
  for (StringRef variable : {"CUDA_ROOT", "CUDA_HOME", "CUDA_PATH"})
    if (auto value = llvm::sys::Process::GetEnv(variable))
      folders.push_back(join(*value, "bin"));
  for (StringRef program : programs)
    if (findProgram(program, folders).empty())
      return kernels.emitError("expected NVIDIA's ")
             << program
             << " in the folder bin of the toolkit or on the path, found none: "
                "install the CUDA toolkit or the Python package "
                "nvidia-cuda-nvcc, or choose format=isa, which needs neither";
  return success();
}

//===----------------------------------------------------------------------===//
// ROCm
//===----------------------------------------------------------------------===//

/// A temporary file, removed with the object.
static std::optional<llvm::FileRemover> makeFile(SmallVectorImpl<char> &path,
                                                 StringRef suffix) {
  if (llvm::sys::fs::createTemporaryFile("rope-kernels", suffix, path))
    return std::nullopt;
  return std::optional<llvm::FileRemover>(std::in_place, path);
}

/// Assembles and links the code of AMD's GPUs, with ROCm's linker or LLVM's.
static FailureOr<std::string> linkISA(Operation *op,
                                      ROCDL::ROCDLTargetAttr target,
                                      StringRef isa, StringRef toolkit) {
  auto emitError = [&] { return op->emitError("AMD GPU code: "); };
  std::string linker;
  SmallVector<std::string> folders = {join(toolkit, "llvm/bin"),
                                      join(ROCDL::getROCMPath(), "llvm/bin")};
  for (StringRef name : {"ld.lld-22", "ld.lld"})
    if (linker.empty())
      linker = findProgram(name, folders);
  if (linker.empty())
    return emitError() << "expected the linker ld.lld in the folder llvm/bin "
                          "of the toolkit or on the path, found none: install "
                          "the package lld-22, or choose format=isa";

  FailureOr<SmallVector<char, 0>> object =
      ROCDL::assembleIsa(isa, target.getTriple(), target.getChip(),
                         target.getFeatures(), emitError);
  if (failed(object))
    return failure();
  SmallString<128> input, output, messages;
  auto removeInput = makeFile(input, "o"),
       removeOutput = makeFile(output, "so"),
       removeMessages = makeFile(messages, "txt");
  if (!removeInput || !removeOutput || !removeMessages)
    return emitError() << "cannot make temporary files";
  {
    std::error_code error;
    llvm::raw_fd_ostream stream(input, error);
    stream.write(object->data(), object->size());
    stream.close();
    if (error || stream.has_error()) {
      stream.clear_error();
      return emitError() << "cannot write to " << input;
    }
  }
  std::string message;
  int status = llvm::sys::ExecuteAndWait(
      linker, {linker, "-shared", input, "-o", output}, /*Env=*/std::nullopt,
      {StringRef(""), StringRef(messages), StringRef(messages)},
      /*SecondsToWait=*/0, /*MemoryLimit=*/0, &message);
  if (status != 0) {
    if (auto text = llvm::MemoryBuffer::getFile(messages))
      message += (*text)->getBuffer();
    return emitError() << linker << " failed: " << message;
  }
  auto result = llvm::MemoryBuffer::getFile(output, /*IsText=*/false);
  if (!result)
    return emitError() << "cannot read " << output;
  return (*result)->getBuffer().str();
}

//===----------------------------------------------------------------------===//
// Vulkan
//===----------------------------------------------------------------------===//

/// Replaces `kernels` by the binary of the spirv.module in it.
static LogicalResult serializeSPIRV(gpu::GPUModuleOp kernels,
                                    spirv::TargetEnvAttr target) {
  auto modules = kernels.getOps<spirv::ModuleOp>();
  if (!llvm::hasSingleElement(modules))
    return kernels.emitError("expected one spirv.module among the kernels, "
                             "which -rope-convert-kernels-to-spirv makes");
  spirv::ModuleOp module = *modules.begin();
  for (auto variable : module.getOps<spirv::GlobalVariableOp>())
    // All parameters were given a binding. These must have none.
    if (cast<spirv::PointerType>(variable.getType()).getStorageClass() ==
        spirv::StorageClass::PushConstant) {
      variable->removeAttr("binding");
      variable->removeAttr("descriptor_set");
    }
  SmallVector<uint32_t> words;
  if (failed(spirv::serialize(module, words)))
    return failure();
  OpBuilder builder(kernels);
  StringRef bytes(reinterpret_cast<const char *>(words.data()),
                  words.size() * sizeof(uint32_t));
  auto object = gpu::ObjectAttr::get(target, gpu::CompilationTarget::Binary,
                                     builder.getStringAttr(bytes));
  gpu::BinaryOp::create(builder, kernels.getLoc(), kernels.getName(),
                        /*offloadingHandler=*/nullptr,
                        ArrayRef<Attribute>(object));
  kernels.erase();
  return success();
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct SerializeKernels : rope::impl::SerializeKernelsBase<SerializeKernels> {
  using SerializeKernelsBase::SerializeKernelsBase;

  /// The objects that upstream made of modules for LLVM's targets: text without
  /// a zero at its end, and what is still to be linked linked.
  LogicalResult finishObjects(gpu::BinaryOp binary,
                              gpu::CompilationTarget format) {
    SmallVector<Attribute> objects;
    for (auto object : binary.getObjects().getAsRange<gpu::ObjectAttr>()) {
      std::string bytes = object.getObject().str();
      gpu::CompilationTarget kind = object.getFormat();
      if (kind == gpu::CompilationTarget::Assembly) {
        while (!bytes.empty() && bytes.back() == '\0')
          bytes.pop_back();
        if (auto target = dyn_cast<ROCDL::ROCDLTargetAttr>(object.getTarget());
            target && format != kind) {
          FailureOr<std::string> linked =
              linkISA(binary, target, bytes, toolkit);
          if (failed(linked))
            return failure();
          bytes = std::move(*linked);
          kind = gpu::CompilationTarget::Binary;
        }
      }
      // Properties say how long it took, which differs each time.
      objects.push_back(gpu::ObjectAttr::get(
          object.getTarget(), kind, StringAttr::get(&getContext(), bytes),
          /*properties=*/nullptr, object.getKernels()));
    }
    binary.setObjectsAttr(ArrayAttr::get(&getContext(), objects));
    return success();
  }

  LogicalResult serialize() {
    ModuleOp module = getOperation();
    auto kind =
        llvm::StringSwitch<std::optional<gpu::CompilationTarget>>(format)
            .Case("isa", gpu::CompilationTarget::Assembly)
            .Case("bin", gpu::CompilationTarget::Binary)
            .Case("fatbin", gpu::CompilationTarget::Fatbin)
            .Default(std::nullopt);
    if (!kind)
      return module.emitError("unknown format of kernels '")
             << format << "': expected isa, bin or fatbin";

    bool isNVVM = false, isROCDL = false;
    for (auto kernels :
         llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>())) {
      ArrayAttr targets = kernels.getTargetsAttr();
      if (!targets || targets.size() != 1)
        return kernels.emitError("expected one target of the kernels, found ")
               << (targets ? targets.size() : 0);
      Attribute target = targets[0];
      if (auto environment = dyn_cast<spirv::TargetEnvAttr>(target)) {
        if (failed(serializeSPIRV(kernels, environment)))
          return failure();
        continue;
      }
      isNVVM |= isa<NVVM::NVVMTargetAttr>(target);
      isROCDL |= isa<ROCDL::ROCDLTargetAttr>(target);
      if (isa<NVVM::NVVMTargetAttr>(target) &&
          failed(checkToolkit(kernels, *kind, toolkit)))
        return failure();
    }
    if (isNVVM && isROCDL)
      return module.emitError(
          "expected kernels of one target, found some of NVIDIA's and AMD's");
    if (!isNVVM && !isROCDL)
      return success();

    gpu::TargetOptions options(
        toolkit, /*librariesToLink=*/{}, /*cmdOptions=*/{}, /*elfSection=*/{},
        isROCDL ? gpu::CompilationTarget::Assembly : *kind);
    if (failed(gpu::transformGpuModulesToBinaries(module, nullptr, options)))
      return failure();
    for (auto binary : module.getOps<gpu::BinaryOp>())
      if (failed(finishObjects(binary, *kind)))
        return failure();
    return success();
  }

  void runOnOperation() override {
    if (failed(serialize()))
      signalPassFailure();
  }
};
} // namespace
