# make demo    install, diagnose a run that ships here, write report.html
# make test    install, lint, type-check, check the import contract, run all tests
#
# Both make their own virtual environment in $(VENV) and do so once.

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check lint types contract gallery fixtures browser constraints clean

demo: $(VENV)/installed
	$(BIN)/lossdoctor analyze fixtures/hockey-stick-sft -o report.html --exit-zero
	@echo "The report is in report.html"

test: check
	$(BIN)/python -m pytest

check: lint types contract

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/tested
	$(BIN)/mypy

contract: $(VENV)/tested
	$(BIN)/lint-imports

# Writes reports/ anew; the tests compare it byte for byte.
gallery: $(VENV)/tested
	$(BIN)/python -m tests.gallery.make

# Trains the runs in fixtures/ again, or only those of FIXTURES="name ...". Needs torch and transformers, in an environment of their own.
fixtures: .venv-fixtures/installed
	.venv-fixtures/bin/python fixtures/generate.py $(FIXTURES)

# axe-core for the accessibility tests; without it, or without a Chromium, the tests marked browser are skipped.
browser:
	cd tests/reporters && npm ci --ignore-scripts --no-audit --no-fund

constraints:
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet --upgrade pip
	.venv-constraints/bin/python -m pip install --quiet --group test --editable .
	(sed -n '/^#/p' constraints.txt; .venv-constraints/bin/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==') > constraints.new
	mv constraints.new constraints.txt
	rm -rf .venv-constraints

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found: name it with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/tested: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --group test --editable .
	@touch $@ $(VENV)/installed

.venv-fixtures/installed: fixtures/requirements.txt
	$(PYTHON) -m venv .venv-fixtures
	.venv-fixtures/bin/python -m pip install --quiet --requirement fixtures/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) .venv-fixtures build dist
