# The commands of this repository: make demo, make test, make check, make crash; make bench and bench-ledger measure, make docs
# writes docs/configuration.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check crash bench bench-ledger docs format lock clean

demo: $(VENV)/.runtime
	@exec $(BIN)/python -m nijika demo

test: $(VENV)/.dev $(VENV)/.npm $(VENV)/.browser $(VENV)/.servers $(VENV)/.bench $(VENV)/.torch
	PATH="$$PATH:/usr/sbin" $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev $(VENV)/.torch
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Longer, or again: make crash CRASH="--seconds 600 --seed 7"
crash: $(VENV)/.dev
	$(BIN)/python -m tests.crash $(CRASH)

# This gateway beside others. Some of it: make bench BENCH="--only nginx nijika-priced --scenario small"
bench: $(VENV)/.dev $(VENV)/.servers $(VENV)/.bench
	$(BIN)/python -m bench.gateway $(BENCH)

bench-ledger: $(VENV)/.dev
	$(BIN)/python -m bench.ledger $(BENCH)

docs: $(VENV)/.dev
	$(BIN)/python -m nijika describe --markdown > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Needs uv (pip install uv). The locks hold for every platform and Python; they carry hashes, and no registry's address.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet
lock:
	$(LOCK) --extra classic --output-file requirements.lock
	$(LOCK) --extra classic --extra traces --group dev --group neural --constraint requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) bench/.cache tests/npm/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "nijika needs Python 3.11 or newer, and '$(PYTHON)' is not. Name another one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' lacks the venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) …"
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.runtime: requirements.lock | $(VENV)/bin/python
	@echo "installing what nijika runs on (about 100 MB, once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock requirements.lock | $(VENV)/bin/python
	@echo "installing what the tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@touch $@

$(VENV)/.npm: tests/npm/package-lock.json tests/npm/.npmrc | $(VENV)/bin/python
	@tests/install npm $@

# The one package without a hash: its wheel differs from machine to machine. All that it needs is in the lock.
# Another build: make test TORCH="torch==2.13.0 --index-url https://…"
TORCH := torch==2.13.0
$(VENV)/.torch: | $(VENV)/.dev
	@tests/install torch $@ $(TORCH)

$(VENV)/.browser: | $(VENV)/bin/python
	@tests/install chromium $@

$(VENV)/.servers: tests/install | $(VENV)/bin/python
	@tests/install servers $@

$(VENV)/.bench: | $(VENV)/bin/python
	@tests/install bench $@
