# Everything runs in .venv, made from the hashed lock; nothing else is touched.
# Of the Python on the path the distribution's build, where it has one: that is compiled
# with profile-guided optimisation, a version manager's often is not (docs/performance.md).
ITS_VERSION := import ensurepip, sys; print(sys.version_info[:2])
PYTHON ?= $(shell test "$$(/usr/bin/python3 -c '$(ITS_VERSION)' 2>&1)" = "$$(python3 -c '$(ITS_VERSION)' 2>&1)" && echo /usr/bin/python3 || echo python3)
BIN := .venv/bin
STAMP := .venv/.installed
FSCK := .sluice/foreign/fsck
PACKAGES := schemas pipeline infra consumers producers demo benchmarks training evaluation examples tests

.PHONY: help install demo up down test check fmt lint types imports shape unit integration e2e simulate chaos bench docs wheel wheel-test lock clean
.DEFAULT_GOAL := help

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(STAMP): requirements/dev.txt pyproject.toml
	@echo "installing into .venv (hashes required)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP)  ## make .venv

demo: $(STAMP)  ## the tour: everything from nothing, on this machine
	@$(BIN)/python -m demo tour

up: $(STAMP)  ## start Sluice for your own requests; leaves it running
	@$(BIN)/python -m demo up

down: $(STAMP)  ## stop what `make up` started
	@$(BIN)/python -m demo down

# What measures, or stops several servers, never runs beside other tests: a pass of its
# own, over those files alone.
define passes
$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not serial" $(1); beside=$$?; \
	$(BIN)/pytest -m serial $$(grep -rl --include='test_*.py' 'mark\.serial' $(1)) \
	&& exit $$beside
endef

test: $(STAMP)  ## every test, on the real broker and the real database
	$(call passes,tests)

unit: $(STAMP)  ## the tests that touch nothing
	$(call passes,tests/unit tests/component tests/architecture)

integration: $(STAMP)  ## the tests on real Kafka and Postgres
	$(BIN)/pytest tests/contract tests/integration

e2e: $(STAMP)  ## the tests with real clients
	$(BIN)/pytest tests/e2e

simulate: $(STAMP)  ## seed after seed until one fails; FROM=1000 SEEDS=0 (0: for ever)
	@$(BIN)/python -m tests.simulation --from $(or $(FROM),1000) --seeds $(or $(SEEDS),0)

chaos: $(STAMP)  ## kill -9 of everything under load; KILLS=200 SEED=0 (0: one is drawn)
	@$(BIN)/python -m tests.chaos --kills $(or $(KILLS),200) --seed $(or $(SEED),0)

bench: $(STAMP)  ## rates and costs beside the raw limit of the same run
	$(BIN)/python -m benchmarks

train: $(STAMP)  ## the names model, from our own templates
	$(BIN)/python -m training

eval: $(STAMP)  ## what detection finds, on labelled data beside the checkout
	$(BIN)/python -m evaluation

$(FSCK):
	@GOBIN=$(abspath $(@D)) go install github.com/transparency-dev/tessera/cmd/fsck@v1.0.4

verify-foreign: $(STAMP) $(FSCK)  ## Tessera's fsck on exports; needs Go and its module proxy
	$(BIN)/python -m tests.foreign.fsck $(FSCK)

check: fmt-check lint types imports shape  ## everything that judges without running

fmt: $(STAMP)  ## format
	$(BIN)/ruff format $(PACKAGES)
	$(BIN)/ruff check --fix --quiet $(PACKAGES)

fmt-check: $(STAMP)
	$(BIN)/ruff format --check --quiet $(PACKAGES)

lint: $(STAMP)  ## ruff, every rule
	$(BIN)/ruff check $(PACKAGES)

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy $(PACKAGES)

imports: $(STAMP)  ## the layers
	$(BIN)/lint-imports

shape: $(STAMP)  ## sizes of functions and modules
	@$(BIN)/python -m tests.support.shape

docs: $(STAMP)  ## write docs/reference
	$(BIN)/python -m schemas.asyncapi > docs/reference/asyncapi.json

wheel-test: $(STAMP)  ## the wheel in a clean environment: files, owners, imports, commands, tests
	$(BIN)/python -m tests.support.wheel

wheel: $(STAMP)  ## build the wheel
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

lock: $(STAMP)  ## resolve the lock files again
	requirements/lock.sh

clean: down  ## remove what runs left here
	rm -rf .sluice dist build
