gpu.module @kernels [#nvvm.target<chip = "sm_80">] {
  llvm.func @nothing() attributes {gpu.kernel, nvvm.kernel} {
    llvm.return
  }
}
