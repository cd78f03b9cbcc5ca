// Prints which compiler it would use.

#include "rope-c/Support.h"
#include <stdio.h>

int main(void) {
  MlirStringRef own = ropeGetVersion(), llvm = ropeGetLLVMVersion();
  printf("rope %.*s, LLVM %.*s\n", (int)own.length, own.data, (int)llvm.length,
         llvm.data);
  return !ropeCheckLLVMVersion();
}
