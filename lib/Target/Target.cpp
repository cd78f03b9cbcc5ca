//===- Target.cpp - from lowered modules to machine code ------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Target/Target.h"
#include "Rope/Pipelines/Pipelines.h"
#include "Rope/Runtime/RuntimeArchive.h"
#include "Rope/Target/OutputFile.h"
#include "Rope/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::Triple;

//===----------------------------------------------------------------------===//
// Targets
//===----------------------------------------------------------------------===//

/// The target of a triple that `resolveTarget` accepted, ready to make code.
static const llvm::Target &getTarget(const TargetInfo &info) {
  static bool initialized = [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();
    return true;
  }();
  (void)initialized;
  std::string reason;
  return *llvm::TargetRegistry::lookupTarget(Triple(info.triple), reason);
}

StringRef rope::getModuleTriple(ModuleOp module) {
  auto attr = module->getAttrOfType<StringAttr>(
      LLVM::LLVMDialect::getTargetTripleAttrName());
  return attr ? attr.getValue() : StringRef();
}

Error rope::checkIsCPU(const TargetInfo &target) {
  switch (Triple(target.triple).getArch()) {
  case Triple::x86_64:
    if (!target.getFeatures().contains("64bit"))
      return createStringError("the processor '" + target.cpu +
                               "' has no 64-bit mode, which '" + target.triple +
                               "' needs");
    return Error::success();
  case Triple::aarch64:
  case Triple::riscv64:
  case Triple::ppc64le:
  case Triple::loongarch64:
    return Error::success();
  default:
    return createStringError("no code can be made for '" + target.triple +
                             "': expected a triple of x86_64, aarch64, "
                             "riscv64, powerpc64le or loongarch64");
  }
}

Error rope::checkRunsOnHost(const TargetInfo &target) {
  Triple host(llvm::sys::getProcessTriple()), wanted(target.triple);
  if (wanted.getArch() != host.getArch() || wanted.getOS() != host.getOS())
    return createStringError("code for '" + target.triple +
                             "' cannot run on this machine, '" + host.str() +
                             "'");
  llvm::StringSet<> features = target.getFeatures();
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    if (!feature.getValue() && features.contains(feature.getKey()))
      return createStringError("code for '" + target.cpu +
                               "' cannot run on this machine, which lacks '" +
                               feature.getKey() + "'");
  return Error::success();
}

std::unique_ptr<llvm::TargetMachine>
rope::createTargetMachine(const TargetInfo &info, unsigned optLevel) {
  // LLVM selects no tiles of AMX without any optimisation.
  if (info.amxBF16)
    optLevel = std::max(optLevel, 1u);
  return std::unique_ptr<llvm::TargetMachine>(
      getTarget(info).createTargetMachine(
          Triple(info.triple), info.cpu, info.features, llvm::TargetOptions(),
          llvm::Reloc::PIC_, /*CM=*/std::nullopt,
          static_cast<llvm::CodeGenOptLevel>(std::min(optLevel, 3u))));
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

OwningOpRef<ModuleOp> rope::loadModule(StringRef path, MLIRContext *context) {
  return parseSourceFile<ModuleOp>(path, ParserConfig(context));
}

static bool isLowered(ModuleOp module) {
  bool lowered = true;
  module->walk([&](Operation *op) {
    lowered &= isa<ModuleOp>(op) || isa<LLVM::LLVMDialect>(op->getDialect());
  });
  return lowered;
}

LogicalResult rope::foldRotations(ModuleOp module) {
  if (isLowered(module))
    return success();
  PassManager pm(module->getContext());
  buildRopeOptimizePipeline(pm, RopeOptimizePipelineOptions());
  return pm.run(module);
}

LogicalResult rope::lowerToLLVM(ModuleOp module, const TargetInfo &target,
                                bool singleThreaded) {
  if (isLowered(module))
    return success();
  PassManager pm(module->getContext());
  RopeToLLVMPipelineOptions options;
  options.targetTriple = target.triple;
  options.targetCPU = target.cpu;
  options.targetFeatures = target.features;
  options.singleThreaded = singleThreaded;
  buildRopeToLLVMPipeline(pm, options);
  return pm.run(module);
}

std::optional<GPUApi> rope::getGPUApi(ModuleOp module) {
  auto attr = module->getAttrOfType<StringAttr>(gpuApiAttrName);
  for (GPUApi api : {GPUApi::cuda, GPUApi::rocm, GPUApi::vulkan})
    if (attr && attr.getValue() == stringify(api))
      return api;
  return std::nullopt;
}

static void setOptions(RopeToGPUPipelineOptions &options,
                       const GPUTarget &target, const TargetInfo &host,
                       StringRef format, unsigned optLevel) {
  options.chip = target.chip;
  options.format = format.str();
  options.optLevel = optLevel;
  options.targetTriple = host.triple;
  options.targetCPU = host.cpu;
  options.targetFeatures = host.features;
}

LogicalResult rope::lowerToKernels(ModuleOp module, const GPUTarget &target,
                                   const TargetInfo &host, StringRef format,
                                   unsigned optLevel) {
  if (isLowered(module))
    return success();
  // Nothing says whether they are what is asked for.
  for (auto binary : module.getOps<gpu::BinaryOp>())
    return binary.emitOpError("expected kernels that are not compiled yet");
  PassManager pm(module->getContext());
  RopeToGPUPipelineOptions options;
  setOptions(options, target, host, format, optLevel);
  // Kernels written by hand, with what launches them.
  options.fromLaunches = !module.getOps<gpu::GPUModuleOp>().empty();
  if (options.fromLaunches)
    pm.addPass(createExposeCInterface());
  options.kernelsOnly = true;
  buildGPUPipeline(pm, target.api, options);
  return pm.run(module);
}

Expected<StringRef> rope::getKernels(ModuleOp module) {
  auto binaries = module.getOps<gpu::BinaryOp>();
  if (binaries.empty() || (*binaries.begin()).getObjects().size() != 1)
    return createStringError(
        isLowered(module)
            ? "the module was lowered to the llvm dialect before: expected one "
              "whose kernels can still be compiled"
            : "the module holds no kernels: nothing in it runs on a GPU");
  gpu::BinaryOp binary = *binaries.begin();
  return cast<gpu::ObjectAttr>(binary.getObjects()[0]).getObject().getValue();
}

LogicalResult rope::lowerToLLVM(ModuleOp module, const GPUTarget &target,
                                const TargetInfo &host, unsigned optLevel) {
  if (isLowered(module))
    return success();
  // NVIDIA's driver compiles PTX for whatever device is there; AMD's loads
  // linked code alone.
  StringRef format = target.api == GPUApi::rocm ? "bin" : "isa";
  if (failed(lowerToKernels(module, target, host, format, optLevel)))
    return failure();
  PassManager pm(module->getContext());
  RopeToGPUPipelineOptions options;
  setOptions(options, target, host, format, optLevel);
  buildGPUHostToLLVMPipeline(pm, options);
  if (failed(pm.run(module)))
    return failure();
  module->setAttr(gpuApiAttrName,
                  StringAttr::get(module->getContext(), stringify(target.api)));
  return success();
}

Error rope::checkIsFor(ModuleOp module, std::optional<GPUApi> api,
                       StringRef file) {
  std::optional<GPUApi> lowered = getGPUApi(module);
  if (!isLowered(module) || lowered == api)
    return Error::success();
  auto name = [](std::optional<GPUApi> api) {
    return api ? stringify(*api) : StringRef("cpu");
  };
  return createStringError("'" + file + "' was lowered for --target=" +
                           name(lowered) + ", which is not " + name(api));
}

std::unique_ptr<llvm::Module>
rope::translateModule(Operation *module, llvm::LLVMContext &context,
                      const llvm::TargetMachine &machine) {
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(module, context);
  if (!llvmModule)
    return nullptr;
  llvmModule->setTargetTriple(machine.getTargetTriple());
  llvmModule->setDataLayout(machine.createDataLayout());
  for (llvm::Function &function : *llvmModule) {
    if (function.isDeclaration())
      continue;
    if (!function.hasFnAttribute("target-cpu"))
      function.addFnAttr("target-cpu", machine.getTargetCPU());
    if (!function.hasFnAttribute("target-features") &&
        !machine.getTargetFeatureString().empty())
      function.addFnAttr("target-features", machine.getTargetFeatureString());
  }
  return llvmModule;
}

void rope::optimizeModule(llvm::Module &module, llvm::TargetMachine &machine,
                          unsigned optLevel) {
  llvm::PipelineTuningOptions tuning;
  tuning.SLPVectorization = true;
  llvm::PassBuilder builder(&machine, tuning);
  llvm::LoopAnalysisManager loopAnalyses;
  llvm::FunctionAnalysisManager functionAnalyses;
  llvm::CGSCCAnalysisManager cgsccAnalyses;
  llvm::ModuleAnalysisManager moduleAnalyses;
  builder.registerModuleAnalyses(moduleAnalyses);
  builder.registerCGSCCAnalyses(cgsccAnalyses);
  builder.registerFunctionAnalyses(functionAnalyses);
  builder.registerLoopAnalyses(loopAnalyses);
  builder.crossRegisterProxies(loopAnalyses, functionAnalyses, cgsccAnalyses,
                               moduleAnalyses);
  const llvm::OptimizationLevel levels[] = {
      llvm::OptimizationLevel::O0, llvm::OptimizationLevel::O1,
      llvm::OptimizationLevel::O2, llvm::OptimizationLevel::O3};
  llvm::OptimizationLevel level = levels[std::min(optLevel, 3u)];
  llvm::ModulePassManager passes =
      level == llvm::OptimizationLevel::O0
          ? builder.buildO0DefaultPipeline(level)
          : builder.buildPerModuleDefaultPipeline(level);
  passes.run(module, moduleAnalyses);
}

Error rope::emitModule(llvm::Module &module, llvm::TargetMachine &machine,
                       llvm::CodeGenFileType kind,
                       llvm::raw_pwrite_stream &os) {
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, os, nullptr, kind))
    return createStringError("the target '" + machine.getTargetTriple().str() +
                             "' cannot write files of this kind");
  passes.run(module);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Linking
//===----------------------------------------------------------------------===//

bool rope::usesRuntime(ModuleOp module) {
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(runtimeSymbol);
  return function && function.isExternal();
}

/// A file that goes away at the end of the scope.
static Error createTemporary(StringRef suffix, SmallVectorImpl<char> &path,
                             llvm::FileRemover &remover) {
  if (std::error_code error =
          llvm::sys::fs::createTemporaryFile("rope-compile", suffix, path))
    return createStringError("cannot make a temporary file: " +
                             error.message());
  remover.setFile(StringRef(path.data(), path.size()));
  return Error::success();
}

/// The same with what is to be read from it.
static Error createInput(StringRef suffix, StringRef content,
                         SmallVectorImpl<char> &path,
                         llvm::FileRemover &remover) {
  if (Error error = createTemporary(suffix, path, remover))
    return error;
  Expected<OutputFile> file =
      OutputFile::create(StringRef(path.data(), path.size()));
  if (!file)
    return file.takeError();
  file->os() << content;
  return file->commit();
}

Expected<std::unique_ptr<llvm::MemoryBuffer>>
rope::linkSharedLibrary(StringRef object, StringRef name,
                        const TargetInfo &target, bool withRuntime,
                        ArrayRef<StringRef> symbols) {
  Triple triple(target.triple), host(llvm::sys::getProcessTriple());
  bool native =
      triple.getArch() == host.getArch() && triple.getOS() == host.getOS();
  if (withRuntime && !native)
    return createStringError(
        "a library for '" + target.triple +
        "' cannot hold the runtime, which is for '" + host.str() +
        "' here: write an object file with -o NAME.o, and link it with a "
        "librope-runtime.a that is built for '" +
        target.triple + "', or do without it by --single-threaded");
  // A driver knows where the system's libraries are. For another machine only
  // lld is sure to know the format; symbols of the C library then stay open.
  SmallVector<StringRef> linkers;
  if (native)
    linkers = {"cc", "gcc", "clang", "clang-22"};
  size_t numDrivers = linkers.size();
  linkers.append({"ld.lld", "ld.lld-22"});
  if (native)
    linkers.push_back("ld");
  std::string program;
  bool isDriver = false;
  for (auto [index, linker] : llvm::enumerate(linkers)) {
    auto path = llvm::sys::findProgramByName(linker);
    if (!path)
      continue;
    program = *path;
    isDriver = index < numDrivers;
    break;
  }
  if (program.empty())
    return createStringError(
        "no linker was found for '" + target.triple + "': install " +
        (native ? "a C compiler (cc)" : "lld (ld.lld)") +
        ", or write an object file with -o NAME.o and link it yourself");

  SmallString<128> input, runtime, output, log;
  llvm::FileRemover removeInput, removeRuntime, removeOutput, removeLog;
  if (Error error = createInput("o", object, input, removeInput))
    return std::move(error);
  if (Error error = createTemporary("so", output, removeOutput))
    return std::move(error);
  if (Error error = createTemporary("txt", log, removeLog))
    return std::move(error);

  std::string soname = (isDriver ? "-Wl,-soname," : "-soname=") + name.str();
  SmallVector<StringRef> arguments = {program, "-shared", "-o",
                                      output,  input,     soname};
  if (withRuntime) {
    if (Error error =
            createInput("a", getRuntimeArchive(), runtime, removeRuntime))
      return std::move(error);
    arguments.push_back(runtime);
  }
  SmallVector<std::string> undefined;
  for (StringRef symbol : symbols)
    undefined.push_back((isDriver ? "-Wl,--undefined=" : "--undefined=") +
                        symbol.str());
  arguments.append(undefined.begin(), undefined.end());
  if (isDriver)
    arguments.append({"-lm", "-pthread", "-ldl"});
  std::string reason;
  int status = llvm::sys::ExecuteAndWait(
      program, arguments, std::nullopt, {StringRef(), log.str(), log.str()},
      /*SecondsToWait=*/0, /*MemoryLimit=*/0, &reason);
  if (status != 0) {
    if (auto text = llvm::MemoryBuffer::getFile(log))
      reason += (*text)->getBuffer().trim();
    return createStringError("'" + program + "' could not link '" + name +
                             "': " + reason);
  }
  auto library = llvm::MemoryBuffer::getFile(output, /*IsText=*/false,
                                             /*RequiresNullTerminator=*/false,
                                             /*IsVolatile=*/true);
  if (!library)
    return createStringError(
        "'" + program + "' wrote no library: " + library.getError().message());
  return std::move(*library);
}
