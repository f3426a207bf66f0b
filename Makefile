# make lab opens the workspace, make test checks everything. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= lab,test,export
LAB_ARGS ?=
# In a container the only user is often root, whom JupyterLab turns away unless told otherwise.
ROOT_ARGS := $(if $(filter 0,$(shell id -u)),--allow-root)
PYTEST_ARGS ?=
NOTEBOOKS ?=
BENCH ?=
JOBS ?= 2
ASCEND_VENV ?= .venv-ascend

BIN := $(abspath $(VENV))/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
ASCEND_STAMP := $(ASCEND_VENV)/.installed

# nbval: every cell must run; outputs are compared only where a cell asks for it.
NBVAL := --nbval-lax --nbval-current-env --nbval-kernel-startup-timeout 180 --nbval-cell-timeout 900
# All cells of one notebook go to one worker, in order.
PARALLEL = -n $(JOBS) --dist loadscope

# $(1): the environment to test
unit_tests = PATH="$(abspath $(1))/bin:$$PATH" python -m pytest tests $(PARALLEL) $(PYTEST_ARGS)
notebook_tests = PATH="$(abspath $(1))/bin:$$PATH" python -m pytest notebooks $(NBVAL) $(PARALLEL) $(PYTEST_ARGS)

.DEFAULT_GOAL := install
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: install lab test test-fast test-notebooks test-browser test-ascend-stack lint format \
        notebooks bench pins clean distclean help

install: $(STAMP) ## install into .venv (PYTHON=python3.12 picks the interpreter)

$(STAMP): pyproject.toml constraints.txt scripts/make_venv.sh
	@scripts/make_venv.sh "$(PYTHON)" "$(VENV)" 3.10 3.13
	@echo "zoolib: installing TensorFlow, JupyterLab and zoolib into $(VENV) (a few minutes, once)"
	@$(PIP) -c constraints.txt pip setuptools
	@PYTHONWARNINGS=ignore $(PIP) -c constraints.txt --no-build-isolation -e ".[$(EXTRAS)]"
	@touch $@
	@echo "zoolib: installed; next: make lab, make test, or $(VENV)/bin/zoolib doctor"

lab: $(STAMP) ## open the notebooks in JupyterLab (LAB_ARGS=--no-browser for a remote machine)
	@echo "zoolib: opening notebooks/ in JupyterLab; start with 00_start_here.ipynb, Ctrl-C ends it"
	@PATH="$(BIN):$$PATH" JUPYTER_PREFER_ENV_PATH=1 jupyter lab $(ROOT_ARGS) $(LAB_ARGS) notebooks/

test: lint test-fast test-notebooks ## lint, unit tests and notebooks

test-fast: $(STAMP) ## unit tests only (PYTEST_ARGS="-k name" picks some)
	@echo "zoolib: unit tests"
	@$(call unit_tests,$(VENV))

test-notebooks: $(STAMP) ## run every notebook top to bottom
	@echo "zoolib: notebooks under nbval"
	@$(call notebook_tests,$(VENV))

test-browser: $(STAMP) ## click through the notebooks in a real JupyterLab (needs a Chromium)
	@PYTHONWARNINGS=ignore $(PIP) -c constraints.txt --no-build-isolation -e ".[$(EXTRAS),browser]"
	PATH="$(BIN):$$PATH" ZOOLIB_REQUIRE_BROWSER=1 python -m pytest tests -m browser $(PYTEST_ARGS)

test-ascend-stack: $(ASCEND_STAMP) ## the same tests on Python 3.9 and TensorFlow 2.6.5
	@echo "zoolib: unit tests on TensorFlow 2.6.5"
	@$(call unit_tests,$(ASCEND_VENV))
	@echo "zoolib: notebooks on TensorFlow 2.6.5"
	@$(call notebook_tests,$(ASCEND_VENV))

$(ASCEND_STAMP): pyproject.toml constraints-ascend.txt scripts/ascend_stack.sh scripts/make_venv.sh
	@PYTHON39="$(PYTHON39)" scripts/ascend_stack.sh "$(ASCEND_VENV)"
	@touch $@

lint: $(STAMP) ## ruff on code and notebooks
	@echo "zoolib: ruff"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

notebooks: $(STAMP) ## rebuild the stored outputs (NOTEBOOKS="10_mtnet" for one)
	PATH="$(BIN):$$PATH" python scripts/rebuild_notebooks.py $(NOTEBOOKS)

bench: $(STAMP) ## run the benchmarks (BENCH=mtnet for one)
	@set -e; for file in benchmarks/$(or $(BENCH),*).py; do \
	    echo "zoolib: $$file"; PATH="$(BIN):$$PATH" python "$$file"; done

pins: ## renew constraints.txt from what pip resolves on each Python found
	"$(PYTHON)" scripts/renew_pins.py

clean: ## remove builds and caches; environments, runs and data stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . \( -path ./.git -o -path "./.venv*" -o -path ./runs -o -path ./data \) -prune -o \
	    \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environments as well
	rm -rf "$(VENV)" "$(ASCEND_VENV)"

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
