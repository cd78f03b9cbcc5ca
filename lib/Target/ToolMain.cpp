//===- ToolMain.cpp - what the tools' main functions share ----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Target/ToolMain.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/WithColor.h"
#include <unistd.h>

using namespace mlir;
using namespace mlir::rope;
namespace cl = llvm::cl;
using llvm::createStringError;
using llvm::Error;

int rope::toolMain(int argc, char **argv, DialectRegistry &registry,
                   const char *overview, cl::OptionCategory &category,
                   llvm::function_ref<Error(MLIRContext *)> run) {
  llvm::InitLLVM init(argc, argv);
  llvm::install_fatal_error_handler([](void *, const char *reason, bool) {
    llvm::WithColor::error(llvm::errs()) << "LLVM gave up: " << reason << "\n";
    // Removes temporary files; nothing else may run after a fatal error.
    llvm::sys::RunInterruptHandlers();
    _exit(1);
  });
  cl::HideUnrelatedOptions(category);
  std::string errors;
  llvm::raw_string_ostream errorStream(errors);
  if (!cl::ParseCommandLineOptions(argc, argv, overview, &errorStream)) {
    // Some of them have been printed as they were found.
    llvm::WithColor::error(llvm::errs())
        << (errors.empty() ? "the command line is not valid\n" : errors);
    return 1;
  }
  registerAllToLLVMIRTranslations(registry);
  MLIRContext context(registry);
  llvm::SourceMgr sourceMgr;
  SourceMgrDiagnosticHandler diagnostics(sourceMgr, &context);
  if (Error error = run(&context)) {
    llvm::WithColor::error(llvm::errs())
        << llvm::toString(std::move(error)) << "\n";
    return 1;
  }
  return 0;
}

llvm::Expected<std::optional<GPUApi>>
rope::checkOptions(StringRef target, StringRef chip, unsigned optLevel) {
  std::optional<GPUApi> api;
  for (GPUApi known : {GPUApi::cuda, GPUApi::rocm, GPUApi::vulkan})
    if (target == stringify(known))
      api = known;
  if (!api && target != "cpu")
    return createStringError("unknown target '" + target +
                             "': expected cpu, cuda, rocm or vulkan");
  if (!api && !chip.empty())
    return createStringError("the chip '" + chip +
                             "' is for GPUs: expected --target=cuda, rocm "
                             "or vulkan with it");
  if (optLevel > 3)
    return createStringError("unknown optimisation level " + Twine(optLevel) +
                             ": expected 0 to 3");
  return api;
}
