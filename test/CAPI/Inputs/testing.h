/*===- testing.h - what the tests of the C interface share -------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef TESTING_H
#define TESTING_H

#include "mlir-c/BuiltinAttributes.h"
#include "mlir-c/BuiltinTypes.h"
#include "mlir-c/Diagnostics.h"
#include "mlir-c/IR.h"
#include "rope-c/Dialect.h"
#include "rope-c/Support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                              \
    }                                                                          \
  } while (0)

/* The last error and diagnostic, and how many there were since `forget`. */
static char lastMessage[4096];
static RopeErrorKind lastKind;
static int numErrors, numDiagnostics;

static inline void keep(MlirStringRef text, void *userData) {
  (void)userData;
  size_t used = strlen(lastMessage), room = sizeof(lastMessage) - 1 - used;
  strncat(lastMessage, text.data, text.length < room ? text.length : room);
}

static inline void onError(MlirStringRef message, RopeErrorKind kind,
                           void *userData) {
  ++numErrors;
  lastKind = kind;
  lastMessage[0] = 0;
  keep(message, userData);
}

static inline MlirLogicalResult onDiagnostic(MlirDiagnostic diagnostic,
                                             void *userData) {
  (void)userData;
  ++numDiagnostics;
  lastMessage[0] = 0;
  mlirDiagnosticPrint(diagnostic, keep, NULL);
  return mlirLogicalResultSuccess();
}

static inline void forget(void) {
  numErrors = numDiagnostics = 0;
  lastMessage[0] = 0;
}

static inline void expectMessage(const char *file, int line, const char *call,
                                 int isRefused, int errors, int diagnostics,
                                 const char *text) {
  if (isRefused && numErrors == errors && numDiagnostics == diagnostics &&
      strstr(lastMessage, text))
    return;
  fprintf(stderr,
          "%s:%d: %s: refused: %d, %d errors (expected %d), %d diagnostics "
          "(expected %d), the last one:\n  %s\nexpected:\n  %s\n",
          file, line, call, isRefused, numErrors, errors, numDiagnostics,
          diagnostics, lastMessage, text);
  ++failures;
}

/* A call, written as a condition that holds where it is refused, reports one
 * error that has `text` in it. */
#define EXPECT_ERROR(refused, text)                                            \
  do {                                                                         \
    forget();                                                                  \
    int isRefused = (refused);                                                 \
    expectMessage(__FILE__, __LINE__, #refused, isRefused, 1, 0, text);        \
  } while (0)

/* The same for a diagnostic of the context. */
#define EXPECT_DIAGNOSTIC(refused, text)                                       \
  do {                                                                         \
    forget();                                                                  \
    int isRefused = (refused);                                                 \
    expectMessage(__FILE__, __LINE__, #refused, isRefused, 0, 1, text);        \
  } while (0)

static inline MlirStringRef str(const char *text) {
  return mlirStringRefCreateFromCString(text);
}

/* A context that knows every dialect, and reports to `onDiagnostic`. */
static inline MlirContext createContext(void) {
  MlirDialectRegistry registry = mlirDialectRegistryCreate();
  ropeRegisterAllDialects(registry);
  MlirContext context =
      mlirContextCreateWithRegistry(registry, /*threadingEnabled=*/false);
  mlirDialectRegistryDestroy(registry);
  ropeSetErrorCallback(onError, NULL);
  mlirContextAttachDiagnosticHandler(context, onDiagnostic, NULL, NULL);
  return context;
}

static inline MlirType tensor(MlirType element, intptr_t rank,
                              const int64_t *sizes) {
  return mlirRankedTensorTypeGet(rank, sizes, element, mlirAttributeGetNull());
}

static inline void toStdout(MlirStringRef text, void *userData) {
  (void)userData;
  fwrite(text.data, 1, text.length, stdout);
}

/* What main returns. */
static inline int finish(void) {
  if (failures)
    fprintf(stderr, "%d failures\n", failures);
  else
    printf("all checks hold\n");
  return failures != 0;
}

#endif /* TESTING_H */
