//===- RunMain.cpp - main function of rope-run ----------------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/RunMain.h"
#include "Rope/Execution/Arguments.h"
#include "Rope/Execution/Executable.h"
#include "Rope/Execution/FunctionCode.h"
#include "Rope/Execution/Npy.h"
#include "Rope/Runtime/GPURuntime.h"
#include "Rope/Runtime/Runtime.h"
#include "Rope/Target/OutputFile.h"
#include "Rope/Target/ToolMain.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/DynamicLibrary.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <cstdio>

using namespace mlir;
using namespace mlir::rope;
namespace cl = llvm::cl;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

namespace {
struct Options {
  cl::OptionCategory category{"rope-run options"};
  cl::opt<std::string> file{cl::Positional, cl::desc("<file>"), cl::init("-"),
                            cl::cat(category)};
  cl::opt<std::string> function{
      "function", cl::desc("Function to call (default: the only public one)"),
      cl::value_desc("name"), cl::cat(category)};
  cl::list<std::string> inputs{
      "input",
      cl::desc(
          "The next argument: @file.npy, 2x3xf32=1 2 3 4 5 6, or a number"),
      cl::value_desc("value"), cl::cat(category)};
  cl::list<std::string> outputs{
      "output",
      cl::desc("Where the next result goes: @file.npy, or - to print it "
               "(default: print all)"),
      cl::value_desc("place"), cl::cat(category)};
  cl::opt<std::string> target{
      "target",
      cl::desc("Kind of processor to run on: cpu (default), cuda, rocm or "
               "vulkan"),
      cl::value_desc("kind"), cl::init("cpu"), cl::cat(category)};
  cl::opt<std::string> chip{
      "chip",
      cl::desc("GPU to compile for, such as sm_90 or gfx942 (default: the one "
               "that is here)"),
      cl::value_desc("chip"), cl::cat(category)};
  cl::opt<std::string> cpu{
      "target-cpu", cl::desc("CPU to compile for (default host)"),
      cl::value_desc("cpu"), cl::init("host"), cl::cat(category)};
  cl::opt<std::string> features{
      "target-features", cl::desc("Features added to or taken from the CPU"),
      cl::value_desc("+a,-b"), cl::cat(category)};
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
  cl::opt<std::string> threads{
      "threads",
      cl::desc("Threads of parallel loops (default: ROPE_NUM_THREADS, or else "
               "one for each processor the program may use)"),
      cl::value_desc("n"), cl::cat(category)};
  cl::alias numThreads{"num-threads", cl::desc("Alias for --threads"),
                       cl::aliasopt(threads), cl::Hidden};
  cl::opt<std::string> benchmark{
      "benchmark", cl::ValueOptional,
      cl::desc("Time the call, n times or for about half a second, and print "
               "no results but those of --output"),
      cl::value_desc("n"), cl::cat(category)};
  /// Those of Google Benchmark.
  std::vector<std::string> benchmarkFlags;
  cl::list<std::string> libraries{
      "shared-libs", cl::CommaSeparated,
      cl::desc("Libraries that define what the module declares"),
      cl::value_desc("file"), cl::cat(category)};
};
} // namespace

/// No more than a library that counts in 32 bits takes.
static constexpr int64_t maxCalls = 1000000000;

static constexpr const char *overview =
    R"(rope-run: compile a function and call it on arrays

Compiles one function of a file of IR in memory, of any level, text or bytecode,
calls it, and prints its results or writes them to files. --input and --output
repeat in the order of the arguments and results. A function without results
gives its memref arguments as the call leaves them.

EXAMPLES:
  rope-run model.mlir --function=rope_table --input='3xi64=0 1 131071'
      prints the cosines and sines of three positions
  rope-run model.mlir --function=rope_apply --input=@x.npy \
           --input=@positions.npy --output=@y.npy
      rotates the NumPy array x.npy; --output leaves no half-written file
  rope-run exported.mlir --function=main --optimize --input=@x.npy --output=@y.npy
      finds rotations and attention in what PyTorch, ONNX or JAX exported
  rope-run model.mlir --function=rope_apply --input=1x8x32x128xbf16=1 \
           --input='1x8xi64=0 1 2 3 4 5 6 7' --benchmark --threads=1
      one number fills an array; times the call on one thread
  rope-run model.mlir --function=rope_apply --input=@x.npy \
           --input=@positions.npy --benchmark --benchmark_repetitions=10 \
           --benchmark_report_aggregates_only --benchmark_format=json
      flags of Google Benchmark say how long to measure and what to print
  rope-run model.mlir --target=vulkan --function=rope_apply --input=@x.npy \
           --input=@positions.npy
      runs on a GPU: arguments are copied to it and results back

Times of --benchmark: Time is that of a call, CPU that of all its threads. On a GPU
neither includes the copies of arguments and results. bytes_per_second counts each
array once, G being 2^30. Arrays stay where they are from call to call, so small
ones are in the cache.

bf16 arrays are two raw bytes an element in .npy files. Exit status 0, or 1 after
an error.
)";

static Expected<SmallVector<Array>> parseArguments(const Signature &signature,
                                                   const Options &options) {
  auto note = [&] { return "\nnote: the signature is " + signature.str(); };
  if (options.inputs.size() != signature.type.getNumInputs())
    return createStringError(
        "expected " + Twine(signature.type.getNumInputs()) +
        " of --input, but got " + Twine(options.inputs.size()) + note());
  SmallVector<Array> arguments;
  for (auto [index, text] : llvm::enumerate(options.inputs)) {
    Expected<Array> array = parseArgument(text, signature.type.getInput(index));
    if (!array)
      return createStringError("argument " + Twine(index) + ": " +
                               llvm::toString(array.takeError()) + note());
    arguments.push_back(std::move(*array));
  }
  return std::move(arguments);
}

/// Checks where outputs go: to a file of its own each, but a device or a pipe
/// takes several.
static Error checkPlaces(const Options &options) {
  namespace fs = llvm::sys::fs;
  namespace path = llvm::sys::path;
  llvm::StringSet<> names;
  for (const std::string &place : options.outputs) {
    if (place == "-")
      continue;
    if (!StringRef(place).starts_with("@"))
      return createStringError("unknown place '" + place +
                               "' for an output: expected @file.npy or -");
    StringRef file = StringRef(place).drop_front();
    fs::file_status status;
    if (file == "-" || (!fs::status(file, status) && fs::exists(status) &&
                        !fs::is_regular_file(status)))
      continue;
    // A file replaces what has its name in its folder, whichever way leads
    // there.
    StringRef parent = path::parent_path(file);
    SmallString<128> name;
    if (fs::real_path(parent.empty() ? "." : parent, name))
      name = parent;
    path::append(name, path::filename(file));
    if (!names.insert(name).second)
      return createStringError("expected a file of its own for each output, "
                               "but got '" +
                               file + "' twice");
  }
  return Error::success();
}

/// Prints the outputs or writes them to files, all of these or none.
static Error writeOutputs(ArrayRef<std::pair<std::string, Array *>> outputs,
                          const Options &options) {
  std::vector<OutputFile> files;
  for (auto [index, output] : llvm::enumerate(outputs)) {
    StringRef place = options.outputs.empty()
                          ? StringRef("-")
                          : StringRef(options.outputs[index]);
    auto &[label, array] = output;
    if (place == "-") {
      llvm::outs() << label << ": "
                   << describeShape(array->getElementType(), array->getShape())
                   << "\n";
      printArray(*array, llvm::outs());
      llvm::outs() << "\n";
      continue;
    }
    Expected<OutputFile> file = OutputFile::create(place.drop_front());
    if (!file)
      return file.takeError();
    writeNpy(*array, file->os());
    files.push_back(std::move(*file));
  }
  for (OutputFile &file : files)
    if (Error error = file.commit())
      return error;
  return Error::success();
}

/// What to compile for: the device that is here, or the chip that was named.
static Expected<GPUTarget> findGPU(GPUApi api, StringRef chip) {
  auto number = static_cast<int64_t>(api);
  if (const char *error = rope_gpu_open(number))
    return createStringError(Twine(error));
  std::string own;
  if (chip.empty() && api != GPUApi::vulkan)
    if (const char *name = rope_gpu_chip(number))
      own = name;
  return resolveGPUTarget(api, chip.empty() ? StringRef(own) : chip);
}

static Error benchmark(Executable &executable, StringRef function,
                       ArrayRef<ArrayView> arguments, int64_t numCalls,
                       const Options &options, BenchmarkLibrary &benchmarks) {
  // What has been printed comes first.
  llvm::outs().flush();
  BenchmarkedCall benchmarked;
  benchmarked.function = function;
  benchmarked.numCalls = numCalls;
  benchmarked.context["target"] = options.target;
  benchmarked.context["threads"] = std::to_string(rope_get_num_threads());
  return executable.repeat(arguments,
                           [&](Executable::Repeat again, int64_t bytes) {
                             benchmarked.bytes = bytes;
                             benchmarked.call = again;
                             return benchmarks.run(benchmarked);
                           });
}

static Error run(const Options &options, BenchmarkLibrary &benchmarks,
                 MLIRContext *context) {
  Expected<std::optional<GPUApi>> api =
      checkOptions(options.target, options.chip, options.optLevel);
  if (!api)
    return api.takeError();
  bool isBenchmark = options.benchmark.getNumOccurrences();
  int64_t numCalls = 0;
  if (!options.benchmark.empty() &&
      (StringRef(options.benchmark).getAsInteger(10, numCalls) ||
       numCalls < 1 || numCalls > maxCalls))
    return createStringError("unknown number of calls '" + options.benchmark +
                             "': expected 1 to " + Twine(maxCalls));
  if (!isBenchmark && !options.benchmarkFlags.empty())
    return createStringError("the flag '" + options.benchmarkFlags.front() +
                             "' is for benchmarks: expected --benchmark with "
                             "it");
  if (Error error = benchmarks.setFlags(options.benchmarkFlags))
    return error;
  int64_t threads = 0;
  if (options.threads.getNumOccurrences() &&
      (StringRef(options.threads).getAsInteger(10, threads) || threads < 1 ||
       threads > 4096))
    return createStringError("unknown number of threads '" + options.threads +
                             "': expected 1 to 4096");
  rope_set_num_threads(threads);
  if (Error error = checkPlaces(options))
    return error;
  Expected<TargetInfo> target =
      resolveTarget("", options.cpu, options.features);
  if (!target)
    return target.takeError();
  if (Error error = checkRunsOnHost(*target))
    return error;
  // Without a device there is no use in compiling.
  Expected<GPUTarget> gpu = GPUTarget();
  if (*api && !(gpu = findGPU(**api, options.chip)))
    return gpu.takeError();
  for (const std::string &library : options.libraries) {
    std::string reason;
    if (llvm::sys::DynamicLibrary::LoadLibraryPermanently(library.c_str(),
                                                          &reason))
      return createStringError(Twine("cannot load '") + library +
                               "': " + reason);
  }

  OwningOpRef<ModuleOp> module = loadModule(options.file, context);
  if (!module)
    return createStringError("cannot read '" + options.file + "'");
  if (StringRef triple = getModuleTriple(*module);
      !triple.empty() &&
      llvm::Triple(triple).getArch() != llvm::Triple(target->triple).getArch())
    return createStringError("'" + options.file + "' was lowered for '" +
                             triple + "', which is not this machine");
  Expected<std::string> function = findFunction(
      *module, options.function, "'" + options.file + "'", "--function=NAME");
  if (!function)
    return function.takeError();
  eraseOtherFunctions(*module, *function);
  if (Error error = checkIsFor(*module, *api, options.file))
    return error;
  if (options.optimize && failed(foldRotations(*module)))
    return createStringError("cannot optimize '" + options.file + "'");
  if (failed(*api ? lowerToLLVM(*module, *gpu, *target, options.optLevel)
                  : lowerToLLVM(*module, *target)))
    return createStringError("cannot lower '" + options.file +
                             "' to the llvm dialect");

  Expected<Signature> signature = getSignature(*module, *function);
  if (!signature)
    return signature.takeError();
  // A function without results works on its memref arguments.
  SmallVector<unsigned> inPlace;
  if (signature->type.getNumResults() == 0)
    for (auto [index, type] : llvm::enumerate(signature->type.getInputs()))
      if (isa<MemRefType>(type))
        inPlace.push_back(index);
  size_t numOutputs = signature->type.getNumResults() + inPlace.size();
  if (!options.outputs.empty() && options.outputs.size() != numOutputs)
    return createStringError("expected " + Twine(numOutputs) +
                             " of --output, or none, but got " +
                             Twine(options.outputs.size()) +
                             "\nnote: the signature is " + signature->str());
  Expected<SmallVector<Array>> arguments = parseArguments(*signature, options);
  if (!arguments)
    return arguments.takeError();
  auto executable =
      Executable::create(*module, *function, *target, options.optLevel);
  if (!executable)
    return executable.takeError();
  SmallVector<ArrayView> views;
  for (Array &argument : *arguments)
    views.push_back(argument.view());
  auto inSignature = [&](Error error) {
    return createStringError(llvm::toString(std::move(error)) +
                             "\nnote: the signature is " + signature->str());
  };
  if (!isBenchmark || !options.outputs.empty()) {
    Expected<SmallVector<Array>> results =
        (*executable)->callAndAllocate(views);
    if (!results)
      return inSignature(results.takeError());
    SmallVector<std::pair<std::string, Array *>> outputs;
    for (auto [index, result] : llvm::enumerate(*results))
      outputs.push_back({"result " + std::to_string(index), &result});
    for (unsigned index : inPlace)
      outputs.push_back(
          {"argument " + std::to_string(index), &(*arguments)[index]});
    if (Error error = writeOutputs(outputs, options))
      return error;
  }
  if (isBenchmark)
    if (Error error = benchmark(**executable, *function, views, numCalls,
                                options, benchmarks))
      return inSignature(std::move(error));
  return Error::success();
}

int rope::runMain(int argc, char **argv, DialectRegistry &registry,
                  BenchmarkLibrary &benchmarks) {
  // What compiled code prints before it gives up is not to stay in a buffer.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  // LLVM has an option of this name for its own work, which is not used here.
  if (cl::Option *taken = cl::getRegisteredOptions().lookup("threads"))
    taken->removeArgument();
  // The parser keeps pointers to the options.
  static Options options;
  // It does not know those of the library.
  SmallVector<char *> own;
  for (char *argument : ArrayRef(argv, argc)) {
    StringRef flag(argument);
    if (flag.consume_front("-") && (flag.consume_front("-"), true) &&
        flag.starts_with("benchmark_"))
      options.benchmarkFlags.push_back(("--" + flag).str());
    else
      own.push_back(argument);
  }
  return toolMain(static_cast<int>(own.size()), own.data(), registry, overview,
                  options.category, [&](MLIRContext *context) {
                    return run(options, benchmarks, context);
                  });
}
