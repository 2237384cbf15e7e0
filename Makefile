# Each target sets up what it needs: a virtual environment in .venv, made once.

# The first Python on the path that works; `make PYTHON=...` takes another.
PYTHON ?= $(shell for each in python3.11 python3; do \
	$$each -c '' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
# How many times more histories `make histories` tries; `make histories TIMES=3 SEED=1` for others.
TIMES ?= 20
APPS := $(wildcard examples/*/quickstart_digits examples/*/sklearn_logistic_regression) \
	examples/simulate-topologies/simulate_topologies.py

.DEFAULT_GOAL := help
.PHONY: help demo test histories exhaustive chaos soak lint format clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(STAMP) ## set up, then compare FedAvg with DIGEST on one machine, offline (4 minutes)
	@$(BIN)/python examples/demo.py

test: lint ## set up, then run all checks and tests
	@$(BIN)/python -m pytest

histories: $(STAMP) ## try far more random histories than `make test`, others each time (an hour)
	@seed=$(or $(SEED),$$(date +%s)); echo "seed $$seed, $(TIMES) times as many"; \
	HISTORIES_TIMES=$(TIMES) $(BIN)/python -m pytest --hypothesis-seed=$$seed tests/property

exhaustive: $(STAMP) ## set up, then run what takes too long for `make test` (over an hour)
	@$(BIN)/python -m pytest -m exhaustive

chaos: $(STAMP) ## set up, then break real nodes in all the ways of the chaos suite (half an hour)
	@$(BIN)/python -m tests.chaos

soak: $(STAMP) ## set up, then random faults for half an hour: memory, threads, descriptors stay flat
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),30)

lint: $(STAMP) ## set up, then check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@# one by one: the apps share a package name, as they are the same app before and after the swap
	@set -e; for app in $(APPS); do $(BIN)/mypy --no-explicit-package-bases $$app; done
	@$(BIN)/lint-imports --no-logo

format: $(STAMP) ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove all that make has made
	rm -rf .venv build dist runs *.egg-info .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv (once, about two minutes)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@
