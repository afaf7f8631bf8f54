# What a person can do here. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := 0.1.1
PG_CONFIG ?= $(shell scripts/find-pg-config)
PG_MAJOR = $(shell $(PG_CONFIG) --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR PG_CONFIG
export PGRX_PG_CONFIG_PATH = $(PG_CONFIG)

# The extension is a library, a control file and SQL. The SQL is written by hand, a file an
# object; the script of the current version is those files one after another.
SCRIPT := $(CARGO_TARGET_DIR)/message_store--$(VERSION).sql
SCRIPT_PARTS := $(wildcard sql/roles/*.sql sql/types/*.sql sql/functions/*.sql sql/privileges/*.sql)
LIBRARY := $(CARGO_TARGET_DIR)/release/libmessage_store.so

.PHONY: help
help: ## list what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: build
build: $(SCRIPT) ## build the extension and the orchestrator
	cargo build --release --locked --features pg$(PG_MAJOR) --no-default-features -p message_store
	cargo build --release --locked -p orchestrator

$(SCRIPT): $(SCRIPT_PARTS)
	mkdir -p $(@D)
	cat sql/roles/*.sql sql/types/*.sql sql/functions/*.sql sql/privileges/*.sql > $@
