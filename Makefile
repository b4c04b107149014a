# Every target sets up what it needs; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
ONLY ?=
# one more than there are cores: some tests wait for programs and real time
WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
RIG ?= rigs/plug_and_charge.yaml

.DEFAULT_GOAL := help
.PHONY: help setup run test scenarios check format bench soak fuzz compliance generate lock clean

help: ## show the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## create .venv and install what is missing (Debian packages only with root or sudo)

$(VENV)/.ready: requirements.lock pyproject.toml .ci/setup
	@PYTHON=$(PYTHON) .ci/setup $(VENV)
	@touch $@

run: setup ## Plug & Charge from plug to bill, with nothing attached (RIG=file for another rig)
	@$(BIN)/plugbench run $(RIG) $(ARGS)

test: setup ## the tests (ARGS="-k pilot" goes to pytest; WORKERS=0: one after the other)
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not soak and not fuzz and not foreign" $(ARGS)

scenarios: setup ## every scenario of the library once (ARGS="--defects --repeat 20")
	@$(BIN)/plugbench run scenarios --junit runs/scenarios.xml $(ARGS)

check: setup ## format check, lint, types, floors of the house, tests, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not soak and not fuzz and not foreign" $(ARGS)
	@$(BIN)/python .ci/check_docs.py

format: setup ## write the format and the mechanical lint fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## benchmarks, both sides in one run (ONLY=rtu,sign,...)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

soak: setup ## long: kill -9 campaigns (SOAK_KILLS=200)
	@$(BIN)/pytest -m soak --timeout 3600 $(ARGS)

fuzz: setup ## long: mutated inputs for every parser
	@$(BIN)/pytest -m fuzz --timeout 7200 $(ARGS)

compliance: setup ## long: foreign peers in environments of their own (Java, npm)
	@$(BIN)/pytest -m foreign --timeout 3600 $(ARGS)

generate: setup ## generate the EXI codec from the schemas (SCHEMAS=folder, default: those of the PyPI wheel iso15118)
	@$(BIN)/python -m v2g.exi.generator $(if $(SCHEMAS),--schemas $(SCHEMAS)) $(ARGS)

lock: setup ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" \
		--group dev pyproject.toml -o requirements.lock

clean: ## remove what was made here
	rm -rf $(VENV) .peers runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
