# Everything runs in .venv, which is made on first use and remade when the requirements change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMG ?=
ONLY ?=
SECONDS ?= 10
SEED ?= 0
JOBS ?= 2

# Files of tests side by side, of one thread each: threads that wait for each other take longer than one where there are too few cores.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-browser test-cluster test-iiif check targets bench bench-signals bench-rd bench-query bench-gpu fuzz format clean

help:  ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.ready  ## encode a photograph (IMG=path, or the astronaut), decode it, draw a contact sheet
	$(BIN)/python -m tools.demo $(if $(IMG),-- "$$IMG")

test: $(VENV)/.ready  ## all fast tests, JOBS=2 files at a time
	$(TESTS)

test-slow: $(VENV)/.ready  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-browser: $(VENV)/.ready  ## the tests of pages in a headless Chromium (Debian: apt-get install chromium)
	$(BIN)/python -m pytest -m browser

test-cluster: $(VENV)/.ready  ## the tests of batch on a Ray and a Dask cluster of this machine's processes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray,dask]'
	$(BIN)/python -m pytest -m cluster

test-iiif: $(VENV)/.ready  ## IIIF's own validator on what is served (Debian: apt-get install libmagic1)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt iiif-validator==1.0.5
	$(BIN)/python -m pytest -m iiif

check: $(VENV)/.ready  ## format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(TESTS)

targets: $(VENV)/.ready  ## encode the signals of conformance/targets/, decode them by every engine, judge PSNR and IoU (minutes)
	$(BIN)/python -m conformance.targets

bench: $(VENV)/.ready  ## measure encode, decode and step cost into tools/results/ (about an hour; DATA=folder of div2k/ and kodak/)
	$(BIN)/python -m tools.bench_encode

bench-signals: $(VENV)/.ready  ## measure volumes, shapes, sound and video beside other codecs into tools/results/ (hours; ONLY=sections)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/python -m tools.bench_signals --resume $(if $(ONLY),--only $(ONLY))

bench-rd: $(VENV)/.ready  ## rate-distortion curves of the folder IMG beside other codecs into build/rd/, and what each ingredient is worth (hours)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/inrcodec bench rd "$(IMG)" -o build/rd --crop 512x512 --bpp 0.5,1,2,3 --published kodak --resume
	$(BIN)/python -m tools.bench_ablation --resume

bench-query: $(VENV)/.ready  ## measure points, regions and a streamed 16384x16384 picture into tools/results/ (minutes)
	$(BIN)/python -m tools.bench_query

bench-gpu: $(VENV)/.ready  ## check the kernels of a CUDA device and time them (about 8 minutes; needs a device)
	$(BIN)/python -m tools.bench_gpu

fuzz: $(VENV)/.ready  ## give damaged files to every reader (SECONDS=10 each, SEED=0); what fails goes to build/fuzz/
	$(BIN)/python -m tools.fuzz --seconds $(SECONDS) --seed $(SEED) --json build/fuzz.json

format: $(VENV)/.ready  ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what was made here
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
