# `make help` lists the targets. All but install and uninstall happen in .venv, which is made on
# first use.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
DIST = dist

# Where `make install` puts things; with DESTDIR, what is below it becomes a package.
PREFIX ?= /usr/local
DESTDIR ?=
LIB = $(PREFIX)/lib/aibridged
ETC = $(DESTDIR)/etc/aibridged
# What the wheel brings beside the package, as systems look for it below PREFIX.
SHARED = share/man share/bash-completion share/zsh share/fish lib/systemd

.DEFAULT_GOAL := help
.PHONY: help dev demo run test abuse agents ledger lint format bench queries manual dist install uninstall \
	clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

$(READY): pyproject.toml packaging/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint packaging/constraints.txt --editable '.[all,demo]' --group dev
	touch $(READY)

dev: $(READY)  ## make .venv with the daemon and all that its tests need

demo: $(READY)  ## see it work: a fake provider, both official SDKs, the breaker, tools, the record
	$(BIN)/aibridged demo

run: $(READY)  ## start the daemon for real use (settings from the environment, see docs/settings.md)
	$(BIN)/aibridged serve $(ARGS)

test: $(READY)  ## run all tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 $(ARGS)

abuse: $(READY)  ## hostile requests and providers at full length, and what others noticed
	AIBRIDGED_ABUSE=1 $(BIN)/python -m pytest tests/e2e/abuse tests/e2e/test_hostile_providers.py \
		tests/wire/test_odd_providers.py \
		-q -s $(ARGS)

# NAMES="claude codex" are only these; without, all that can be had.
AGENTS ?= .agents
NAMES ?=

agents: $(READY)  ## real coding agents (from npm and PyPI) through the daemon, and what is on record
	$(BIN)/python -m tests.e2e.agents.packages '$(AGENTS)' $(NAMES)
	AIBRIDGED_AGENTS='$(AGENTS)' $(BIN)/python -m pytest tests/e2e/agents -rP \
		-o faulthandler_timeout=0 $(ARGS)

ledger: $(READY)  ## kill the daemon 200 times, and compare the record with what clients have seen
	AIBRIDGED_KILLS=200 $(BIN)/python -m pytest tests/e2e/test_ledger.py -q -k killed --timeout 900 $(ARGS)

lint: $(READY)  ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## CPU a request and a streamed event, beside nginx where it is installed
	$(BIN)/python -m bench $(ARGS)

queries: $(READY)  ## how long questions about 100 000 interceptions take; half a second is the goal
	$(BIN)/python -m bench.queries $(ARGS)

manual: $(READY)  ## regenerate man/ and completions/ from the settings and the commands
	$(BIN)/python -m tools.manual

dist: $(READY)  ## build the wheel and the source archive, in dist/
	rm -rf $(DIST)
	$(BIN)/python -m build --no-isolation --outdir $(DIST)

# Into a package goes the wheel alone: what it depends on is the package's to say. On this machine
# it gets an environment of its own, so that no other program's libraries change.
install: dist  ## install the command, manual, completions, units (PREFIX=, DESTDIR=)
ifdef DESTDIR
	DEB_PYTHON_INSTALL_LAYOUT=deb $(BIN)/python -m pip --python '$(PYTHON)' install --quiet \
		--no-deps --ignore-installed --root '$(DESTDIR)' --prefix '$(PREFIX)' $(DIST)/*.whl
else
	$(PYTHON) -m venv --clear '$(LIB)'
	'$(LIB)/bin/python' -m pip install --quiet --disable-pip-version-check \
		--constraint packaging/constraints.txt "$$(echo $(DIST)/*.whl)[all]"
	install -d '$(PREFIX)/bin'
	ln -sf '$(LIB)/bin/aibridged' '$(PREFIX)/bin/aibridged'
	cd '$(LIB)' && find $(SHARED) -name '*aibridged*' -type f \
		-exec install -D -m 644 '{}' '$(PREFIX)/{}' ';'
endif
	install -d -m 755 '$(ETC)'
	install -d -m 700 '$(ETC)/credentials'
	test -e '$(ETC)/aibridged.env' || install -m 600 packaging/systemd/aibridged.env '$(ETC)'
	test -e '$(ETC)/aibridged.yaml' || \
		$(BIN)/python -m aibridged sample-config >'$(ETC)/aibridged.yaml'

uninstall:  ## remove that again, but neither settings nor records
	test ! -d '$(LIB)' || (cd '$(LIB)' && find $(SHARED) -name '*aibridged*' -type f) | \
		(cd '$(PREFIX)' && xargs rm -f)
	rm -rf '$(LIB)' '$(PREFIX)/bin/aibridged'

clean:  ## remove .venv and caches
	rm -rf $(VENV) $(DIST) .pytest_cache .mypy_cache .ruff_cache .hypothesis
