# Each target makes its own environment first, in .venv.
PYTHON ?= python3
VENV ?= .venv
# A plain `torch` may be newer than what this was tested with; on a machine with a GPU set TORCH to the build you need.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
# Two processes of one thread each: tests are many and small.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2

.PHONY: demo test quick lint docs clean

demo: $(VENV)/.ready  ## REM3DI + ridge against ECFP + ridge on the shipped table
	$(BIN)/skmol3d demo

test: lint  ## formatting, lint, types, then all tests: the quick ones first
	$(PYTEST) -m "not slow"
	$(PYTEST) -m slow

quick: $(VENV)/.ready  ## the quick tests alone, a few minutes
	$(PYTEST) -m "not slow"

lint: $(VENV)/.ready  ## formatting, lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs  ## the site, into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[benchmark,labels,parquet,trainer]" --group dev
	touch $@

clean:
	rm -rf $(VENV) docs/_build docs/generated
