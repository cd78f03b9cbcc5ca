// x[i] = i, each by a task with a buffer of its own.
func.func @count(%x: memref<?xi64>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?xi64>
  scf.forall (%i) in (%n) {
    %scratch = memref.alloc(%n) : memref<?xi64>
    %value = arith.index_cast %i : index to i64
    memref.store %value, %scratch[%i] : memref<?xi64>
    %again = memref.load %scratch[%i] : memref<?xi64>
    memref.store %again, %x[%i] : memref<?xi64>
  }
  return
}
