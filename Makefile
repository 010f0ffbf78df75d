# Two commands on a fresh machine: `make demo` and `make test`. `make check` is the static part, `make test-faults` the
# tests that need minutes by nature.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL := models/tiny.gguf
# Tests start hundreds of Pythons: what each of them imports is compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-faults test-busy mutants check benchmarks model install format clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

model: $(MODEL)

$(MODEL): examples/laptop/make_model.py | install
	$(BIN)/python examples/laptop/make_model.py --out $@

demo: install $(MODEL)
	$(BIN)/autotuner run examples/laptop/study.yaml

# Tests wait for most of their time: more of them at once than there are cores.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? 2 * n : n < 8 ? n + 2 : 8)))
TESTS = $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadgroup --durations=20

test: install
	$(BIN)/python scripts/test_needs.py
	$(TESTS) -m "not fault"

test-faults: install
	$(BIN)/python scripts/test_needs.py
	$(TESTS) -m fault

# What passes on an idle machine alone is of no use to who has a busy one.
test-busy: install
	$(BIN)/python scripts/test_needs.py
	$(BIN)/python scripts/beside_spinning.py $(TESTS)

SEED ?= 0
COUNT ?= 200

mutants: install
	$(BIN)/python -m scripts.mutants --seed $(SEED) --count $(COUNT)

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmarks: install
	$(BIN)/python -m benchmarks

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) models studies build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .mutants .hypothesis .import_linter_cache
