# Everything runs in .venv, which is built from the hash-locked requirements-dev.txt and rebuilt when that changes.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := $(wildcard pingone_mcp tests benchmarks shipping)

# The first Python that is new enough. Another one: make clean test PYTHON=python3.12
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# How many times as many examples, kills and moments as in the shortest soak: make soak SOAK=30
SOAK ?= 10

# How often Ctrl-C is pressed in all: make presses PRESSES=2000
PRESSES ?= 600

# What a failing run has printed draws the same examples again: make test SEED=123
SEED ?=
# An environment that forbids bytecode would have every worker rewrite all the asserts anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal $(if $(SEED),--hypothesis-seed=$(SEED))

# Under two minutes, to see that it still measures: make bench FAST=1
FAST ?=

.PHONY: help demo test soak presses check generated fix dist dist-test mcpb bench bench-growth browser conformance lock clean

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## See the main job done, on a sample company: no PingOne account needed
	@$(BIN)/pingone-mcp demo

test: $(READY)  ## Run the tests on all cores, at a first look (one file: .venv/bin/pytest tests/test_x.py)
	@$(PYTEST)

soak: $(READY)  ## Run the tests that take long, and try many more examples, faults and kills of the others
	@PINGONE_SOAK=$(SOAK) $(PYTEST) --timeout=$$((300 + 300 * $(SOAK))) \
		--override-ini faulthandler_timeout=$$((290 + 300 * $(SOAK)))

presses: $(READY)  ## Press Ctrl-C at many moments of every command (PRESSES=2000 for more)
	@$(BIN)/python -m tests.process.presses $(PRESSES)

check: $(READY)  ## Look for mistakes: lint, format, types, import floors
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-logo

generated: $(READY)  ## Write anew every file that is made of the code: snapshots, first answers, tables, man page
	@$(BIN)/python -m tests.generated

fix: $(READY)  ## Repair what a machine can: lint and format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

dist: $(READY)  ## Build the wheel and the sdist into dist/; the same files give the same bytes
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist

dist-test: $(READY)  ## Install the wheel wherever a Python is, oldest and newest packages, and use it (5 to 10 minutes)
	@$(BIN)/python -m tests.dist

mcpb: dist  ## Build the bundle that desktop clients install with a click, into dist/
	@$(BIN)/python -m shipping.bundle

bench: $(READY)  ## Measure all but the next, in half an hour (make bench FAST=1: in small, in two minutes)
	@$(BIN)/python -m benchmarks $(if $(FAST),--fast)

bench-growth: $(READY)  ## Measure how the local copy grows to a million users (a quarter of an hour)
	@$(BIN)/python -m benchmarks $(if $(FAST),--fast) growth

browser: $(READY)  ## Walk through the pages in a real browser (Chromium, which it installs on Debian)
	@$(BIN)/python -m tests.browser

conformance: $(READY)  ## Put the server before referees of MCP and REST, and clients of others (needs npm, and installs them)
	@$(BIN)/python -m tests.conformance

lock: $(READY)  ## Compile requirements-dev.txt anew (newer versions: make lock UPGRADE=--upgrade)
	@$(BIN)/uv pip compile pyproject.toml requirements-dev.in --output-file requirements-dev.txt --quiet $(UPGRADE) \
		--all-extras --universal --python-version 3.11 --generate-hashes --annotation-style line --custom-compile-command "make lock"

clean:  ## Remove .venv and all that was made
	@rm -rf $(VENV) dist .browser .conformance .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

# --no-deps: the lock names all, and pip would ask for one of another extra once more (pydantic[email]) without its hash.
# --compile, so that an environment that says PIP_NO_COMPILE does not make every later start slow.
$(READY): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "pingone-mcp needs Python 3.11 or newer, and neither python3 nor python3.11 to 3.13" \
		"is one. Install it, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "pingone-mcp needs Python 3.11 or newer;" \
		"$(PYTHON) is older, or does not start. Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) came without its venv module." \
		"On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version), once; it takes about half a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --compile --no-deps --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .
	@touch $@
