//===- BytecodeTest.cpp - versions of the dialect in files ----------------===//
//
// Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One release writes and another reads, which a single one cannot show; and
// damaged files are refused.
//
//===----------------------------------------------------------------------===//

#include "IR/Bytecode.h"
#include "Rope/IR/RopeDialect.h"
#include "Rope/IR/RopeOps.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"
#include <random>

using namespace mlir;
using namespace mlir::rope;

namespace {
/// A context in which the library is of some release.
struct Library {
  Library(Release::Numbers release, SmallVector<Upgrade> upgrades = {}) {
    auto *dialect = context.getOrLoadDialect<RopeDialect>();
    auto *interface = static_cast<RopeBytecodeInterface *>(
        dialect->getRegisteredInterface<BytecodeDialectInterface>());
    interface->version = release;
    interface->upgrades = std::move(upgrades);
  }

  std::string write(StringRef text) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    std::string file;
    llvm::raw_string_ostream stream(file);
    EXPECT_TRUE(module && succeeded(writeBytecodeToFile(*module, stream)));
    return file;
  }

  /// The text of the operations in a file, or what is wrong with it.
  std::string read(StringRef file) {
    std::string result;
    llvm::raw_string_ostream stream(result);
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      stream << diagnostic << "\n";
      return success();
    });
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(file, &context);
    if (module)
      for (Operation &op : *module->getBody())
        stream << op << "\n";
    else
      EXPECT_FALSE(result.empty()) << "refused without a reason";
    return result;
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
};
} // namespace

static const StringRef kText = R"mlir(
%f = rope.frequencies base(1.0e+04) : tensor<2xf64>
%g = rope.scale_frequencies %f by(#rope.linear<factor = 8.0>) : tensor<2xf64>
%p, %c = builtin.unrealized_conversion_cast to tensor<3xi64>, tensor<3x2xf32>
%cos, %sin = rope.table ins(%p, %g : tensor<3xi64>, tensor<2xf64>)
                        outs(%c, %c : tensor<3x2xf32>, tensor<3x2xf32>)
)mlir";

static bool contains(StringRef text, StringRef part) {
  return text.contains(part);
}

static std::string keptFile() {
  auto buffer = llvm::MemoryBuffer::getFile(ROPE_TEST_COMPAT "/0.1.0.mlirbc");
  return buffer ? (*buffer)->getBuffer().str() : "";
}

//===----------------------------------------------------------------------===//
// Releases
//===----------------------------------------------------------------------===//

TEST(Bytecode, NewerIsRefused) {
  Library older({0, 1, 0}), newer({1, 2, 3});
  std::string file = newer.write(kText);
  EXPECT_EQ(older.read(file),
            "this file holds version 1.2.3 of the rope dialect, but this "
            "rope-mlir reads versions up to 0.1.0: read it with rope-mlir "
            "1.2.3 or a later release\n");
  EXPECT_PRED2(contains, newer.read(file), "rope.table");
  EXPECT_EQ(Library({1, 2, 4}).read(file), newer.read(file));
  EXPECT_PRED2(contains, Library({1, 1, 9}).read(file), "version 1.2.3");
}

TEST(Bytecode, OlderIsUpgraded) {
  // 0.2.0 renames what 0.1.0 called factor and counts magnitudes in halves;
  // 0.3.0 gives tables a mark.
  auto rename = [](StringRef name, NamedAttrList &parts) {
    Builder builder(parts.getAttrs().front().getName().getContext());
    if (name == "rope.linear") {
      parts.set("factor", parts.erase("stretch"));
    } else if (name == "rope.table") {
      double magnitude =
          cast<FloatAttr>(parts.get("magnitude")).getValueAsDouble();
      parts.set("magnitude", builder.getF64FloatAttr(2 * magnitude));
    }
  };
  auto callItStretch = [](StringRef name, NamedAttrList &parts) {
    if (name == "rope.linear")
      parts.set("stretch", parts.erase("factor"));
  };
  auto mark = [](Operation *root) {
    root->walk([](TableOp table) {
      table->setAttr("test.magnitude", table.getMagnitudeAttr());
    });
  };
  SmallVector<Upgrade> upgrades = {{{0, 1, 5}, callItStretch, nullptr},
                                   {{0, 2, 0}, rename, nullptr},
                                   {{0, 3, 0}, nullptr, mark}};
  Library first({0, 1, 0}), second({0, 2, 0}), third({0, 3, 0}, upgrades);

  std::string upgraded = third.read(first.write(kText));
  EXPECT_PRED2(contains, upgraded, "factor = 8.0");
  EXPECT_PRED2(contains, upgraded, "magnitude = 2.0");
  EXPECT_PRED2(contains, upgraded, "test.magnitude = 2.0");

  // Each step is for what releases before it wrote.
  upgraded = third.read(second.write(kText));
  EXPECT_PRED2(contains, upgraded, "factor = 8.0");
  EXPECT_PRED2(contains, upgraded, "test.magnitude = 1.0");
  EXPECT_FALSE(contains(third.read(third.write(kText)), "test.magnitude"));
}

TEST(Bytecode, PartsThatAreAddedHaveDefaults) {
  auto forget = [](StringRef name, NamedAttrList &parts) {
    if (name == "rope.table")
      parts.erase("precision");
  };
  Library before({0, 1, 0}), after({0, 2, 0}, {{{0, 2, 0}, forget, nullptr}});
  std::string file = before.write(kText);
  EXPECT_EQ(after.read(file), before.read(file));
}

TEST(Bytecode, PartsThatAreUnknownOrMissingAreRefused) {
  std::string file = Library({0, 1, 0}).write(kText);
  auto readWith = [&](StringRef changed, StringRef part, StringRef value) {
    auto change = [=](StringRef name, NamedAttrList &parts) {
      MLIRContext *context = parts.getAttrs().front().getName().getContext();
      if (name == changed && value.empty())
        parts.erase(part);
      else if (name == changed)
        parts.set(part, parseAttribute(value, context));
    };
    return Library({0, 2, 0}, {{{0, 2, 0}, change, nullptr}}).read(file);
  };
  EXPECT_PRED2(contains, readWith("rope.table", "speed", "1"),
               "'rope.table' has no part 'speed'");
  EXPECT_PRED2(contains, readWith("rope.linear", "speed", "1"),
               "'rope.linear' has no part 'speed'");
  EXPECT_PRED2(contains, readWith("rope.linear", "factor", ""),
               "'rope.linear' cannot be made of {}");
  EXPECT_PRED2(contains, readWith("rope.linear", "factor", "\"x\""),
               "'rope.linear' cannot be made of {factor = \"x\"}");
  EXPECT_PRED2(contains, readWith("rope.precision", "value", "\"x\""),
               "'rope.precision' cannot be made of {value = \"x\"}");
  EXPECT_PRED2(contains, readWith("rope.linear", "factor", "-1.0"),
               "(scaling_c1)");
  EXPECT_PRED2(contains, readWith("rope.table", "magnitude", "1"),
               "'rope.table' Invalid attribute `magnitude`");
  EXPECT_PRED2(contains, readWith("rope.scale_frequencies", "scaling", "1"),
               "scaling");
}

//===----------------------------------------------------------------------===//
// Damage
//===----------------------------------------------------------------------===//

TEST(Bytecode, TruncatedIsRefused) {
  std::string file = keptFile();
  ASSERT_FALSE(file.empty());
  Library library({0, 1, 0});
  for (size_t size = 4; size < file.size(); size += 1 + size % 7)
    EXPECT_FALSE(contains(library.read(file.substr(0, size)), "rope.table"));
}

TEST(Bytecode, DamagedPartsAreRefusedOrValid) {
  std::string file = keptFile();
  std::mt19937 random(1);
  // What stands in the file, and what does not.
  SmallVector<Attribute> values;
  SmallVector<StringAttr> names;
  auto damage = [&](NamedAttrList &parts) {
    Attribute value = values[random() % values.size()];
    StringAttr other = names[random() % names.size()];
    StringAttr own =
        parts.empty()
            ? other
            : parts.getAttrs()[random() % parts.getAttrs().size()].getName();
    switch (random() % 4) {
    case 0:
      parts.erase(own);
      break;
    case 1:
      parts.set(other, value);
      break;
    default:
      parts.set(own, value);
    }
  };
  unsigned damages = 0;
  auto change = [&](StringRef, NamedAttrList &parts) {
    if (random() % 50 == 0 && ++damages)
      damage(parts);
  };
  Library library({0, 2, 0}, {{{0, 2, 0}, change, nullptr}});
  MLIRContext *context = &library.context;
  for (StringRef text :
       {"unit",
        "1",
        "-1",
        "9223372036854775807",
        "1 : i32",
        "true",
        "1.0",
        "0x7FF8000000000000 : f64",
        "1.0 : f32",
        "{}",
        "[]",
        "\"half\"",
        "\"f32\"",
        "array<i64>",
        "array<i64: -1, 7>",
        "array<f64: 1.0>",
        "array<i32: 1, -1>",
        "array<i32: 2147483647, 2147483647>",
        "f32",
        "affine_map<(d0) -> (d0)>",
        "dense<1.0> : tensor<4xf64>",
        "#rope.linear<factor = 2.0>",
        "#rope.pairing<half>",
        "#rope.rotation<pairing = half, position_dims = [-3, 9]>"})
    values.push_back(parseAttribute(text, context));
  for (StringRef name : {"pairing", "offset", "axes", "magnitude", "scale",
                         "indexing_maps", "operandSegmentSizes", "unknown"})
    names.push_back(StringAttr::get(context, name));

  unsigned refused = 0, accepted = 0;
  for (int i = 0; i < 1000; ++i)
    // What is read has been verified, and is printed.
    ++(contains(library.read(file), "rope.online_attention") ? accepted
                                                             : refused);
  EXPECT_GT(damages, 500u);
  EXPECT_GT(refused, 300u);
  EXPECT_GT(accepted, 50u);
}
