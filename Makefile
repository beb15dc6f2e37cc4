# make example   train on real data, freeze, test, predict, draw pictures (a few minutes)
# make test      all tests
# make docs      the manual in docs/_build/html
# make lint      ruff and mypy
# make install   only the virtual environment with the package in it
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin

.PHONY: example test install lint typecheck docs

install: $(VENV)/installed

# TensorFlow comes first: its headers are needed to build the op library.
$(VENV)/installed: pyproject.toml setup.py $(shell find op -type f)
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) found; set PYTHON" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "setuptools>=70.1" wheel
	$(BIN)/python -m pip install --quiet "tensorflow>=2.16"
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[test,lint,docs]"
	touch $@

example: install
	PATH="$(BIN):$$PATH" sh examples/ethane/run.sh

test: install
	$(BIN)/python -m pytest -n 2

lint: install typecheck
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

typecheck: install
	$(BIN)/python -m mypy

# -E: the pages of commands and keys follow the program.
docs: install
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m sphinx -E -W --keep-going -b html docs docs/_build/html
