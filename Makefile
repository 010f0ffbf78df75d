# Two commands on a fresh machine: `make demo` and `make test`. `make check` is the static part.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL := models/tiny.gguf

.PHONY: demo test mutants check benchmarks model install format clean

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

test: install
	$(BIN)/python scripts/test_needs.py
	$(BIN)/python -m pytest --durations=40

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
