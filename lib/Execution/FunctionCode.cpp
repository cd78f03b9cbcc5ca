//===- FunctionCode.cpp - machine code of one function --------------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rope/Execution/FunctionCode.h"
#include "Rope/Runtime/GPURuntime.h"
#include "Rope/Runtime/Runtime.h"
#include "Rope/Target/OutputFile.h"
#include "Rope/Target/Signature.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm-c/Core.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/Object/BuildID.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/CachePruning.h"
#include "llvm/Support/DynamicLibrary.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include <dlfcn.h>

using namespace mlir;
using namespace mlir::rope;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

std::string rope::getEntryName(StringRef function) {
  return ("rope_call_" + function).str();
}

//===----------------------------------------------------------------------===//
// Functions of modules
//===----------------------------------------------------------------------===//

Expected<std::string> rope::findFunction(ModuleOp module, StringRef name,
                                         const Twine &source,
                                         StringRef remedy) {
  std::string list = listFunctions(module);
  std::string holds = list.empty() ? "; it holds no public function"
                                   : "; its functions are:" + list;
  if (name.empty()) {
    SmallVector<std::string> names;
    for (auto function : module.getOps<FunctionOpInterface>())
      if (function.isPublic() && !function.isExternal() &&
          !function.getName().starts_with("_mlir_ciface_"))
        names.push_back(function.getName().str());
    if (names.size() == 1)
      return names.front();
    return createStringError("no function was named for " + source + ": give " +
                             remedy + holds);
  }
  auto function =
      dyn_cast_or_null<FunctionOpInterface>(module.lookupSymbol(name));
  if (!function)
    return createStringError("there is no function '" + name + "' in " +
                             source + holds);
  if (function.isExternal() || !function.isPublic())
    return createStringError(
        "function '" + name + "' is " +
        (function.isExternal() ? "only declared" : "private") + " in " +
        source + holds);
  return name.str();
}

void rope::eraseOtherFunctions(ModuleOp module, StringRef name) {
  SymbolTable symbols(module);
  llvm::SetVector<Operation *> kept;
  for (Operation &op : *module.getBody())
    if (!isa<FunctionOpInterface>(op))
      kept.insert(&op);
  for (const std::string &root : {name.str(), "_mlir_ciface_" + name.str()})
    if (Operation *op = symbols.lookup(root))
      kept.insert(op);
  for (size_t i = 0; i < kept.size(); ++i) {
    auto uses = SymbolTable::getSymbolUses(kept[i]);
    if (!uses)
      return;
    for (SymbolTable::SymbolUse use : *uses)
      if (Operation *op = symbols.lookup(use.getSymbolRef().getRootReference()))
        kept.insert(op);
  }
  for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
    if (!kept.contains(&op))
      op.erase();
}

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

/// Adds the function that takes the values of the C interface of `symbol` at
/// addresses.
static void addEntry(llvm::Module &module, StringRef symbol, StringRef name) {
  llvm::Function *callee = module.getFunction(symbol);
  llvm::LLVMContext &context = module.getContext();
  llvm::IRBuilder<> builder(context);
  auto *entry = llvm::Function::Create(
      llvm::FunctionType::get(builder.getVoidTy(), {builder.getPtrTy()},
                              /*isVarArg=*/false),
      llvm::Function::ExternalLinkage, name, module);
  // What it calls is inlined only into code for the same processor.
  for (StringRef attribute : {"target-cpu", "target-features"})
    if (callee->hasFnAttribute(attribute))
      entry->addFnAttr(callee->getFnAttribute(attribute));
  builder.SetInsertPoint(llvm::BasicBlock::Create(context, "", entry));
  auto getAddress = [&](unsigned index) {
    llvm::Value *slot =
        builder.CreateConstGEP1_64(builder.getPtrTy(), entry->getArg(0), index);
    return builder.CreateLoad(builder.getPtrTy(), slot);
  };
  SmallVector<llvm::Value *> values;
  for (llvm::Argument &argument : callee->args())
    values.push_back(builder.CreateLoad(argument.getType(),
                                        getAddress(argument.getArgNo())));
  llvm::Value *result = builder.CreateCall(callee, values);
  if (!result->getType()->isVoidTy())
    builder.CreateStore(result, getAddress(values.size()));
  builder.CreateRetVoid();
}

ArrayRef<std::pair<StringRef, void *>> rope::getRuntimeFunctions() {
  static const std::pair<StringRef, void *> functions[] = {
      {runtimeSymbol, reinterpret_cast<void *>(&rope_parallel_for)},
      {"rope_gpu_launch", reinterpret_cast<void *>(&rope_gpu_launch)},
      {"rope_gpu_constant", reinterpret_cast<void *>(&rope_gpu_constant)},
      {"rope_gpu_alloc", reinterpret_cast<void *>(&rope_gpu_alloc)},
      {"rope_gpu_free", reinterpret_cast<void *>(&rope_gpu_free)},
      {"rope_gpu_check_address",
       reinterpret_cast<void *>(&rope_gpu_check_address)},
      {"rope_gpu_upload", reinterpret_cast<void *>(&rope_gpu_upload)},
      {"rope_gpu_fail", reinterpret_cast<void *>(&rope_gpu_fail)},
  };
  return functions;
}

/// The first function that is called and that nothing defines.
static std::string findMissing(const llvm::Module &module) {
  llvm::sys::DynamicLibrary::LoadLibraryPermanently(nullptr);
  for (const llvm::Function &callee : module)
    if (callee.isDeclaration() && !callee.isIntrinsic() &&
        !callee.use_empty() &&
        llvm::none_of(getRuntimeFunctions(),
                      [&](const auto &function) {
                        return function.first == callee.getName();
                      }) &&
        !llvm::sys::DynamicLibrary::SearchForAddressOfSymbol(
            callee.getName().str()))
      return callee.getName().str();
  return "";
}

/// The function's declaration with its signature, and its C interface, in a
/// module of their own.
static std::string declare(ModuleOp module, const Signature &signature) {
  OpBuilder builder(module.getContext());
  OwningOpRef<ModuleOp> declarations =
      ModuleOp::create(builder, builder.getUnknownLoc());
  if (Attribute api = module->getAttr(gpuApiAttrName))
    (*declarations)->setAttr(gpuApiAttrName, api);
  builder.setInsertionPointToStart(declarations->getBody());
  auto clone = [&](StringRef name) {
    Operation *function = module.lookupSymbol(name);
    return cast<LLVM::LLVMFuncOp>(
        builder.insert(function->cloneWithoutRegions()));
  };
  clone(signature.name).setLinkage(LLVM::Linkage::External);
  // Signatures are not read without a definition.
  builder.setInsertionPointToStart(
      clone(signature.getSymbol()).addEntryBlock(builder));
  LLVM::UnreachableOp::create(builder, builder.getUnknownLoc());
  std::string text;
  llvm::raw_string_ostream os(text);
  declarations->print(os);
  return text;
}

Expected<FunctionCode> rope::compileFunction(ModuleOp module,
                                             StringRef function,
                                             const TargetInfo &target,
                                             unsigned optLevel) {
  Expected<Signature> signature = rope::getSignature(module, function);
  if (!signature)
    return signature.takeError();
  if (Error error = checkRunsOnHost(target))
    return std::move(error);

  FunctionCode code;
  code.name = function.str();
  std::string entry = getEntryName(function);
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(target, optLevel);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule =
      translateModule(module, context, *machine);
  if (!llvmModule)
    return createStringError("function '" + function +
                             "' cannot be translated to LLVM IR");
  addEntry(*llvmModule, signature->getSymbol(), entry);
  llvm::internalizeModule(*llvmModule, [&](const llvm::GlobalValue &value) {
    return value.getName() == entry;
  });
  optimizeModule(*llvmModule, *machine, optLevel);
  std::string missing = findMissing(*llvmModule);
  if (!missing.empty())
    return createStringError("function '" + function + "' uses '" + missing +
                             "', which neither the module nor a loaded "
                             "library defines");
  SmallVector<char, 0> object;
  llvm::raw_svector_ostream os(object);
  if (Error error = emitModule(*llvmModule, *machine,
                               llvm::CodeGenFileType::ObjectFile, os))
    return std::move(error);
  code.object.assign(object.begin(), object.end());
  code.declaration = declare(module, *signature);
  return std::move(code);
}

//===----------------------------------------------------------------------===//
// The cache
//===----------------------------------------------------------------------===//

/// What tells one build of the library that holds `address` from others.
static std::string identifyLibrary(const void *address) {
  Dl_info info;
  if (!dladdr(address, &info) || !info.dli_fname)
    return "";
  if (auto file = llvm::object::ObjectFile::createObjectFile(info.dli_fname)) {
    llvm::object::BuildIDRef id = llvm::object::getBuildID(file->getBinary());
    if (!id.empty())
      return llvm::toHex(id);
  } else {
    llvm::consumeError(file.takeError());
  }
  llvm::sys::fs::file_status status;
  if (llvm::sys::fs::status(info.dli_fname, status))
    return "";
  return std::to_string(status.getSize()) + "," +
         std::to_string(
             status.getLastModificationTime().time_since_epoch().count());
}

static StringRef identifyCompiler() {
  static const std::string compiler = [] {
    std::string text;
    for (const void *address :
         {reinterpret_cast<const void *>(&identifyCompiler),
          reinterpret_cast<const void *>(&translateModuleToLLVMIR),
          reinterpret_cast<const void *>(&LLVMGetVersion)})
      text += identifyLibrary(address) + "\n";
    return text;
  }();
  return compiler;
}

/// The name of an entry: what is compiled, how, for what, and by what.
static std::string getKey(ModuleOp module, StringRef function,
                          const TargetInfo &target,
                          const FunctionCodeOptions &options) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << identifyCompiler() << function << "\n"
     << options.optLevel << options.optimize << options.singleThreaded << "\n"
     << target.triple << "\n"
     << target.cpu << "\n"
     << target.features << "\n";
  module->print(os);
  return llvm::toHex(llvm::SHA256::hash(llvm::arrayRefFromStringRef(text)),
                     /*LowerCase=*/true);
}

/// Folders that are pruned hold files of this name.
static SmallString<128> getEntryPath(StringRef directory, StringRef key) {
  SmallString<128> path(directory);
  llvm::sys::path::append(path, "llvmcache-" + key);
  return path;
}

static std::string checksum(StringRef key, StringRef content) {
  llvm::SHA256 hash;
  hash.update(key);
  hash.update(content);
  return llvm::toStringRef(hash.final()).str();
}

constexpr size_t checksumBytes = 32;

/// Takes a string with its length in front off the front of `text`.
static bool consumeString(StringRef &text, std::string &string) {
  uint64_t size;
  if (text.size() < sizeof(size))
    return false;
  memcpy(&size, text.data(), sizeof(size));
  text = text.drop_front(sizeof(size));
  if (text.size() < size)
    return false;
  string = text.take_front(size).str();
  text = text.drop_front(size);
  return true;
}

/// None where there is no such entry or where it is damaged.
static std::optional<FunctionCode> readEntry(StringRef directory,
                                             StringRef key) {
  auto file = llvm::MemoryBuffer::getFile(
      getEntryPath(directory, key), /*IsText=*/false,
      /*RequiresNullTerminator=*/false, /*IsVolatile=*/true);
  if (!file)
    return std::nullopt;
  StringRef text = (*file)->getBuffer();
  StringRef sum = text.take_front(checksumBytes);
  text = text.drop_front(sum.size());
  FunctionCode code;
  if (sum != checksum(key, text) || !consumeString(text, code.name) ||
      !consumeString(text, code.declaration) ||
      !consumeString(text, code.object) || !text.empty())
    return std::nullopt;
  return code;
}

/// Where this fails, the code is compiled again another time.
static void writeEntry(StringRef directory, StringRef key,
                       const FunctionCode &code) {
  std::string content;
  for (const std::string &string : {code.name, code.declaration, code.object}) {
    uint64_t size = string.size();
    content.append(reinterpret_cast<const char *>(&size), sizeof(size));
    content += string;
  }
  // Code that others may write to is code that others may run.
  if (llvm::sys::fs::create_directories(directory, /*IgnoreExisting=*/true,
                                        llvm::sys::fs::owner_all))
    return;
  Expected<OutputFile> file = OutputFile::create(getEntryPath(directory, key));
  if (!file)
    return llvm::consumeError(file.takeError());
  file->os() << checksum(key, content) << content;
  if (Error error = file->commit())
    return llvm::consumeError(std::move(error));
  llvm::pruneCache(directory, llvm::CachePruningPolicy());
}

Expected<CachedFunctionCode>
rope::compileFunction(ModuleOp module, StringRef function,
                      const TargetInfo &target,
                      const FunctionCodeOptions &options) {
  std::string key;
  if (!options.cacheDirectory.empty()) {
    key = getKey(module, function, target, options);
    if (std::optional<FunctionCode> code =
            readEntry(options.cacheDirectory, key))
      return CachedFunctionCode{std::move(*code), /*isFromCache=*/true};
  }
  OwningOpRef<ModuleOp> lowered = module.clone();
  eraseOtherFunctions(*lowered, function);
  if (Error error = checkIsFor(*lowered, std::nullopt, "the module"))
    return std::move(error);
  if (options.optimize && failed(foldRotations(*lowered)))
    return createStringError("function '" + function + "' cannot be optimized");
  if (failed(lowerToLLVM(*lowered, target, options.singleThreaded)))
    return createStringError("function '" + function +
                             "' cannot be lowered to the llvm dialect");
  Expected<FunctionCode> code =
      compileFunction(*lowered, function, target, options.optLevel);
  if (!code)
    return code.takeError();
  if (!options.cacheDirectory.empty())
    writeEntry(options.cacheDirectory, key, *code);
  return CachedFunctionCode{std::move(*code)};
}
