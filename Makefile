# The front door. Each target does its own set-up, in ignored folders of the project.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

CARGO ?= cargo
PYTHON ?= python3
# The oldest Rust that compiles this, as Cargo.toml says.
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
VENV := .venv
TARGET := $(or $(CARGO_TARGET_DIR),target)/release
MINISTACK := $(CURDIR)/$(VENV)/bin/ministack
export MINISTACK

##@ Start here
.PHONY: help
help: ## List the targets, what matters first
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	echo
	echo 'On AWS: make -C infra help'

.PHONY: prerequisites
prerequisites:
	@missing=0
	need() { command -v "$$1" >/dev/null || { echo "missing: $$1 — $$2" >&2; missing=1; }; }
	need $(CARGO) "install Rust $(RUST) or newer (rustup.rs)"
	if command -v $(CARGO) >/dev/null; then
	  version="$$($(CARGO) --version 2>/dev/null | cut -d' ' -f2)"
	  [ "$$(printf '%s\n' "$(RUST)" "$$version" | sort -V | head -n 1)" = "$(RUST)" ] || { echo "missing: Rust $(RUST) or newer — $(CARGO) is $${version:-of no version}; rustup update stable" >&2; missing=1; }
	fi
	need cc "install a C compiler (Debian: apt-get install gcc)"
	need $(PYTHON) "install Python 3.10 or newer with venv (Debian: apt-get install python3-venv)"
	if command -v $(PYTHON) >/dev/null; then
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "missing: Python 3.10 or newer — $(PYTHON) is $$($(PYTHON) --version); set PYTHON=python3.x" >&2; missing=1; }
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: Python's venv — Debian: apt-get install python3-venv" >&2; missing=1; }
	fi
	exit $$missing

# The emulator: pinned, every file checked against its hash.
$(VENV)/.installed: local/requirements.txt | prerequisites
	@echo "installing the AWS emulator into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r local/requirements.txt
	touch $@

.PHONY: demo
demo: data-is-there build $(VENV)/.installed ## Watch data become a verified release (DATA=file.csv[.gz], KEEP=1)
	$(TARGET)/demo $(if $(DATA),--data "$(DATA)") $(if $(KEEP),--keep)

# Before a build of minutes.
.PHONY: data-is-there
data-is-there:
	@[ -z "$(DATA)" ] || [ -f "$(DATA)" ] || { echo "DATA=$(DATA): there is no such file" >&2; exit 2; }

.PHONY: test
test: build $(VENV)/.installed ## Every test, the end-to-end stories included
	$(CARGO) test --release --locked --workspace

.PHONY: local
local: build $(VENV)/.installed ## Start the cloud on this machine and leave it up until Ctrl-C
	$(TARGET)/local-cloud up

.PHONY: lint
lint: prerequisites ## Formatting and clippy, warnings refused
	@missing=0
	$(CARGO) fmt --version >/dev/null 2>&1 || { echo "missing: rustfmt — rustup component add rustfmt (Debian's Rust: apt-get install rustfmt)" >&2; missing=1; }
	$(CARGO) clippy --version >/dev/null 2>&1 || { echo "missing: clippy — rustup component add clippy (Debian's Rust: apt-get install rust-clippy)" >&2; missing=1; }
	[ $$missing = 0 ] || exit 1
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

.PHONY: build
build: prerequisites ## Compile functions, model and local cloud (first time: about 15 minutes on two cores)
	$(CARGO) build --release --locked --workspace --bins

.PHONY: infra-check
infra-check: ## Terraform, as far as it can be checked without a cloud; says what it leaves out (ACCEPT=1 takes the plan over)
	PYTHON=$(PYTHON) ACCEPT=$(ACCEPT) infra/check/run

##@ Prove and measure more
.PHONY: prove
prove: prerequisites ## All races, all pairs of crashes and 2000 disorders a story, where `make test` tries a share (SEED=n for other disorders); then prove-policies
	# What functions put into files for a moment lies in memory where it can.
	if [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
	PROVE=1 $(CARGO) test --release --locked --workspace --test crashes --test races -- --nocapture
	# Clouds are too large for that.
	env -u TMPDIR $(MAKE) --no-print-directory prove-policies

.PHONY: prove-policies
prove-policies: build $(VENV)/.installed ## Which scene needs which statement of the functions' policies; then each is removed in turn and that scene stopped (EVERY=n for a share)
	$(TARGET)/demo --prove-policies $(if $(EVERY),--every $(EVERY)) --output target/prove

.PHONY: test-cluster
test-cluster: ## The end-to-end tests and the stories of rollback against a real cluster (K8S_ENDPOINT, K8S_CA, K8S_TOKEN, K8S_NAMESPACE)
	@missing=""
	for name in K8S_ENDPOINT K8S_CA K8S_TOKEN K8S_NAMESPACE; do
	  [ -n "$${!name:-}" ] || missing="$$missing $$name"
	done
	if [ "$$(wc -w <<< "$$missing")" = 4 ]; then
	  echo "skipped: the end-to-end tests against a real cluster, since none of$$missing is set"
	  exit 0
	fi
	[ -z "$$missing" ] || { echo "a real cluster needs$$missing too" >&2; exit 2; }
	$(MAKE) --no-print-directory build $(VENV)/.installed
	$(CARGO) test --release --locked --workspace --test e2e --test cluster-stories -- --nocapture

.PHONY: bench-model
bench-model: data-is-there prerequisites ## Our learner beside scikit-learn's and LightGBM's (DATA=file.csv[.gz]; QUICK=1 for fewer trees)
	@test -n "$(DATA)" || { echo "say which sales to learn from: make bench-model DATA=sales.csv[.gz]" >&2; exit 2; }
	CARGO=$(CARGO) PYTHON=$(PYTHON) model/bench/run.sh "$(DATA)"

.PHONY: bench-dataset
bench-dataset: data-is-there prerequisites ## The data contract beside pandas and Polars (DATA=file.csv[.gz]; Python 3.11)
	@test -n "$(DATA)" || { echo "say which sales to check: make bench-dataset DATA=sales.csv" >&2; exit 2; }
	CARGO=$(CARGO) PYTHON=$(PYTHON) shared/dataset/bench/run.sh "$(DATA)"

##@ Infrastructure
.PHONY: infra-docs
infra-docs: ## Write what each Terraform module takes and gives into its README
	@[ -x .infra-check/v/bin/python ] || { echo "first: make infra-check, which installs the tools" >&2; exit 2; }
	.infra-check/v/bin/python infra/check/docs.py

include ci/ci.mk
