# fpnbench. `make run` shows a search, `make test` checks everything, `make help` lists
# the rest. Needs make and Python 3.11 or newer with venv; all else goes into $(VENV).

VENV ?= .venv
PYTHON ?= python3
# TORCH=given keeps the torch and torchvision that $(VENV) already has.
TORCH ?= pinned
# Where `make dashboard` listens, on this machine alone.
PORT ?= 8080

BIN := $(VENV)/bin
PINS := constraints.txt
ifeq ($(TORCH),given)
PINS := $(VENV)/constraints-given.txt
endif
# The same pins for packages that are built from source (older and newer pip).
INSTALL = PIP_CONSTRAINT=$(PINS) PIP_BUILD_CONSTRAINT=$(PINS) \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq

# A process a core. Above 8, each one's import of torch (3 s, 1 GB) buys little.
PYTEST = $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: run test setup check slow lint dashboard help

run: $(VENV)/.run-ready ## install what a run needs, search MnasFPN with PPO (4 minutes)
	$(BIN)/python run.py space=mnasfpn searcher=ppo

test: setup lint ## ruff, mypy --strict and all tests but the slow ones
	$(PYTEST)

setup: $(VENV)/.run-ready $(VENV)/.test-ready ## install what run and test need

check: setup lint ## ruff, mypy --strict and the tests that need no training
	$(PYTEST) tests/graph tests/spaces tests/test_layers.py tests/test_conf.py

slow: setup ## the slow tests only
	$(PYTEST) -m slow

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

dashboard: $(VENV)/.run-ready ## optuna-dashboard on the ledger of a run: DIR=runs/...
	@test -f '$(DIR)/ledger.sqlite' || { echo "make dashboard DIR=FOLDER: there is no" \
		"ledger.sqlite in the folder '$(DIR)'" >&2; exit 2; }
	@test -x $(BIN)/optuna-dashboard || $(INSTALL) --editable '.[dashboard]'
	$(BIN)/optuna-dashboard --port $(PORT) 'sqlite:///$(DIR)/ledger.sqlite'

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile
	@echo 'settings       VENV=$(VENV) PYTHON=$(PYTHON) TORCH=$(TORCH) (TORCH=given: see README)'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; \
		sys.exit(0 if sys.version_info >= (3, 11) else "fpnbench needs Python 3.11 " \
		"or newer, $(PYTHON) is " + v + "; make PYTHON=/path/to/python picks another")'
	@echo 'Making the virtual environment $(VENV)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: constraints.txt pyproject.toml | $(BIN)/python
ifeq ($(TORCH),given)
	@$(BIN)/python -W ignore -c 'import torchvision' 2> $(VENV)/.why || { \
		tail -n 1 $(VENV)/.why; echo 'TORCH=given needs a torch and a torchvision' \
		'that fit each other in $(VENV); see README'; exit 1; }
	@grep -vE '^(torch|torchvision|triton|setuptools|cuda-[a-z]+|nvidia-[cn].*)==' \
		constraints.txt > $(PINS)
endif
	@echo 'Installing what a run needs into $(VENV) (some minutes)'
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.test-ready: $(VENV)/.run-ready
	@echo 'Installing what the tests need into $(VENV)'
	@$(INSTALL) --editable '.[dev,nni,bench,dashboard]'
	@touch $@
