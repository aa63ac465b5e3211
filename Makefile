# `make help` lists the targets. All but install and uninstall happen in .venv, which is made on
# first use.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
DIST = dist

# Where `make install` puts things; with DESTDIR, what is below it becomes a package. Settings are in
# /etc, and those of an installation with a prefix of its own below that.
PREFIX ?= /usr/local
override PREFIX := $(abspath $(PREFIX))
SYSCONFDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
DESTDIR ?=

# Bytecode is kept, whatever the environment says: the tests start hundreds of daemons, and each would
# compile all of the package again, in 0.3 s.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help dev demo run test drills drill-replicas abuse agents test-keycloak ledger pictures lint format bench bench-growth bench-scale queries manual requirements \
	build dist install uninstall clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

$(READY): pyproject.toml packaging/constraints.txt
	@echo 'Making $(VENV): the daemon with all that its demo and tests need, about 120 packages.'
	@echo 'That takes a minute or two, once.'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
		--constraint packaging/constraints.txt --editable '.[all,demo,parquet]' --group dev
	@$(BIN)/python -m compileall -q aibridged
	@touch $(READY)

dev: $(READY)  ## make .venv with the daemon and all that its tests need

demo: $(READY)  ## see it work: a fake provider, both official SDKs, the breaker, tools, the record
	$(BIN)/aibridged demo $(ARGS)

run: $(READY)  ## start the daemon for real use (settings from the environment, see docs/settings.md)
	$(BIN)/aibridged serve $(ARGS)

test: $(READY)  ## run all tests but the drills
	$(BIN)/python -m pytest -m 'not drill' --numprocesses auto --maxprocesses 4 $(ARGS)

drill-replicas: $(READY)  ## three replicas behind HAProxy: partitions, kills, frozen ones, a failover of PostgreSQL (root)
	AIBRIDGED_DRILL_WHOLE=1 $(BIN)/python -m pytest -m drill -s --timeout 900 -o faulthandler_timeout=0 $(ARGS) tests/e2e/replicas

drills: $(READY)  ## tests that take long: packaging, a browser, kills, full disks, frozen databases
	$(BIN)/python -m pytest -m drill --numprocesses auto --maxprocesses 4 --timeout 300 $(ARGS)

abuse: $(READY)  ## hostile requests and providers at full length, and what others noticed
	AIBRIDGED_ABUSE=1 $(BIN)/python -m pytest tests/e2e/abuse tests/e2e/test_hostile_providers.py \
		tests/wire/test_odd_providers.py \
		-q -s $(ARGS)

# NAMES="claude codex" are only these; without, all that can be had.
AGENTS ?= .agents
NAMES ?=

agents: $(READY)  ## real coding agents (from npm and PyPI) through the daemon, and what is on record
	$(BIN)/python -m tests.e2e.agents.packages '$(AGENTS)' $(NAMES)
	AIBRIDGED_AGENTS='$(AGENTS)' $(BIN)/python -m pytest tests/e2e/agents \
		tests/e2e/sign_in/test_claude_code.py -rP \
		-o faulthandler_timeout=0 $(ARGS)

# A real Keycloak, through mvn; it needs Java 17.
KEYCLOAK ?= .keycloak

test-keycloak: $(READY)  ## signing in at a real Keycloak (from Maven Central; needs mvn and Java 17)
	$(BIN)/python -m tests.e2e.keycloak.server '$(KEYCLOAK)'
	AIBRIDGED_KEYCLOAK='$(KEYCLOAK)' $(BIN)/python -m pytest tests/e2e/keycloak -rP \
		-o faulthandler_timeout=0 $(ARGS)

ledger: $(READY)  ## kill the daemon 200 times, and compare the record with what clients have seen
	AIBRIDGED_KILLS=200 $(BIN)/python -m pytest tests/e2e/test_ledger.py -q -k killed --timeout 900 \
		-o faulthandler_timeout=0 $(ARGS)

pictures: $(READY)  ## pictures of the web page for docs/, by Chromium
	AIBRIDGED_PICTURES=docs/pictures $(BIN)/python -m pytest tests/e2e/ui/test_pictures.py -q $(ARGS)

lint: $(READY)  ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## CPU a request and a streamed event, beside nginx where it is installed
	$(BIN)/python -m bench $(ARGS)

bench-growth: $(READY)  ## how the cost grows with bodies, messages, tools, streams, callers and rows
	$(BIN)/python -m bench.growth $(ARGS)

# LITELLM= leaves it out; it takes 800 MB.
LITELLM ?= .litellm

bench-scale: $(READY)  ## requests a second with more workers, beside LiteLLM (from PyPI)
ifneq ($(LITELLM),)
	test -e '$(LITELLM)' || { $(PYTHON) -m venv '$(LITELLM)' && '$(LITELLM)/bin/pip' install --quiet 'litellm[proxy]'; }
endif
	$(BIN)/python -m bench.scale $(if $(LITELLM),--litellm '$(LITELLM)/bin/litellm') $(ARGS)

queries: $(READY)  ## how long questions about 100 000 interceptions take; half a second is the goal
	$(BIN)/python -m bench.queries $(ARGS)

manual: $(READY)  ## regenerate man/ and completions/ from the settings and the commands
	$(BIN)/python -m tools.manual

requirements: $(READY)  ## list the libraries of packaging/constraints.txt again, with their hashes
	{ echo '# The libraries of aibridged[all], with the hashes of every file of each version. Made of'; \
	echo '# constraints.txt by `make requirements`.'; \
	$(BIN)/uv pip compile pyproject.toml --quiet --extra all --universal --python-version 3.11 \
		--constraint packaging/constraints.txt --generate-hashes --no-annotate --no-header; } \
		>packaging/requirements.txt

build: $(READY)  ## build the wheels and the source archive, in dist/
	rm -rf $(DIST)
	$(BIN)/python -m build --no-isolation --outdir $(DIST)
	$(BIN)/python -m build --no-isolation --wheel --outdir $(DIST) packaging/login

# The list of components needs the version, which pyproject.toml leaves to the package.
dist: build  ## build them, with an SBOM (CycloneDX) and checksums
	version=$$($(BIN)/python -c 'import aibridged; print(aibridged.__version__)') && \
	sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml >$(DIST)/pyproject.toml && \
	$(BIN)/cyclonedx-py requirements packaging/requirements.txt --output-reproducible \
		--pyproject $(DIST)/pyproject.toml --output-format JSON \
		--output-file $(DIST)/aibridged-$$version.cdx.json
	rm $(DIST)/pyproject.toml
	cd $(DIST) && sha256sum aibridged* >SHA256SUMS

install: build  ## install command, manual, completions and units (PREFIX=, SYSCONFDIR=, DESTDIR=)
ifdef DESTDIR
	TOOLS=$(BIN) packaging/install stage '$(PYTHON)' "$$(echo $(DIST)/aibridged-*.whl)" '$(PREFIX)' \
		'$(SYSCONFDIR)' '$(DESTDIR)'
else
	packaging/install install '$(PYTHON)' "$$(echo $(DIST)/aibridged-*.whl)" '$(PREFIX)' '$(SYSCONFDIR)'
endif

uninstall:  ## remove that again, but neither changed settings nor records
	packaging/install uninstall '$(PREFIX)' '$(SYSCONFDIR)'

clean:  ## remove .venv and caches
	rm -rf $(VENV) $(DIST) .pytest_cache .mypy_cache .ruff_cache .hypothesis
