//===- CompileMain.cpp - main function of rope-compile --------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Target/CompileMain.h"
#include "Rope/Target/CHeader.h"
#include "Rope/Target/OutputFile.h"
#include "Rope/Target/Signature.h"
#include "Rope/Target/Target.h"
#include "Rope/Target/ToolMain.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Transforms/IPO/Internalize.h"

using namespace mlir;
using namespace mlir::rope;
namespace cl = llvm::cl;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

namespace {
enum class OutputKind : uint8_t { ir, assembly, object, library, kernels };

/// A kind of output of one target.
struct Kind {
  /// As in suffixes.
  StringRef name;
  OutputKind kind;
  /// The form of kernels, where they are what is written.
  StringRef format;
};

struct Options {
  cl::OptionCategory category{"rope-compile options"};
  cl::opt<std::string> input{cl::Positional, cl::desc("<file>"), cl::init("-"),
                             cl::cat(category)};
  cl::opt<std::string> output{
      "o",
      cl::desc("Output file; its suffix tells the kind: .ll .s .o .so, for "
               "GPUs .ptx .cubin .fatbin .hsaco .spv as well"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<std::string> emit{
      "emit", cl::desc("Kind of output where the suffix does not tell it"),
      cl::value_desc("ll|s|o|so|.."), cl::cat(category)};
  cl::opt<std::string> header{
      "emit-header",
      cl::desc("Also write a C header (default with .so: beside it, as .h)"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<std::string> target{
      "target",
      cl::desc("Kind of processor to compile for: cpu (default), cuda, rocm or "
               "vulkan"),
      cl::value_desc("kind"), cl::init("cpu"), cl::cat(category)};
  cl::opt<std::string> chip{
      "chip",
      cl::desc("GPU to compile for, such as sm_90 or gfx942 (default: sm_80, "
               "gfx942, vulkan1.1)"),
      cl::value_desc("chip"), cl::cat(category)};
  cl::opt<std::string> triple{
      "target-triple",
      cl::desc("Such as aarch64-linux-gnu (default: this machine's)"),
      cl::value_desc("triple"), cl::cat(category)};
  cl::opt<std::string> cpu{
      "target-cpu",
      cl::desc("Such as sapphirerapids; 'host' is this machine's (default: "
               "the baseline of the triple)"),
      cl::value_desc("cpu"), cl::cat(category)};
  cl::opt<std::string> features{
      "target-features",
      cl::desc("Features added to or taken from the CPU, or 'host'"),
      cl::value_desc("+a,-b"), cl::cat(category)};
  cl::opt<bool> singleThreaded{
      "single-threaded",
      cl::desc("Run loops on the calling thread alone: nothing of the runtime "
               "is needed then"),
      cl::cat(category)};
  cl::opt<bool> optimize{
      "optimize",
      cl::desc("Find rotations and attention and fold them together first, as "
               "rope-opt --rope-optimize does"),
      cl::cat(category)};
  cl::opt<unsigned> optLevel{"O",
                             cl::Prefix,
                             cl::init(3),
                             cl::desc("Optimisation level, 0 to 3 (default 3)"),
                             cl::value_desc("level"),
                             cl::cat(category)};
};
} // namespace

static constexpr const char *overview = R"(rope-compile: IR to machine code

Compiles a file of IR, of any level, text or bytecode, to LLVM IR, assembly, an
object file, or a shared library with a C header beside it; for a GPU to its
kernels, or to code of the host that holds and launches them.

EXAMPLES:
  rope-compile model.mlir -o model.so --target-cpu=host
      writes model.so and model.h: include it, link model.so, call rope_apply
  rope-compile exported.mlir --optimize -o model.so
      finds rotations and attention in what PyTorch, ONNX or JAX exported
  rope-compile model.mlir -o model.s --target-cpu=sapphirerapids
      shows the assembly for a given CPU
  rope-compile model.mlir -o model.o --target-triple=aarch64-linux-gnu
      compiles for another machine
  rope-compile model.mlir -o model.so --target=cuda --chip=sm_90
      writes model.so and model.h, whose functions take a stream and arrays in
      the device's memory; NVIDIA's driver is loaded when one is called
  rope-compile model.mlir -o kernels.ptx --target=cuda --chip=sm_90
      writes the kernels alone

KINDS OF OUTPUT:
  all targets   .so library, .o object file, .ll LLVM IR, of the host's code
  cpu           .s assembly
  cuda          .ptx assembly; .cubin and .fatbin, which need ptxas
  rocm          .s assembly; .hsaco code object, which needs ld.lld
  vulkan        .spv SPIR-V

Parallel loops run on threads. A shared library holds what starts them; an object
file needs librope-runtime.a, or a definition of rope_parallel_for. The number of
threads is ROPE_NUM_THREADS, or else that of the processors the program may use.
Object files for GPUs need librope-runtime.a (and -ldl -pthread).
)";

/// What can be written for a target, in the order of messages.
static SmallVector<Kind> getKinds(std::optional<GPUApi> api) {
  SmallVector<Kind> kinds = {{"ll", OutputKind::ir, ""}};
  if (!api) {
    kinds.push_back({"s", OutputKind::assembly, ""});
  } else if (*api == GPUApi::cuda) {
    kinds.push_back({"ptx", OutputKind::kernels, "isa"});
    kinds.push_back({"cubin", OutputKind::kernels, "bin"});
    kinds.push_back({"fatbin", OutputKind::kernels, "fatbin"});
  } else if (*api == GPUApi::rocm) {
    kinds.push_back({"s", OutputKind::kernels, "isa"});
    kinds.push_back({"hsaco", OutputKind::kernels, "bin"});
  } else {
    kinds.push_back({"spv", OutputKind::kernels, "isa"});
  }
  kinds.push_back({"o", OutputKind::object, ""});
  kinds.push_back({"so", OutputKind::library, ""});
  return kinds;
}

static Expected<Kind> getKind(const Options &options,
                              std::optional<GPUApi> api) {
  SmallVector<Kind> kinds = getKinds(api);
  auto list = [&](StringRef dot) {
    std::string text;
    for (const Kind &kind : kinds)
      text += (&kind == kinds.begin()   ? ""
               : &kind == &kinds.back() ? " or "
                                        : ", ") +
              dot.str() + kind.name.str();
    return text;
  };
  StringRef name = options.emit;
  if (options.emit.empty()) {
    name = llvm::sys::path::extension(options.output);
    if (!name.consume_front("."))
      return createStringError(
          options.output.empty()
              ? Twine("no output file: give one with -o NAME") + list(".")
              : Twine("the output file '") + options.output +
                    "' has no suffix: expected " + list(".") + ", or --emit");
  }
  for (const Kind &kind : kinds) {
    if (name != kind.name)
      continue;
    if (kind.kind == OutputKind::library &&
        (options.output.empty() || options.output == "-"))
      return createStringError("a shared library needs an output file: -o "
                               "NAME.so");
    if (kind.kind == OutputKind::kernels && !options.header.empty())
      return createStringError("kernels have no C header: expected .ll, .o or "
                               ".so with --emit-header, but got '" +
                               name + "'");
    return kind;
  }
  return createStringError("unknown kind of output '" + name + "'" +
                           (api ? " for " + stringify(*api) : "") +
                           ": expected " + list(""));
}

static Expected<TargetInfo> getTarget(const Options &options,
                                      StringRef triple) {
  Expected<TargetInfo> target =
      resolveTarget(triple, options.cpu, options.features);
  if (!target)
    return target.takeError();
  if (Error error = checkIsCPU(*target))
    return std::move(error);
  return target;
}

/// Keeps only the C symbols of functions that have a C interface: their code
/// then exists once, and nothing that the header does not name is exported.
static void hideBareFunctions(ModuleOp module, llvm::Module &llvmModule) {
  llvm::StringSet<> hidden;
  for (StringRef name : getInterfaceFunctions(module))
    if (module.lookupSymbol("_mlir_ciface_" + name.str()))
      hidden.insert(name);
  llvm::internalizeModule(llvmModule, [&](const llvm::GlobalValue &value) {
    return !hidden.contains(value.getName());
  });
}

static Error compile(Options &options, MLIRContext *context) {
  // What needs no work is checked first.
  Expected<std::optional<GPUApi>> api =
      checkOptions(options.target, options.chip, options.optLevel);
  if (!api)
    return api.takeError();
  Expected<Kind> output = getKind(options, *api);
  if (!output)
    return output.takeError();
  OutputKind kind = output->kind;
  GPUTarget gpu;
  if (*api) {
    Expected<GPUTarget> resolved = resolveGPUTarget(**api, options.chip);
    if (!resolved)
      return resolved.takeError();
    gpu = std::move(*resolved);
  }
  if (options.output.empty())
    options.output = "-";
  if (options.header.empty() && kind == OutputKind::library) {
    SmallString<128> header(options.output);
    llvm::sys::path::replace_extension(header, "h");
    options.header = header.str().str();
  }
  Expected<TargetInfo> target = getTarget(options, options.triple);
  if (!target)
    return target.takeError();

  OwningOpRef<ModuleOp> module = loadModule(options.input, context);
  if (!module)
    return createStringError("cannot read '" + options.input + "'");
  // A module that was lowered before stays with its triple.
  if (StringRef lowered = getModuleTriple(*module); !lowered.empty()) {
    if (options.triple.empty()) {
      target = getTarget(options, lowered);
      if (!target)
        return target.takeError();
    } else if (llvm::Triple::normalize(lowered) != target->triple) {
      return createStringError("'" + options.input + "' was lowered for '" +
                               lowered + "', which is not '" + target->triple +
                               "'");
    }
  }
  if (Error error = checkIsFor(*module, *api, options.input))
    return error;
  if (options.optimize && failed(foldRotations(*module)))
    return createStringError("cannot optimize '" + options.input + "'");
  if (kind == OutputKind::kernels) {
    if (failed(lowerToKernels(*module, gpu, *target, output->format,
                              options.optLevel)))
      return createStringError("cannot compile the kernels of '" +
                               options.input + "' for " + gpu.chip);
    Expected<StringRef> kernels = getKernels(*module);
    if (!kernels)
      return createStringError("cannot compile '" + options.input +
                               "': " + llvm::toString(kernels.takeError()));
    Expected<OutputFile> file = OutputFile::create(options.output);
    if (!file)
      return file.takeError();
    file->os() << *kernels;
    return file->commit();
  }
  if (failed(*api ? lowerToLLVM(*module, gpu, *target, options.optLevel)
                  : lowerToLLVM(*module, *target, options.singleThreaded)))
    return createStringError("cannot lower '" + options.input +
                             "' to the llvm dialect");

  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(*target, options.optLevel);
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> llvmModule =
      translateModule(*module, llvmContext, *machine);
  if (!llvmModule)
    return createStringError("cannot translate '" + options.input +
                             "' to LLVM IR");
  hideBareFunctions(*module, *llvmModule);
  optimizeModule(*llvmModule, *machine, options.optLevel);

  SmallVector<char, 0> code;
  llvm::raw_svector_ostream os(code);
  if (kind == OutputKind::ir)
    llvmModule->print(os, nullptr);
  else if (Error error = emitModule(*llvmModule, *machine,
                                    kind == OutputKind::assembly
                                        ? llvm::CodeGenFileType::AssemblyFile
                                        : llvm::CodeGenFileType::ObjectFile,
                                    os))
    return error;
  std::unique_ptr<llvm::MemoryBuffer> library;
  StringRef bytes = os.str();
  if (kind == OutputKind::library) {
    // The functions of the header call the runtime, whatever the code does.
    SmallVector<StringRef> symbols;
    if (*api)
      symbols.push_back("rope_gpu_begin");
    auto linked =
        linkSharedLibrary(bytes, llvm::sys::path::filename(options.output),
                          *target, *api || usesRuntime(*module), symbols);
    if (!linked)
      return linked.takeError();
    library = std::move(*linked);
    bytes = library->getBuffer();
  }

  // All is made: now the files appear.
  Expected<OutputFile> file = OutputFile::create(options.output);
  if (!file)
    return file.takeError();
  file->os() << bytes;
  std::optional<OutputFile> header;
  if (!options.header.empty()) {
    Expected<OutputFile> created = OutputFile::create(options.header);
    if (!created)
      return created.takeError();
    header.emplace(std::move(*created));
    if (Error error = writeCHeader(
            *module, llvm::sys::path::filename(options.header), header->os()))
      return error;
  }
  if (Error error = file->commit())
    return error;
  return header ? header->commit() : Error::success();
}

int rope::compileMain(int argc, char **argv, DialectRegistry &registry) {
  // The parser keeps pointers to the options.
  static Options options;
  return toolMain(
      argc, argv, registry, overview, options.category,
      [](MLIRContext *context) { return compile(options, context); });
}
