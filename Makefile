# Two commands do everything: `make serve` and `make test`. Both install what they need first,
# and do nothing of the kind when nothing has changed.
# Which Python makes the environments; tools/make-venv chooses one if this is empty.
PYTHON ?=
VENV ?= .venv
ARGS ?=
PYTHON2 ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

# The newest package versions are locked on the oldest Python that we support, so that what only
# that one needs is in the lock as well.
LOCK_PYTHON ?= python3.11
PIP_TOOLS := pip-tools==7.6.2
UPGRADE ?=

NODE_LOCKS := $(if $(shell command -v npm),$(wildcard $(addsuffix /package-lock.json,tests/node clients/typescript web)))
SITE_INSTALLED := site/node_modules/.installed
WEBSOCKETS_13 := $(wildcard tests/compat/requirements-websockets13.txt)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev serve test check docs web wheel lock autobahn clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(VENV)/.installed web ## create .venv, install Tokenferry into it, and build its pages

setup-dev: $(VENV)/.installed-dev ## setup, and what the tests and checks need
setup-dev: $(NODE_LOCKS:%/package-lock.json=%/node_modules/.installed)
setup-dev: $(WEBSOCKETS_13:tests/compat/%.txt=build/websockets13/.installed)

$(VENV)/.made:
	@tools/make-venv "$(PYTHON)" $(VENV)
	@touch $@

# The pages: built anew when a source of theirs has changed. Without node the gateway runs without them.
WEB := src/tokenferry/server/web/console.html
WEB_SOURCES := $(shell find web clients/typescript/src -type f \
  -not -path '*/node_modules/*' -not -path 'web/test/*' 2>/dev/null)

web: $(if $(shell command -v npm),$(WEB)) ## build the pages, if they have changed

$(WEB): $(WEB_SOURCES) | web/node_modules/.installed
	@echo "Building the pages ..."
	@cd web && npm run --silent build -- --logLevel warn
	@touch $@

$(VENV)/.installed: requirements.txt requirements-build.txt pyproject.toml clients/python/pyproject.toml | $(VENV)/.made
	@echo "Installing Tokenferry and its pinned packages into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements.txt -r requirements-build.txt
	@$(PIP) --no-deps --no-build-isolation --editable . --editable clients/python
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the tools that tests and checks need (once, about 150 MB) ..."
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

%/node_modules/.installed: %/package.json %/package-lock.json
	@echo "Installing the Node packages of $* ..."
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

build/websockets13/.installed: tests/compat/requirements-websockets13.txt | $(VENV)/.made
	@echo "Installing websockets 13, which older clients use, beside the newest ..."
	@rm -rf build/websockets13
	@$(PIP) --no-deps --require-hashes --target build/websockets13 -r $<
	@touch $@

serve: setup ## start the gateway: make serve ARGS="--port 8123"
	@exec $(BIN)/python -m tokenferry serve $(ARGS)

# Many tests wait for sockets rather than for a core: half as many processes again as there are
# cores. What one of them still has to do, another that is done takes over.
TEST_PROCESSES ?= $(shell $(BIN)/python -c 'import os; n = os.cpu_count() or 1; print(n + (n + 1) // 2)')

test: setup-dev web ## run the tests, several at a time: make test ARGS="-k demo"
	@exec $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal $(ARGS)

check: setup-dev ## linter, formatter, types and import contracts
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	PYTHONPATH=clients/python/src $(BIN)/lint-imports
	$(if $(shell command -v npm),cd web && npm run --silent check)
	$(if $(shell command -v npm),cd clients/typescript && npm run --silent check)

docs: $(SITE_INSTALLED) ## the documentation as a site, into build/site; fails on a dead link
	@cd site && npm run --silent build && npm run --silent test
	@echo "To read it: $(BIN)/python -m http.server --directory build/site 8080"

wheel: setup-dev web ## build dist/*.tar.gz, and from them dist/*.whl: the gateway, and its Python client
	@rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m build --no-isolation --outdir dist clients/python

# `make test` has 40 examples of each property that does not ask for more.
.PHONY: properties
properties: setup-dev ## the pure modules' properties with ten times as many examples
	@PROPERTY_EXAMPLES=400 $(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist worksteal \
	  tests/domain tests/protocol tests/engine tests/providers tests/stores tests/config $(ARGS)

# Pages by theme, language, width and state; `make test` examines two looks, which see everything.
.PHONY: axe
axe: setup-dev web ## axe over every page in every look, some minutes
	@AXE_EVERY=1 $(BIN)/python -m pytest -q tests/browser -k axe $(ARGS)

# Pinned as all else, and large: not a part of `make setup-dev`.
.PHONY: runtimes
runtimes: setup-dev tests/runtimes/node_modules/.installed ## the TypeScript client in the newest Node, Bun and Deno (once, 400 MB)
	@RUNTIMES_EVERY=1 $(BIN)/python -m pytest -q tests/integration/test_typescript_package.py -k runtime $(ARGS)

# Of a gateway with some weeks behind it, all of which its demo model has answered.
.PHONY: pictures
pictures: setup-dev web ## pictures of every page for docs/images, five minutes: make pictures ARGS="--only keys"
	@PYTHONPATH=tests:. $(BIN)/python -m pictures.run $(ARGS)

# docs/mutants.md says which modules, and what was left.
.PHONY: mutants
mutants: setup-dev ## small changes that tests must notice: make mutants ARGS="MODULE TESTS..."
	@$(BIN)/python tools/mutate.py $(ARGS)

autobahn: setup-dev ## WebSocket conformance of the transport; needs CPython 2.7, PYTHON2=...
	@$(BIN)/python tests/autobahn/run.py --python2 "$(PYTHON2)"

PIP_COMPILE := build/lock-venv/bin/pip-compile --quiet --no-header --generate-hashes --strip-extras \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe $(UPGRADE)

lock: build/lock-venv/.made ## write requirements*.txt anew: make lock UPGRADE=--upgrade
	$(PIP_COMPILE) --output-file requirements.txt --extra telemetry pyproject.toml
	$(PIP_COMPILE) --output-file requirements-build.txt --constraint requirements.txt \
	  --only-build-deps --build-deps-for editable --build-deps-for wheel pyproject.toml
	$(PIP_COMPILE) --output-file requirements-dev.txt --constraint requirements.txt \
	  --constraint requirements-build.txt --extra dev --extra telemetry pyproject.toml
	tools/sign-lock requirements.txt requirements-build.txt requirements-dev.txt

build/lock-venv/.made: Makefile
	@tools/make-venv $(LOCK_PYTHON) build/lock-venv
	@build/lock-venv/bin/python -m pip install --quiet --disable-pip-version-check '$(PIP_TOOLS)'
	@touch $@

clean: ## remove what was built, but no data and no .venv
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# The benchmark measures on loopback against nginx; bench/README.md says what, and how.
.PHONY: bench bench-short bench-peers
bench: setup-dev ## the figures, some minutes on an idle machine; writes bench/RESULTS.md
	@$(BIN)/python -m bench.run

bench-short: setup-dev ## the same in under a minute; fails on lost tokens only, writes nothing
	@$(BIN)/python -m bench.run --short

bench-peers: setup-dev .venv-peers/.installed ## bench with LiteLLM beside it, from a venv of its own
	@$(BIN)/python -m bench.run --peers

# Fair under pressure: docs/queue.md, docs/limits.md, docs/routing.md.
.PHONY: rush rush-short
rush: setup-dev ## more asked than can be served: limits, lines, faults, and one table
	@$(BIN)/python -m rush.run $(ARGS)

rush-short: setup-dev ## the same in under half a minute
	@$(BIN)/python -m rush.run --short $(ARGS)

# Payments without a payment provider: docs/payments.md.
.PHONY: emulators
emulators: setup-dev ## Toss Payments, PortOne and Stripe, emulated: make emulators ARGS="--gateway URL"
	@$(BIN)/python -m emulators.run $(ARGS)

# The proof that streams survive; chaos/README.md says what is killed and cut, and what is counted.
.PHONY: chaos chaos-short
chaos: setup-dev ## 500 kills and 10,000 cuts, under 20 minutes: make chaos ARGS="--seed 7"
	@$(BIN)/python -m chaos.run $(ARGS)

chaos-short: setup-dev ## a few kills and a hundred cuts, under half a minute
	@$(BIN)/python -m chaos.run --short $(ARGS)

# The engine alone, in a world of dice: tests/simulation. SIMULATION_SEED=7 make simulate replays one.
SEEDS ?= 5000
.PHONY: simulate
simulate: setup-dev ## thousands of simulated lives of the engine, some two minutes: make simulate SEEDS=20000
	@SIMULATION_SEEDS=$(SEEDS) $(BIN)/python -m pytest -q tests/simulation/test_seeds.py $(ARGS)

.venv-peers/.installed: bench/requirements-peers.txt
	@echo "Installing LiteLLM into .venv-peers (once, about 750 MB) ..."
	@tools/make-venv "$(PYTHON)" .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r $<
	@touch $@
