// Drivers for Vulkan compute with floats as they are told to: Mesa's would
// otherwise simplify how functions round, and be wrong by half of the result.
// RUN: %{vulkan} rope-run %s --target=vulkan --function=exp --input='8xf32=-80 -20.7 -3.3 -0.4 0.4 3.3 20.7 80' | FileCheck %s --check-prefix=EXP
// RUN: %{vulkan} rope-run %s --target=vulkan --function=tanh --input='6xf32=-20 -2.7 -0.1 0.1 2.7 20' | FileCheck %s --check-prefix=TANH
// REQUIRES: lavapipe

// EXP: [1.8048{{[0-9]*}}e-35, 1.0235{{[0-9]*}}e-09, {{ *}}0.036883{{[0-9]*}}, {{ *}}0.67032{{[0-9]*}}, {{ *}}1.49182{{[0-9]*}}, {{ *}}27.1126{{[0-9]*}}, {{ *}}97700{{[0-9]*}}, 5.5406{{[0-9]*}}e+34]
func.func @exp(%x: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.exp ins(%x : tensor<?xf32>) outs(%x : tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// TANH: [{{ *}}-0.99999{{[0-9]*}}, -0.99100{{[0-9]*}}, -0.09966{{[0-9]*}}, {{ *}}0.09966{{[0-9]*}}, {{ *}}0.99100{{[0-9]*}}, {{ *}}0.99999{{[0-9]*}}]
func.func @tanh(%x: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.tanh ins(%x : tensor<?xf32>) outs(%x : tensor<?xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
