# batchgender: `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= myvision/gender-classification
PHOTOS ?=
OUT ?= results.csv
TRAIN_FLAGS ?=
DEMO := demo

.DEFAULT_GOAL := help
.PHONY: setup demo train export classify test lint bench clean help

setup: $(VENV)/.ready  ## Make .venv and install batchgender with its packages in it

$(VENV)/.ready: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: setup  ## Do the whole main job on drawn portraits: train, evaluate, export, classify, report
	rm -rf $(DEMO)
	$(BIN)/python -m batchgender.portraits $(DEMO)/faces
	$(BIN)/batchgender train --data $(DEMO)/faces --epochs 6 --out $(DEMO)/run
	$(BIN)/batchgender evaluate $(DEMO)/run/best.pt --data $(DEMO)/faces
	$(BIN)/batchgender export $(DEMO)/run/best.pt --format onnx --format torchscript --out $(DEMO)/exports
	$(BIN)/batchgender classify $(DEMO)/faces/test --model $(DEMO)/exports/batchgender.onnx --out $(DEMO)/results.csv
	@echo
	@echo "The rows:    $(DEMO)/results.csv"
	@echo "The report:  $(DEMO)/results.report.json"
	@echo "The model:   $(DEMO)/exports/batchgender.onnx and .pt (TorchScript)"
	@echo "The training: $(DEMO)/run/history.csv and $(DEMO)/run/history.png"

train: setup  ## Train on DATA (a Hub id, the default, or a folder): make train DATA=folder
	$(BIN)/batchgender train --data '$(DATA)' $(TRAIN_FLAGS)

export: setup  ## Export the last trained checkpoint to exports/ as ONNX and TorchScript
	$(BIN)/batchgender export --format onnx --format torchscript

classify: setup  ## Classify PHOTOS into OUT: make classify PHOTOS=folder OUT=results.csv
	@test -n '$(PHOTOS)' || { echo 'say which photos: make classify PHOTOS=folder' >&2; exit 2; }
	$(BIN)/batchgender classify '$(PHOTOS)' --out '$(OUT)'

test: setup  ## Run the tests
	$(BIN)/python -m pytest

lint: setup  ## Check lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## Compare classify's images/s with the torchvision baseline: make bench PHOTOS=folder
	$(BIN)/python tests/benchmarks/bench_classify.py $(PHOTOS)

clean:  ## Remove what the targets made, but for .venv, runs/ and exported models
	rm -rf $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find batchgender tests -name __pycache__ -type d -exec rm -rf {} +

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
