# Two commands do everything on a fresh machine: `make prove` and `make test`.
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
CLIENTS := .venv-clients
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check

.PHONY: prove test lint types check-tests bench faults storm mutants matrix model chaos clean

prove: $(VENV)/.installed
	$(BIN)/sureclose prove

test: lint types check-tests

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

# Four files at a time on two cores: the scenarios of one file run at once already and mostly wait.
check-tests: $(VENV)/.installed-test $(CLIENTS)/.installed
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

# Rows 1 to 3 of the budget beside a floor; the figures go into docs/performance.md. BENCH="--quick" takes half a minute.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks --write docs/performance.md $(BENCH)

# Every fault as a scenario with real processes; the measurements go into docs/faults.md. Exit 1 when one does not hold.
faults: $(VENV)/.installed-test
	$(BIN)/python -m tests.faults

# All faults by chance over 10,000 closes. STORM="--closes 1000 --seed 7 --rate 0.05" makes another one.
storm: $(VENV)/.installed-test
	$(BIN)/python -m tests.faults.storm $(STORM)

# A crash before and after every step, and a second one in recovery; into docs/crash-matrix.md. MATRIX="--pairs 200 --seed 7"
# plays fewer.
matrix: $(VENV)/.installed-test
	$(BIN)/python -m tests.matrix $(MATRIX)

# The protocol as a model, every state within a bound, into docs/model.md; then the scripts against their own model.
model: $(VENV)/.installed-test
	$(BIN)/python -m tests.model --full --page
	$(BIN)/python -m tests.model --histories

# Kills, stops, lost replies, faults and clocks by chance; the row of its seed goes into docs/chaos.md.
chaos: $(VENV)/.installed-test
	$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1) --page

# Each rule broken on purpose, and the test that notices; the list goes into docs/mutants.md. Exit 1 when nobody does.
mutants: $(VENV)/.installed-test
	$(BIN)/python -m tests.mutants --page

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml requirements/constraints.txt
	$(BIN)/python -m pip install $(PIP_FLAGS) -c requirements/constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install $(PIP_FLAGS) -c requirements/constraints.txt -e '.[test]'
	touch $@

# The exchange clients that the paper exchange is tested with pin what others must not be pinned to.
$(CLIENTS)/.installed: requirements/clients.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install $(PIP_FLAGS) -c requirements/clients-constraints.txt -r requirements/clients.txt
	touch $@

clean:
	rm -rf $(VENV) $(CLIENTS) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
