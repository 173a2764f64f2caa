LISTEN ?= 127.0.0.1:8080
ARGS ?=
BALANCER ?= nginx
.DEFAULT_GOAL := help
.PHONY: help run up down setup test foreign torture lint fmt bench docs deny

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and run one node, its rooms in memory (LISTEN=8090; ARGS for `roomcast serve`)
	@scripts/run.sh '$(LISTEN)' $(ARGS)

up: setup ## Run docker-compose.yml without Docker: three nodes, Redis, Prometheus (BALANCER=nginx or haproxy)
	@scripts/up.sh check $(BALANCER)
	cargo build --profile quick --locked --bin roomcast && scripts/up.sh up $(BALANCER)

down: ## End what `make up` started
	@scripts/up.sh down

setup: ## Install what the tests and `make up` need: Debian, Python and npm packages
	@scripts/setup.sh

test: ## Set up, then everything that must hold before a change is merged
	@scripts/test.sh

foreign: setup ## Only the tests with foreign clients: Python, wscat, Chromium
	@scripts/foreign.sh

torture: ## Let nodes and Redis fail under load in every topology, and check what clients saw
	@scripts/torture.sh

lint: ## Formatting, clippy, rustdoc and the shell scripts; warnings are errors
	@scripts/lint.sh

fmt: ## Format the Rust code
	cargo fmt --all

bench: ## Load a node beside the least a server can do (`loadtest --help` has more)
	cargo build --release --locked --bins && "$${CARGO_TARGET_DIR:-target}/release/loadtest" fanout

docs: setup ## Build the reference: of the crates in target/doc, of the SDK in sdk/typescript/reference
	cargo doc --workspace --no-deps --locked
	npm run --silent --prefix sdk/typescript reference

deny: ## Check licences, sources and banned crates, with cargo-deny
	@scripts/deny.sh
