/* The library refuses to work with another LLVM than it was built with, and
 * names both. The function below stands for that of another library.
 *
 * RUN: %c_compile %t.here && %t.here
 * RUN: %c_compile %t.other -DOTHER_VERSION -rdynamic && %t.other
 * RUN: not env ROPE_PRINT=1 %t.other 2>&1 | FileCheck %s
 */
#include "testing.h"

#ifdef OTHER_VERSION
void LLVMGetVersion(unsigned *major, unsigned *minor, unsigned *patch);
void LLVMGetVersion(unsigned *major, unsigned *minor, unsigned *patch) {
  *major = 19;
  *minor = 1;
  *patch = 7;
}
#endif

int main(void) {
  MlirStringRef own = ropeGetVersion(), llvm = ropeGetLLVMVersion();
  CHECK(own.length > 0 && own.data[own.length] == 0);
  CHECK(llvm.length > 3 && !strncmp(llvm.data, "22.", 3));
#ifdef OTHER_VERSION
  if (getenv("ROPE_PRINT")) {
    /* Without a callback errors are printed. */
    // CHECK: error: rope-mlir {{[0-9.]+}} is built for LLVM 22.{{[0-9.]+}}, but LLVM 19.1.7 is loaded
    return !ropeCheckLLVMVersion();
  }
  ropeSetErrorCallback(onError, NULL);
  EXPECT_ERROR(!ropeCheckLLVMVersion(), "but LLVM 19.1.7 is loaded");
  CHECK(strstr(lastMessage, llvm.data) && strstr(lastMessage, own.data));
#else
  CHECK(ropeCheckLLVMVersion());
#endif
  /* Back to the default. */
  ropeSetErrorCallback(NULL, NULL);
  return finish();
}
