# batchgender: `make help` lists the targets.
# A step of a pipe that fails is a failure.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= myvision/gender-classification
PHOTOS ?=
OUT ?= results.csv
TRAIN_FLAGS ?=
PACK ?= photos.zip
DEMO := demo

# The packaged model and what it is made with.
ASSETS := batchgender/assets
DEFAULT := runs/default

.DEFAULT_GOAL := help
.PHONY: setup demo train export classify default-model pack test lint docs pictures bench bench-train clean help

setup: $(VENV)/.ready  ## Make .venv and install batchgender with its packages in it

$(VENV)/.ready: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	# As pip does with what it copies: commands start sooner, where Python writes no bytecode of its own, too.
	$(BIN)/python -m compileall -q batchgender
	touch $@

demo: setup  ## Do the whole main job on drawn portraits: train, export, classify, report
	rm -rf $(DEMO)
	$(BIN)/python tests/drawn_faces.py $(DEMO)/faces
	$(BIN)/batchgender train --data $(DEMO)/faces --epochs 6 --out $(DEMO)/run > $(DEMO)/train.txt
	$(BIN)/batchgender export $(DEMO)/run/best.pt --format onnx --format torchscript --out $(DEMO)/exports
	$(BIN)/batchgender evaluate $(DEMO)/exports/batchgender.onnx --data $(DEMO)/faces --report $(DEMO)/evaluated.html \
		> $(DEMO)/evaluate.txt
	$(BIN)/batchgender classify $(DEMO)/faces/test --model $(DEMO)/exports/batchgender.onnx --out $(DEMO)/results.csv
	@echo
	@echo "The rows:     $(DEMO)/results.csv"
	@echo "The report:   $(DEMO)/results.report.json, as a page $(DEMO)/evaluated.html"
	@echo "The model:    $(DEMO)/exports/batchgender.onnx and .pt (TorchScript)"
	@echo "The training: $(DEMO)/run/history.csv and $(DEMO)/run/history.png; its report: $(DEMO)/train.txt"

train: setup  ## Train on DATA (a Hub id, the default, or a folder): make train DATA=folder
	$(BIN)/batchgender train --data '$(DATA)' $(TRAIN_FLAGS)

export: setup  ## Export the last trained checkpoint to exports/ as ONNX and TorchScript
	$(BIN)/batchgender export --format onnx --format torchscript

classify: setup  ## Classify PHOTOS into OUT: make classify PHOTOS=folder OUT=results.csv
	@test -n '$(PHOTOS)' || { echo 'say which photos: make classify PHOTOS=folder' >&2; exit 2; }
	$(BIN)/batchgender classify '$(PHOTOS)' --out '$(OUT)'

default-model: setup  ## Make the packaged model and its card again, resumable: make default-model DATA=folder
	@test -e '$(DATA)' || { echo 'say which photos: make default-model DATA=folder' >&2; exit 2; }
	mkdir -p $(ASSETS) $(DEFAULT)
	$(BIN)/python tools/utkface_groups.py '$(DATA)' $(DEFAULT)/groups.csv
	$(BIN)/python tools/utkface_groups.py '$(DATA)' $(DEFAULT)/ages.csv --ages
	$(BIN)/batchgender train --data '$(DATA)' --recipe narrow --out $(DEFAULT) --also-learn $(DEFAULT)/ages.csv \
		--sources $(DEFAULT)/groups.csv $(if $(wildcard $(DEFAULT)/last.pt),--resume) 2>&1 | tee -a $(DEFAULT)/train.log
	$(BIN)/batchgender export $(DEFAULT)/best.pt --format onnx --compress auto --quantize int8 \
		--license 'weights: for non-commercial research only, as UTKFace and CelebA; code: MIT' \
		--out $(DEFAULT)/default.onnx
	$(BIN)/batchgender evaluate $(DEFAULT)/default.onnx --data '$(DATA)' --groups $(DEFAULT)/groups.csv \
		--report $(DEFAULT)/default.report.json
	cp $(DEFAULT)/default.onnx $(ASSETS)/default.onnx
	$(BIN)/python tools/model_card.py $(ASSETS)/default.onnx $(DEFAULT)/default.report.json $(ASSETS)/MODEL_CARD.md \
		--trained-on utkface --trained-on web --trained-on celeba

pack: setup  ## Make photos small enough to be sent to a machine with a GPU: make pack DATA=folder PACK=photos.zip
	@test -e '$(DATA)' || { echo 'say which photos: make pack DATA=folder' >&2; exit 2; }
	$(BIN)/python tools/pack_photos.py '$(DATA)' '$(PACK)'

test: setup  ## Run the tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal \
		--cov=batchgender --cov-report=term:skip-covered

lint: setup  ## Check lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup  ## Make the command-line reference, docs/cli.md, from --help
	$(BIN)/python tools/cli_reference.py docs/cli.md

pictures: demo  ## Make the pictures of the manual, docs/pictures/, of drawn portraits
	$(BIN)/python tools/docs_pictures.py $(DEMO) docs/pictures

bench: setup  ## Compare classify's images/s with what a user would write instead: make bench PHOTOS=folder
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/bench_classify.py $(PHOTOS) --out tests/benchmarks/RESULTS.md

bench-train: setup  ## Compare a training epoch with its bare passes: make bench-train PHOTOS=folder
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/bench_train.py $(PHOTOS)

clean:  ## Remove what the targets made, but for .venv, runs/ and exported models
	rm -rf $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find batchgender tests -name __pycache__ -type d -exec rm -rf {} +

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
