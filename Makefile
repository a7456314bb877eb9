# make dev | check | test | bench | demo: each works from a clean clone with Python 3.11, a C++ compiler and the package registries.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: dev check format test test-slow test-ordeal test-all coverage bench bench-transfer fuzz demo clean help

help:
	@echo "make demo    the main job for real: check-env, list, install, download, inference"
	@echo "make test    the everyday tests; make test-slow the slow and network ones,"
	@echo "             make test-ordeal complete matrices and every kill (an hour),"
	@echo "make fuzz    every reader of foreign bytes, MINUTES=60 of one core"
	@echo "make check   format, lint, types;  make dev  the environment;  make bench  the benchmarks"
	@echo "make bench-transfer   those of transfers alone: a table of goals, met or missed"

$(VENV)/.zoo: pyproject.toml hatch_build.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[uv]'
	@touch $@

$(VENV)/.dev: $(VENV)/.zoo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

dev: $(VENV)/.dev

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: dev
	$(PYTEST) -q -n 2 -m 'not slow and not network and not ordeal'

test-slow: dev
	$(PYTEST) -q -n 2 --dist loadfile -m '(slow or network) and not ordeal'

test-ordeal: dev
	$(PYTEST) -q -s -m ordeal

test-all: dev
	$(PYTEST) -q

# Guided by coverage where there is a build of atheris. Findings and inputs stay in .cache/fuzz.
MINUTES ?= 60
fuzz: dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]' || true
	nice -n 15 $(BIN)/python -m tests.fuzz --minutes $(MINUTES)

coverage: dev
	$(BIN)/coverage run -m pytest -q -m 'not slow and not network and not ordeal'
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

bench: dev
	failed=; for script in benchmarks/bench_*.py; do \
	  echo "== $$script"; $(BIN)/python "$$script" || failed="$$failed $$script"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench-transfer: dev
	$(BIN)/python benchmarks/bench_transfer.py

# ONLINE=1 takes torch and mmcv wheels and the checkpoint from the real hosts instead of the loopback site.
demo: $(VENV)/.zoo
	$(BIN)/python -m demo $(if $(ONLINE),--online)

clean:
	rm -rf $(VENV) demo/work benchmarks/work .cache zoo_cli/catalog/zoo.db
