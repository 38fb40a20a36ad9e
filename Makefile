# `make train` and `make test` work from a bare clone; everything they need goes into .venv.
PYTHON ?= python3
RUN := .venv/bin/python -m
# Tests share two cores: one thread each, and waiting threads sleep.
TEST_ENV := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE HF_HUB_OFFLINE=1

.PHONY: install train test test-slow lint docs clean

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mgan needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

train: install
	@$(RUN) mgan train --data tang

test: install lint docs
	$(TEST_ENV) .venv/bin/python -m pytest -n 2 -m "not slow"

# Counting covered lines takes a quarter more time: here, where there is time.
test-slow: install
	$(TEST_ENV) .venv/bin/python -m pytest -n 2 --cov --cov-report=term --cov-fail-under=90

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

docs: install
	.venv/bin/mkdocs build --quiet --strict

clean:
	rm -rf .venv site build dist .pytest_cache .mypy_cache .ruff_cache .coverage*
