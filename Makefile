# `make help` lists the targets. Everything happens in .venv, which is made on first use.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install demo run test lint format bench clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

$(READY): pyproject.toml packaging/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint packaging/constraints.txt --editable '.[all,demo]' --group dev
	touch $(READY)

install: $(READY)  ## make .venv with the daemon and all that its tests need

demo: $(READY)  ## see it work: a fake provider, the daemon, both official SDKs, the breaker
	$(BIN)/aibridged demo

run: $(READY)  ## start the daemon for real use (settings from the environment, see README)
	$(BIN)/aibridged serve $(ARGS)

test: $(READY)  ## run all tests
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY)  ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## CPU a request and a streamed event, beside nginx where it is installed
	$(BIN)/python -m bench $(ARGS)

clean:  ## remove .venv and caches
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
