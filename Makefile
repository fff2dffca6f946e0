# Every target makes its own virtual environment in .venv when there is none: `make tour` and `make test` need no set-up.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCALE  := minilm/locale
BABEL   := $(BIN)/pybabel --quiet
# One BLAS thread for each process: the tests run in JOBS processes. Bytecode is kept, whatever the environment says:
# without it every process compiles minilm and the tests anew, a fifth of the time.
ONE     := PYTHONDONTWRITEBYTECODE= OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help tour lessons lessons-check test network thorough mutants bench lint format messages readme clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Another Python: make test PYTHON=python3.12. Another environment: VENV=folder."

tour: $(VENV)/core.stamp ## a GPT learns real text and writes; a BERT fills masks and learns a task
	$(BIN)/minilm tour

lessons: $(VENV)/core.stamp ## run every lesson; a table of their claims at the end
	$(BIN)/minilm lesson run --all

lessons-check: $(VENV)/core.stamp ## do the lessons' claims tell right answers from wrong ones? 100 % or a list of those that escape
	$(ONE) $(BIN)/minilm lesson check

test: $(VENV)/test.stamp ## the tests (minutes)
	$(ONE) $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

network: $(VENV)/test.stamp ## the tests that fetch from package registries (pip, npm)
	$(ONE) $(BIN)/python -m pytest -m network

thorough: $(VENV)/test.stamp ## every test, slow ones too, with many more random examples
	$(ONE) $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --thorough

mutants: $(VENV)/test.stamp ## plant mistakes in engine and layers, see the tests catch them (MUTANTS='--count 60 --seed 1' chooses)
	$(ONE) $(BIN)/python tests/mutants $(MUTANTS)

bench: $(VENV)/test.stamp ## speed, beside PyTorch, JAX and autograd in one run (BENCH='--quick bert-* --json found.json' chooses)
	$(BIN)/python tests/benchmarks $(BENCH)

lint: $(VENV)/test.stamp ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/test.stamp ## let ruff repair and format the source
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: $(VENV)/test.stamp ## gather the sentences to translate; keep, sort and compile the translations
	@mkdir -p build
	$(BABEL) extract --no-default-keywords -k tr -k ntr:1,2 --no-location --sort-output -o build/minilm.pot minilm
	$(BABEL) update -D minilm -d $(LOCALE) -l es -i build/minilm.pot \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 120
	$(BIN)/pybabel compile -D minilm -d $(LOCALE) --statistics

readme: $(VENV)/core.stamp ## run the tour and put its pictures and words into the README
	$(BIN)/python docs/make_readme.py $(RUN)

clean: ## remove the environment and what the tools left (runs and downloaded texts stay)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "minilm needs Python 3.11 or newer and $(PYTHON) is older or missing: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[test]'
	@touch $(VENV)/core.stamp $@
