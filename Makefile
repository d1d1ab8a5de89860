# make run    starts the bridge on its embedded database
# make test   runs the whole test suite
# make test-clients
#             runs real clients, installed from npm into .clients/, against the bridge
# make faults
#             prints what becomes of every fault of a provider, as it is seen now
# make loss   kills, stops and fills up everything under load, and counts what is lost (an hour;
#             make loss SCENARIOS="a c" LOSS_REQUESTS=1000 LOSS_RATE=40 LOSS_SEED=7)
# make soak   puts the bridge under load for half an hour, and says whether anything grew
# make fuzz   runs hypothesis on everything that reads what others wrote, ten minutes for each target
# make lint   checks style, types and floors
# make bench  compares the bridge with bare Klein + treq and nginx, at full speed and at a given pace, with
#             one worker and with two, and times journal and writer (20 minutes; make bench BENCH=--quick)
# make bench-retention
#             times retention and writer beside ten million interceptions (15 GB, 15 minutes)
# make bench-store
#             times the store on two million made-up interceptions (12 GB)
# make bench-peers
#             installs other gateways into .bench/ and compares the bridge with them

PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-clients faults loss soak fuzz lint bench bench-retention bench-store bench-peers requirements clean

run: $(VENV)/.runtime
	PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 $(BIN)/twistd -n --pidfile= aibridge --config etc/bridge.yaml

test: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m twisted.trial --reporter=text tests

# Of one of them only: make test-clients CLIENTS=codex
CLIENTS ?= claude_code codex opencode copilot_cli

test-clients: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m twisted.trial --reporter=text $(CLIENTS:%=tests.clients.%)

faults: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m tests.faults

SCENARIOS ?=
LOSS_REQUESTS ?= 10000
LOSS_RATE ?= 40
LOSS_SEED ?=

loss: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m tests.loss $(SCENARIOS) --requests $(LOSS_REQUESTS) --rate $(LOSS_RATE) \
		$(LOSS_SEED:%=--seed %) --json loss.json

SOAK_SECONDS ?= 1800
SOAK_RATE ?= 40

soak: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS) --rate $(SOAK_RATE)

FUZZ_SECONDS ?= 600
TARGETS ?=

fuzz: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m tests.fuzz $(TARGETS) --seconds $(FUZZ_SECONDS)

lint: $(VENV)/.development
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# A tenth of it: make bench BENCH=--quick
BENCH ?=

bench: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m benchmarks $(BENCH)
	PYTHONPATH=. $(BIN)/python -m benchmarks.paced $(BENCH) $(if $(BENCH),,--chart docs/performance.svg)
	PYTHONPATH=. $(BIN)/python -m benchmarks.workers $(BENCH)
	PYTHONPATH=. $(BIN)/python -m benchmarks.journal $(BENCH)

bench-retention: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m benchmarks.retention

# Smaller and kept: make bench-store SIZE="--interceptions 100000 --data-dir /tmp/store"
SIZE ?=

bench-store: $(VENV)/.development
	PYTHONPATH=. $(BIN)/python -m benchmarks.store $(SIZE)

# Other gateways, in an environment of their own.
bench-peers: $(VENV)/.development .bench/.installed
	PYTHONPATH=. $(BIN)/python -m benchmarks.peers

.bench/.installed: benchmarks/peers-requirements.txt
	$(PYTHON) -m venv .bench/python
	.bench/python/bin/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/peers-requirements.txt
	if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix .bench/node @portkey-ai/gateway@1.15.2; fi
	touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "AI Bridge needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The versions of requirements.txt, checked by hash; the bridge itself from this checkout.
$(VENV)/.runtime: setup.cfg pyproject.toml requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.development: $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	touch $@

# Writes requirements.txt anew from setup.cfg: newest versions, with their hashes.
requirements: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	$(BIN)/python -m piptools compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --output-file requirements.txt setup.cfg

clean:
	rm -rf $(VENV) .clients build dist src/*.egg-info _trial_temp*
