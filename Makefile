# make example   train on real data, freeze, test, predict, draw pictures (a few minutes)
# make test      all tests
# make docs      the manual in docs/_build/html
# make lint      ruff and mypy
# make wheel     in dist/, for Linux machines whose glibc is at least GLIBC
# make install   only the virtual environment with the package in it
# make tools     what tests, lint and docs need besides
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip install --progress-bar off
PIP_WHEEL := $(BIN)/python -m pip wheel --no-deps --no-build-isolation -w build/wheel .

.PHONY: example test install tools lint typecheck docs wheel

install: $(VENV)/installed

tools: $(VENV)/tools

# $(call step,WHAT,COMMAND): WHAT on a line, the command's messages to a file that is shown if it
# fails; a terminal is told every second how long it takes and what happens.
define step
@printf '%s ...' "$(1)"; start=$$(date +%s); $(2) >$(VENV)/step.log 2>&1 & \
while kill -0 $$! 2>/dev/null; do sleep 1; [ -t 1 ] && printf '\r\033[K%s ... %s s  %s' "$(1)" \
"$$(($$(date +%s) - start))" "$$(tail -n 1 $(VENV)/step.log | tr -d '\r' | cut -c 1-60)"; done; \
[ -t 1 ] && printf '\r\033[K%s ...' "$(1)"; \
wait $$! && echo " $$(($$(date +%s) - start)) s" || { echo " failed"; cat $(VENV)/step.log >&2; exit 1; }
endef

# TensorFlow comes first: its headers are needed to build the op library.
$(VENV)/installed: pyproject.toml setup.py $(shell find op -type f)
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) found; set PYTHON" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call step,pip and setuptools,$(PIP) --upgrade "pip>=25.1" "setuptools>=77" wheel)
	$(call step,TensorFlow (600 MB),$(PIP) "tensorflow>=2.16")
	$(call step,native libraries and deepdensity_tf,$(PIP) --no-build-isolation --editable ".[view]")
	@touch $@

$(VENV)/tools: $(VENV)/installed
	$(call step,what tests and lint and docs need,$(PIP) --group test --group lint --group docs)
	@touch $@

example: install
	PATH="$(BIN):$$PATH" sh examples/ethane/run.sh

test: tools
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: tools typecheck
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

typecheck: tools
	$(BIN)/python -m mypy

# -E: the pages of commands and keys follow the program.
docs: tools
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m sphinx -E -W --keep-going -b html docs docs/_build/html

# Zig's compiler is told which glibc it links against: the wheel runs on older systems than this
# one. TensorFlow's libraries come with TensorFlow.
GLIBC ?= 2.28
ZIG := $(BIN)/python -m ziglang c++ -target $(shell uname -m)-linux-gnu.$(GLIBC) -s

wheel: install
	$(call step,tools of the wheel,$(PIP) --group wheel)
	rm -rf build
	$(call step,native libraries by Zig,CXX="$(ZIG)" $(PIP_WHEEL))
	PATH="$(BIN):$$PATH" auditwheel repair --plat manylinux_$(subst .,_,$(GLIBC))_$(shell uname -m) \
	--exclude 'libtensorflow*' -w dist build/wheel/deepdensity_tf-*.whl
