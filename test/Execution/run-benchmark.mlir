// Calls are timed by Google Benchmark, with the flags that its users know.

// RUN: rope-run %s --input=5xf32=3 --benchmark --benchmark_min_time=0.001 | FileCheck %s --check-prefix=TABLE --implicit-check-not=result
// TABLE: Benchmark Time CPU Iterations UserCounters...
// TABLE: BM_f/process_time/real_time {{.*}} ns {{.*}} ns {{[0-9]+}} bytes_per_second={{.*}} items_per_second=

// A number of calls, and results where they are asked for. One dash will do.
// RUN: rope-run %s --input=5xf32=3 --output=- --benchmark=10 -benchmark_repetitions=2 | FileCheck %s --check-prefix=CALLS
// CALLS: result 0: 5xf32
// CALLS-NEXT: [6, 6, 6, 6, 6]
// CALLS-COUNT-2: BM_f/iterations:10/process_time/real_time {{.*}} ns 10 bytes_per_second=
// CALLS: BM_f/iterations:10/process_time/real_time_mean

// What is read and written counts: 20 bytes each.
// RUN: rope-run %s --input=5xf32=3 --threads=2 --benchmark=10 --benchmark_format=json --benchmark_out=%t.csv --benchmark_out_format=csv > %t.json
// RUN: %python -c "import json; d = json.load(open('%t.json')); b = d['benchmarks'][0]; print(d['context']['executable'], d['context']['target'], d['context']['threads'], round(b['bytes_per_second'] * b['real_time'] * 1e-9, 3), round(b['items_per_second'] * b['real_time'] * 1e-9, 3))" | FileCheck %s --check-prefix=JSON
// JSON: rope-run cpu 2 40.0 1.0
// RUN: FileCheck %s --check-prefix=CSV < %t.csv
// CSV: name,iterations,real_time,cpu_time,time_unit,bytes_per_second,items_per_second
// CSV-NEXT: "BM_f/iterations:10/process_time/real_time",10,{{.*}},ns,

// The package's build is no concern of whoever reads the table.
// RUN: rope-run %s --input=5xf32=3 --benchmark=1 2>&1 | FileCheck %s --check-prefix=NOTES --implicit-check-not=DEBUG
// NOTES: Run on (
// NOTES: target: cpu
// NOTES: threads:
// NOTES: BM_f/

// RUN: not rope-run %s --input=5xf32=3 --benchmark=0 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: unknown number of calls '0': expected 1 to 1000000000
// RUN: not rope-run %s --input=5xf32=3 --benchmark=1000000001 2>&1 | FileCheck %s --check-prefix=MANY
// MANY: error: unknown number of calls '1000000001': expected 1 to 1000000000
// RUN: not rope-run %s --input=5xf32=3 --benchmark_min_time=1 2>&1 | FileCheck %s --check-prefix=ALONE
// ALONE: error: the flag '--benchmark_min_time=1' is for benchmarks: expected --benchmark with it
// RUN: not rope-run %s --input=5xf32=3 --benchmark --benchmark_speed=1 2>&1 | FileCheck %s --check-prefix=FLAG
// FLAG: error: Google Benchmark does not take the flag '--benchmark_speed=1': expected one of its own, such as
// RUN: not rope-run %s --input=5xf32=3 --benchmark --benchmark_format=xml 2>&1 | FileCheck %s --check-prefix=FORMAT
// FORMAT: error: Google Benchmark does not take the value of a flag: expected console, json or csv of --benchmark_format
// RUN: not rope-run %s --input=5xf32=3 --benchmark=1 --benchmark_filter=g 2>&1 | FileCheck %s --check-prefix=FILTER
// FILTER: error: --benchmark_filter does not match 'BM_f'
// RUN: not rope-run %s --input=5xf64=3 --benchmark=1 2>&1 | FileCheck %s --check-prefix=ARGUMENT
// ARGUMENT: error: argument 0: expected tensor<?xf32>, but '5xf64=..' holds 5xf64
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = arith.addf %x, %x : tensor<?xf32>
  return %y : tensor<?xf32>
}
