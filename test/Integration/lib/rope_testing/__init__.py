# Helpers of the execution tests: compile, call, refer, compare.
#
# Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception


import mpmath

# Bits of all that mpmath computes.
mpmath.mp.prec = 400
