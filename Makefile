# The front door: `make help` lists the targets. Everything is built in build/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help dependencies build test demo bench bench-quick bench-peers bench-report bench-gpu bench-calls bench-raise bench-torch torch-tests examples reference docs check-docs format check-format lint clean

sources := git ls-files -co --exclude-standard -- '*.cpp' '*.h' '*.c'
# What the tests compile for the host may not depend on who runs them.
unexport CFLAGS CXXFLAGS LDFLAGS PYTHONPATH

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dependencies:
	@scripts/install-dependencies

build: dependencies ## Build the tools and the library into build/bin and build/lib
	@test -e build/build.ninja || cmake --preset release --log-level=WARNING
	@ninja -C build

demo: build ## Import real configurations, compile them, rotate arrays, print error and speed
	@build/venv/bin/python scripts/demo.py

examples: build ## Export attention from PyTorch, ONNX and JAX, optimize and run it beside them
	@for name in pytorch onnx jax; do scripts/run-example $$name || exit 1; done

torch-tests:
	@scripts/install-torch-tests

test: build torch-tests ## Run every test
	@ninja -C build check-rope

bench_python := PATH=$(CURDIR)/build/bin:$$PATH PYTHONPATH=test/Integration/lib build/benchmarks/venv/bin/python

bench-peers:
	@scripts/install-benchmark-peers

bench: build bench-peers ## Measure attention, projections and rotations beside peers, and fusions, into build/benchmarks
	@$(bench_python) benchmarks/cpu.py --json=build/benchmarks/cpu.json
	@$(bench_python) benchmarks/plot.py build/benchmarks/cpu.json build/benchmarks
	@$(bench_python) benchmarks/fusion.py --json=build/benchmarks/fusion.json

bench-quick: build bench-peers ## A few of these, in less than three minutes
	@$(bench_python) benchmarks/cpu.py --quick --json=build/benchmarks/quick.json

bench-report: ## Take the results of `make bench` over into README.md and docs
	@mkdir -p docs/benchmarks && cp build/benchmarks/cpu.json docs/benchmarks/cpu.json
	@build/benchmarks/venv/bin/python benchmarks/plot.py docs/benchmarks/cpu.json docs/figures --svg
	@python3 benchmarks/report.py

# A Python with PyTorch, NumPy, ml_dtypes and mpmath.
GPU_PYTHON ?= python3
GPU_CHIP ?= sm_90
bench-gpu: build ## Measure kernels on an NVIDIA GPU, with the PyTorch of GPU_PYTHON, into build/benchmarks
	@mkdir -p build/benchmarks
	@export PATH=$(CURDIR)/build/bin:$$PATH PYTHONPATH=test/Integration/lib; \
	  build/venv/bin/python benchmarks/gpu.py --build=build/benchmarks/gpu --chip=$(GPU_CHIP) && \
	  $(GPU_PYTHON) benchmarks/gpu.py --libraries=build/benchmarks/gpu --json=build/benchmarks/gpu.json --seconds=600

bench-calls: build bench-peers ## Measure what a call of a compiled function costs from Python
	@ninja -C build rope-python
	@PYTHONPATH=build/test/python/site-packages build/benchmarks/venv/bin/python benchmarks/python_calls.py

bench-raise: build ## Measure how long the rotations of exported models of 1 to 80 layers take to find
	@python3 benchmarks/raise.py build/bin/rope-opt

bench-torch: build torch-tests ## Measure a model of transformers as it is and patched, into build/benchmarks
	@ninja -C build rope-python
	@mkdir -p build/benchmarks
	@PYTHONPATH=build/test/python/site-packages build/torch-venv/bin/python benchmarks/torch_patch.py \
	  --json=build/benchmarks/torch.json

reference: build ## Generate docs/reference from the definitions of operations and passes
	@ninja -C build rope-python
	@scripts/generate-docs docs/reference

docs: reference ## Build the documentation's site into build/docs
	@scripts/build-site

check-docs: build ## Fail where docs/reference or a table of results is out of date
	@python3 benchmarks/report.py --check
	@ninja -C build rope-python
	@scripts/generate-docs build/reference && diff -r build/reference docs/reference

format: dependencies ## Format the sources
	@$(sources) | xargs clang-format-22 -i

check-format: dependencies ## Fail where a source is not formatted
	@$(sources) | xargs clang-format-22 --dry-run -Werror

lint: build ## Run clang-tidy on the sources
	@git ls-files -- 'lib/*.cpp' 'tools/*.cpp' | xargs -P 2 -n 4 clang-tidy-22 -p build --quiet --warnings-as-errors='*'
	@ninja -C build rope-python
	@include=$$(build/venv/bin/python -c "import sysconfig; print(sysconfig.get_path('include'))"); \
	  git ls-files -- 'python/src/*.cpp' | xargs -P 2 -n 4 clang-tidy-22 -p build/test/python/wheel --quiet \
	    --warnings-as-errors='*' --extra-arg=-isystem$$include

clean: ## Remove everything that was built
	@rm -rf build build-debug build-asan build-tsan
