# The two commands of the README are `make demo` and `make test`; both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.installed
DOCS := $(VENV)/.docs
BROWSER := $(VENV)/.browser
RAY := $(VENV)/.ray

.PHONY: setup demo test test-all test-page test-ray verify-kernels check format docs release-check
.DEFAULT_GOAL := help

help:
	@echo "make demo            train two small models live: facts asked from both ends, and a text (under 4 minutes)"
	@echo "make demo QUICK=1    the same in under 45 seconds"
	@echo "make test            the test suite, in under five minutes on two cores (PROFILE=1: what each test costs)"
	@echo "make test-all        every test there is, and shapes checked in every call"
	@echo "make test-page       the server's page in a real Chromium (apt-get install chromium), and OpenAI's client for JavaScript (npm)"
	@echo "make test-ray        two replicas of the server on Ray, which it installs (240 MB)"
	@echo "make verify-kernels  every law on every component, also under the arithmetic of other processors"
	@echo "make check           format, lint, types, import rings"
	@echo "make docs            the docs as a site in build/docs"
	@echo "make release-check   wheel and sdist, and the wheel used in an empty environment without a network"
	@echo "make setup           .venv with the undiffuse command"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

setup: $(STAMP)

demo: $(STAMP)
	@$(BIN)/python examples/demo.py $(if $(QUICK),--quick)

test: $(STAMP)
	@$(BIN)/python -m pytest $(if $(PROFILE),--cost)

test-all: $(STAMP)
	@$(BIN)/python -m pytest -m '' --every-shape $(if $(PROFILE),--cost)

$(BROWSER): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix build/node openai@6.49.0; \
	else echo "no npm here: the test of OpenAI's client for JavaScript is skipped"; fi
	@touch $(BROWSER)

test-page: $(BROWSER)
	@$(BIN)/python -m pytest -m '' -n 0 -rs tests/serve/test_page.py tests/serve/test_clients.py

$(RAY): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[scale]'
	@touch $(RAY)

test-ray: $(RAY)
	@$(BIN)/python -m pytest -m '' -n 0 -rs tests/serve/test_ray.py

verify-kernels: $(STAMP)
	@$(BIN)/python tests/exact/kernels.py

check: $(STAMP)
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(STAMP)
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

$(DOCS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $(DOCS)

docs: $(DOCS)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open build/docs/index.html, or for its search: $(BIN)/python -m http.server -d build/docs"

release-check: $(STAMP)
	@$(BIN)/python .ci/release.py
