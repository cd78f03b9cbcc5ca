//===- rope-run.cpp - compile a function and call it ----------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/RunMain.h"
#include "Rope/InitAll.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <ostream>
#include <streambuf>

using llvm::Error;

namespace {
/// Standard error without a line that is beside the point: the library times
/// one loop of calls as a whole, so that its own speed does not matter, and
/// packages of it carry the mark of a build without optimization.
class Notes : public std::streambuf {
  int overflow(int character) override {
    if (character == traits_type::eof())
      return 0;
    line += static_cast<char>(character);
    if (character == '\n') {
      if (line.find("Library was built as DEBUG") == std::string::npos)
        llvm::errs() << line;
      line.clear();
    }
    return character;
  }

  std::string line;
};

class GoogleBenchmark : public mlir::rope::BenchmarkLibrary {
  Error setFlags(llvm::ArrayRef<std::string> flags) override {
    // The library leaves what it does not know, behind the program's name, to
    // which it keeps a pointer.
    llvm::SmallVector<char *> arguments = {name.data()};
    std::vector<std::string> copies(flags.begin(), flags.end());
    for (std::string &flag : copies)
      arguments.push_back(flag.data());
    auto count = static_cast<int>(arguments.size());
    arguments.push_back(nullptr);
    benchmark::Initialize(&count, arguments.data(), [] {
      // It ends the program after this, as if all were well.
      llvm::WithColor::error()
          << "Google Benchmark does not take the value of a flag: expected "
             "console, json or csv of --benchmark_format and "
             "--benchmark_out_format, and ns, us, ms or s of "
             "--benchmark_time_unit\n";
      _Exit(1);
    });
    if (count > 1)
      return llvm::createStringError(
          "Google Benchmark does not take the flag '" +
          std::string(arguments[1]) +
          "': expected one of its own, such as --benchmark_min_time=0.5, "
          "--benchmark_repetitions=10 or --benchmark_format=json");
    return Error::success();
  }

  Error run(const mlir::rope::BenchmarkedCall &call) override {
    Error failure = Error::success();
    auto body = [&](benchmark::State &state) {
      // One batch is everything: a plain loop of calls, with one look at the
      // clock before it and one after it.
      while (state.KeepRunningBatch(state.max_iterations)) {
        Error error = call.call(state.max_iterations);
        if (!error)
          continue;
        std::string message = llvm::toString(std::move(error));
        state.SkipWithError(message.c_str());
        failure = llvm::joinErrors(std::move(failure),
                                   llvm::createStringError(message));
        return;
      }
      state.SetItemsProcessed(state.iterations());
      state.SetBytesProcessed(state.iterations() * call.bytes);
    };
    auto *registered =
        benchmark::RegisterBenchmark(("BM_" + call.function).c_str(), body);
    registered->MeasureProcessCPUTime()->UseRealTime();
    if (call.numCalls)
      registered->Iterations(call.numCalls);
    for (auto &[name, value] : call.context)
      benchmark::AddCustomContext(name, value);
    Notes notes;
    std::ostream errors(&notes);
    benchmark::BenchmarkReporter *reporter =
        benchmark::CreateDefaultDisplayReporter();
    reporter->SetErrorStream(&errors);
    if (!benchmark::RunSpecifiedBenchmarks(reporter))
      failure = llvm::joinErrors(
          std::move(failure),
          llvm::createStringError("--benchmark_filter does not match 'BM_" +
                                  call.function + "'"));
    benchmark::ClearRegisteredBenchmarks();
    benchmark::Shutdown();
    return failure;
  }

  std::string name = "rope-run";
};
} // namespace

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::rope::registerAllDialects(registry);
  GoogleBenchmark benchmarks;
  return mlir::rope::runMain(argc, argv, registry, benchmarks);
}
