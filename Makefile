# Everything a developer or CI runs. `make help` lists the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

# `python3.11` may be a shim that refuses to run, so it is asked and not only looked up.
PYTHON ?= $(shell python3.11 -c 'import sys; print(sys.executable)' 2>/dev/null || echo python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A Spark test mostly waits, so three processes are faster than two on two cores. The tests of a file share one session.
PROCESSES ?= 3
PYTEST := $(BIN)/pytest --dist loadfile -n

.PHONY: help demo install bench-score bench-encode bench-quality bench-train bench-platform test test-slow check lint types format docs site clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install ## install, generate a shop and run the whole pipeline on it in local mode
	$(BIN)/recsys-spark demo

install: $(INSTALLED) ## create .venv with the tested versions (constraints.txt)

$(INSTALLED): setup.py constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or later is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -m recsys_spark.spark.java
	@echo '==> installing into $(VENV), once; this downloads PySpark and PyTorch'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[demo,dev,docs]'
	@touch $@

test: check ## lint, types, links and every fast test
	@echo '==> fast tests'
	$(PYTEST) $(PROCESSES) -m 'not slow'

test-slow: install ## a real standalone cluster, PySpark 4.0.x, and other tests that take minutes
	@echo '==> slow tests'
	$(PYTEST) 2 -m slow

check: lint types site ## lint, types and links without tests

lint: install ## ruff: rules and format
	@echo '==> lint'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy, strict
	@echo '==> types'
	$(BIN)/mypy

bench-score: install ## scoring next to its rivals, growth and memory (or PARTS=joins,cores)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m benchmarks.score $(if $(PARTS),--parts $(PARTS))

bench-encode: install ## encoding next to its rivals and its limit (or PARTS=kernel,stage)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.encode $(if $(PARTS),--parts $(PARTS)) $(if $(TEXTS),--texts $(TEXTS))

bench-quality: install ## lists next to the best rivals' on public data (or DATASETS=, METHODS=, PROTOCOLS=)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -r benchmarks/quality/rectools.txt
	$(BIN)/python -m benchmarks.quality $(if $(DATASETS),--datasets $(DATASETS)) $(if $(METHODS),--methods '$(METHODS)') $(if $(PROTOCOLS),--protocols $(PROTOCOLS))

bench-train: install ## training: processes, whole, growth, warm starts, a million items (or PARTS=full,items, DATASETS=)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.train $(if $(PARTS),--parts $(PARTS)) $(if $(DATASETS),--datasets $(DATASETS))

bench-platform: install ## what a run costs beside its arithmetic (or PARTS=example,nothing)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.platform $(if $(PARTS),--parts $(PARTS))

format: install ## rewrite files to the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install ## write docs/tables.md, docs/configuration.md and docs/dirty-data.md from the code
	$(BIN)/python -m recsys_spark.reference
	$(BIN)/python -m tests.slow.dirt.page

# Copied with their folders, so that relative links out of docs/ hold on the site as well.
PAGES := README.md README.zh-CN.md CONTRIBUTING.md CHANGELOG.md conf docs benchmarks/results
site: install ## build the documentation into build/site; a broken link or anchor fails
	@echo '==> documentation'
	rm -rf build/pages && mkdir -p build/pages && tar -cf - $(PAGES) | tar -xf - -C build/pages
	$(BIN)/zensical build --strict --clean

clean: ## remove caches, builds and the demo's store; keeps .venv
	rm -rf build dist *.egg-info .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse metastore_db derby.log demo-store
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
