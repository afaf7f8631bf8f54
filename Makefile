# What a person can do here. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Targets run in the order in which they are named; cargo uses the cores.
.NOTPARALLEL:

export CARGO_TARGET_DIR ?= $(CURDIR)/target

# The PostgreSQL is looked for when a recipe needs it: `setup` may just have installed it.
FIND_PG_CONFIG = PG_CONFIG='$(PG_CONFIG)' scripts/find-pg-config
CHOOSE_POSTGRESQL = export PG_CONFIG=$$($(FIND_PG_CONFIG)); \
	export PGRX_PG_CONFIG_PATH=$$PG_CONFIG; \
	major=$$(scripts/check-postgresql)

# One selection of features for everything in the dev profile, so that clippy and the tests share
# what they compile.
WORKSPACE = --workspace --locked --no-default-features \
	--features message_store/pg$$major,orchestrator/home-page
# The build without the demo's home page.
OPERATORS = -p orchestrator --locked --no-default-features
# The build that sends traces, and its test.
TRACING = -p orchestrator -p promises --locked \
	--features orchestrator/opentelemetry,promises/opentelemetry

.PHONY: help
help: ## list what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18
	@echo
	@echo '  PG_CONFIG=/path/to/pg_config chooses the PostgreSQL (15 to 18).'

.PHONY: run
run: setup-run install-with-sudo orchestrator ## install what is missing, build, and start it all: Ctrl-C stops it
	@export PG_CONFIG=$$($(FIND_PG_CONFIG)); exec $(CARGO_TARGET_DIR)/release/orchestrator up $(ARGS)

.PHONY: test
test: setup-test check pgrx-test install-with-sudo orchestrator ## set-up, lint, unit tests, promises: on one PostgreSQL
	$(CHOOSE_POSTGRESQL); \
	cargo test $(WORKSPACE) --doc --quiet; \
	ORCHESTRATOR=$(CARGO_TARGET_DIR)/release/orchestrator \
		scripts/cargo-test $(WORKSPACE) --lib --bins --tests --no-fail-fast; \
	cargo test $(OPERATORS) --lib; \
	cargo build $(TRACING) --bins; \
	ORCHESTRATOR=$(CARGO_TARGET_DIR)/debug/orchestrator cargo test $(TRACING) --test traces; \
	cargo test $(TRACING) --lib -- traces telemetry

.PHONY: test-versions
test-versions: setup-test orchestrator ## on PostgreSQL 16, 17 and 18, which it fetches (SUITES=short: fewer tests)
	@$(CHOOSE_POSTGRESQL); ORCHESTRATOR=$(CARGO_TARGET_DIR)/release/orchestrator \
		scripts/test-versions $(WORKSPACE)

.PHONY: test-cluster
test-cluster: setup-test install-with-sudo orchestrator ## fifty fail-overs under Patroni, beside writers: as root
	@$(CHOOSE_POSTGRESQL); ORCHESTRATOR=$(CARGO_TARGET_DIR)/release/orchestrator \
		PROMISES_FAIL_OVERS=$${PROMISES_FAIL_OVERS:-50} \
		scripts/cargo-test $(WORKSPACE) --test fail_over -- --nocapture

.PHONY: pgrx-test
pgrx-test: setup-test ## the tests that run inside PostgreSQL, by cargo pgrx test
	@$(CHOOSE_POSTGRESQL); scripts/pgrx-test

.PHONY: check
check: ## formatting, clippy with warnings denied, no unsafe outside extension/src/pg/
	cargo fmt --all --check
	scripts/check-unsafe
	$(CHOOSE_POSTGRESQL); cargo clippy $(WORKSPACE) --all-targets -- -D warnings
	$(CHOOSE_POSTGRESQL); cargo clippy -p message_store --locked --no-default-features \
		--features pg$$major,pg_test --all-targets -- -D warnings
	cargo clippy $(OPERATORS) --all-targets -- -D warnings
	cargo clippy $(TRACING) --all-targets -- -D warnings

# What the client of PGXN calls.
.PHONY: all
all: build

.PHONY: build
build: extension orchestrator ## build the extension and the orchestrator, and install nothing

.PHONY: install
install: extension ## install the extension into the PostgreSQL of PG_CONFIG
	@$(CHOOSE_POSTGRESQL); scripts/install $(CARGO_TARGET_DIR)/message_store

.PHONY: packages
packages: setup-packages build ## Debian packages of the extension, for that PostgreSQL, and of the orchestrator
	@$(CHOOSE_POSTGRESQL); scripts/build-packages

.PHONY: test-packages
test-packages: packages ## install, use and purge the packages in a bare system (as root, or by sudo)
	@sudo=; [ "$$EUID" -eq 0 ] || sudo=sudo; $$sudo tests/packages/run $(CARGO_TARGET_DIR)/packages

.PHONY: test-containers
test-containers: setup-containers ## build the images, and run compose.yaml (as root, or by sudo)
	@sudo=; [ "$$EUID" -eq 0 ] || sudo='sudo --preserve-env=PATH'; $$sudo tests/containers/run

.PHONY: valgrind
valgrind: setup-test install-with-sudo ## attacks, fuzzer and tests of subscriptions on a server under valgrind
	@$(CHOOSE_POSTGRESQL); \
	scripts/valgrind cargo test $(WORKSPACE) --test attacks -- --nocapture fuzz; \
	scripts/valgrind cargo test $(WORKSPACE) --test attacks in_sql; \
	scripts/valgrind cargo test $(WORKSPACE) --test write_messages --test subscriptions

.PHONY: bench
bench: setup-bench install-with-sudo orchestrator ## measure beside Message DB and others (ARGS='write --rounds 7')
	@$(CHOOSE_POSTGRESQL); scripts/bench $(ARGS)

.PHONY: pictures
pictures: setup-test install-with-sudo orchestrator ## remake the pictures of README.md and docs/ in a browser: six minutes
	$(CHOOSE_POSTGRESQL); ORCHESTRATOR=$(CARGO_TARGET_DIR)/release/orchestrator \
		cargo test $(WORKSPACE) --test pictures -- --ignored
	@for name in home overview subscription; do \
		cp $(CARGO_TARGET_DIR)/screenshots/readme-$$name.png docs/images/$$name.png; done

.PHONY: deny
deny: ## licences, bans and sources of all dependencies (installs cargo-deny if missing)
	@command -v cargo-deny >/dev/null || { \
		echo 'cargo-deny is missing: cargo install cargo-deny --locked'; \
		env -u CARGO_TARGET_DIR cargo install cargo-deny --locked; }
	cargo deny check licenses bans sources

# What counts as a mutant changes with the version.
CARGO_MUTANTS = 27.1.0

.PHONY: mutants
mutants: ## small mistakes where no server is needed: unit tests see each (installs cargo-mutants if missing)
	@[ "$$(cargo mutants --version 2>/dev/null)" = 'cargo-mutants $(CARGO_MUTANTS)' ] || { \
		echo 'cargo-mutants $(CARGO_MUTANTS) is missing: cargo install cargo-mutants --version $(CARGO_MUTANTS) --locked'; \
		env -u CARGO_TARGET_DIR cargo install cargo-mutants --version $(CARGO_MUTANTS) --locked; }
	$(CHOOSE_POSTGRESQL); CARGO_INCREMENTAL=1 RUST_BACKTRACE=0 cargo mutants -p message_store \
		--no-default-features --features pg$$major --minimum-test-timeout 60 --output $(CARGO_TARGET_DIR) \
		-- --lib

.PHONY: clean
clean: ## remove what was built; the data in .message_store stays
	cargo clean
	rm -rf tests/peers/node_modules tests/peers/practical-microservices/node_modules tests/peers/.venv
	rm -rf tests/browser/node_modules examples/node/node_modules examples/python/.venv
	rm -rf bench/peers/node/node_modules bench/peers/python/.venv
	rm -rf tests/other_stores/emmett/node_modules tests/other_stores/eventsourcing/.venv

# The steps that the targets above are made of.

.PHONY: setup-run setup-test setup-bench setup-packages setup-containers
setup-run setup-test setup-bench setup-packages setup-containers: setup-%:
	@PG_CONFIG='$(PG_CONFIG)' scripts/setup $*

.PHONY: extension
extension:
	@$(CHOOSE_POSTGRESQL); scripts/build-extension

.PHONY: orchestrator
orchestrator:
	cargo build --release --locked -p orchestrator

.PHONY: install-with-sudo
install-with-sudo: extension
	@$(CHOOSE_POSTGRESQL); scripts/install --sudo $(CARGO_TARGET_DIR)/message_store
