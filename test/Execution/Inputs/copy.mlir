// Functions that copy their argument, one for each element type.

func.func @f64(%x: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xf64>
  %n = tensor.dim %x, %c1 : tensor<?x?xf64>
  %init = tensor.empty(%m, %n) : tensor<?x?xf64>
  %y = linalg.copy ins(%x : tensor<?x?xf64>) outs(%init : tensor<?x?xf64>) -> tensor<?x?xf64>
  return %y : tensor<?x?xf64>
}

func.func @f32(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?xf32>
  %init = tensor.empty(%m, %n) : tensor<?x?xf32>
  %y = linalg.copy ins(%x : tensor<?x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

func.func @f16(%x: tensor<?x?xf16>) -> tensor<?x?xf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xf16>
  %n = tensor.dim %x, %c1 : tensor<?x?xf16>
  %init = tensor.empty(%m, %n) : tensor<?x?xf16>
  %y = linalg.copy ins(%x : tensor<?x?xf16>) outs(%init : tensor<?x?xf16>) -> tensor<?x?xf16>
  return %y : tensor<?x?xf16>
}

func.func @bf16(%x: tensor<?x?xbf16>) -> tensor<?x?xbf16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xbf16>
  %n = tensor.dim %x, %c1 : tensor<?x?xbf16>
  %init = tensor.empty(%m, %n) : tensor<?x?xbf16>
  %y = linalg.copy ins(%x : tensor<?x?xbf16>) outs(%init : tensor<?x?xbf16>) -> tensor<?x?xbf16>
  return %y : tensor<?x?xbf16>
}

func.func @i1(%x: tensor<?x?xi1>) -> tensor<?x?xi1> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xi1>
  %n = tensor.dim %x, %c1 : tensor<?x?xi1>
  %init = tensor.empty(%m, %n) : tensor<?x?xi1>
  %y = linalg.copy ins(%x : tensor<?x?xi1>) outs(%init : tensor<?x?xi1>) -> tensor<?x?xi1>
  return %y : tensor<?x?xi1>
}

func.func @i8(%x: tensor<?x?xi8>) -> tensor<?x?xi8> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xi8>
  %n = tensor.dim %x, %c1 : tensor<?x?xi8>
  %init = tensor.empty(%m, %n) : tensor<?x?xi8>
  %y = linalg.copy ins(%x : tensor<?x?xi8>) outs(%init : tensor<?x?xi8>) -> tensor<?x?xi8>
  return %y : tensor<?x?xi8>
}

func.func @ui8(%x: tensor<?x?xui8>) -> tensor<?x?xui8> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xui8>
  %n = tensor.dim %x, %c1 : tensor<?x?xui8>
  %init = tensor.empty(%m, %n) : tensor<?x?xui8>
  %y = linalg.copy ins(%x : tensor<?x?xui8>) outs(%init : tensor<?x?xui8>) -> tensor<?x?xui8>
  return %y : tensor<?x?xui8>
}

func.func @i16(%x: tensor<?x?xi16>) -> tensor<?x?xi16> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xi16>
  %n = tensor.dim %x, %c1 : tensor<?x?xi16>
  %init = tensor.empty(%m, %n) : tensor<?x?xi16>
  %y = linalg.copy ins(%x : tensor<?x?xi16>) outs(%init : tensor<?x?xi16>) -> tensor<?x?xi16>
  return %y : tensor<?x?xi16>
}

func.func @i32(%x: tensor<?x?xi32>) -> tensor<?x?xi32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xi32>
  %n = tensor.dim %x, %c1 : tensor<?x?xi32>
  %init = tensor.empty(%m, %n) : tensor<?x?xi32>
  %y = linalg.copy ins(%x : tensor<?x?xi32>) outs(%init : tensor<?x?xi32>) -> tensor<?x?xi32>
  return %y : tensor<?x?xi32>
}

func.func @i64(%x: tensor<?x?xi64>) -> tensor<?x?xi64> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xi64>
  %n = tensor.dim %x, %c1 : tensor<?x?xi64>
  %init = tensor.empty(%m, %n) : tensor<?x?xi64>
  %y = linalg.copy ins(%x : tensor<?x?xi64>) outs(%init : tensor<?x?xi64>) -> tensor<?x?xi64>
  return %y : tensor<?x?xi64>
}

func.func @index(%x: tensor<?x?xindex>) -> tensor<?x?xindex> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xindex>
  %n = tensor.dim %x, %c1 : tensor<?x?xindex>
  %init = tensor.empty(%m, %n) : tensor<?x?xindex>
  %y = linalg.copy ins(%x : tensor<?x?xindex>) outs(%init : tensor<?x?xindex>) -> tensor<?x?xindex>
  return %y : tensor<?x?xindex>
}

func.func @static(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %init = tensor.empty() : tensor<2x3xf32>
  %y = linalg.copy ins(%x : tensor<2x3xf32>) outs(%init : tensor<2x3xf32>) -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

func.func @rank0(%x: tensor<i64>) -> tensor<i64> {
  %init = tensor.empty() : tensor<i64>
  %y = linalg.copy ins(%x : tensor<i64>) outs(%init : tensor<i64>) -> tensor<i64>
  return %y : tensor<i64>
}
