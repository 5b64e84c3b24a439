# What the pipelines run: every step of theirs is one of these targets, or one of the root Makefile's.
CI_TOOLS := target/ci/tools
CI_PYTHON := $(CI_TOOLS)/venv/bin/python
CI_BIN := $(CURDIR)/$(CI_TOOLS)/venv/bin
# In Jenkins the plan is in the environment, and Jenkins has a BUILD_ID of its own.
ENV ?= $(or $(PLAN_ENVIRONMENT),dev)
BUILD_ID := $(or $(PLAN_BUILD_ID),$(BUILD_ID))
export BUILD_ID
export PYTHONDONTWRITEBYTECODE := 1
IMAGE ?= infer
RUST ?= 1.95.0
# LLVM_COV and LLVM_PROFDATA are cargo-llvm-cov's own: its tools of LLVM.
CARGO_LLVM_COV_VERSION ?= 0.9.1
# Statically linked, so that the base is there for its scanner only. With a target named, build scripts
# and macros aren't linked so.
STATIC_TARGET ?= x86_64-unknown-linux-gnu
STATIC_BIN := $(or $(CARGO_TARGET_DIR),target)/$(STATIC_TARGET)/dist

##@ Pipelines: what a run does, and what it is checked by
.PHONY: ci-plan
ci-plan: ## What a pipeline run does, as name=value (EVENT, BRANCH, COMMIT, RUN_NUMBER, …: ci/plan.py)
	@python3 ci/plan.py

.PHONY: ci-clean
ci-clean: ## Remove what an earlier run of a pipeline left (reports, images)
	rm -rf target/ci/*.json target/ci/reports target/images/*.json target/images/*.tar

.PHONY: ci-rust
ci-rust: ## Install the pipelines' Rust by rustup, for this folder
	rustup toolchain install $(RUST) --profile minimal --component clippy,rustfmt,llvm-tools
	rustup override set $(RUST)

$(CI_TOOLS)/cargo/bin/cargo-llvm-cov: | prerequisites
	$(CARGO) install cargo-llvm-cov --version $(CARGO_LLVM_COV_VERSION) --locked --root $(CI_TOOLS)/cargo

.PHONY: coverage
coverage: prerequisites $(VENV)/.installed $(CI_TOOLS)/cargo/bin/cargo-llvm-cov ## Every test, with coverage: target/ci/coverage
	tools="$$(ci/llvm-tools.sh)"
	eval "$$tools"
	export PATH="$(CURDIR)/$(CI_TOOLS)/cargo/bin:$$PATH"
	mkdir -p target/ci/coverage
	eval "$$($(CARGO) llvm-cov show-env --sh)"
	$(CARGO) llvm-cov clean --workspace
	$(CARGO) build --release --locked --workspace --bins
	$(CARGO) test --release --locked --workspace
	$(CARGO) llvm-cov report --release --lcov --output-path target/ci/coverage/lcov.info
	$(CARGO) llvm-cov report --release --json --summary-only --output-path target/ci/coverage/summary.json
	$(CARGO) llvm-cov report --release

$(CI_TOOLS)/.installed: ci/tools/requirements.txt ci/tools/npm.txt ci/tools/npm.sh
	$(PYTHON) -m venv $(CI_TOOLS)/venv
	$(CI_PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r ci/tools/requirements.txt
	ci/tools/npm.sh $(CI_TOOLS)/npm
	touch $@

.PHONY: ci-tools
ci-tools: $(CI_TOOLS)/.installed ## Install what the checks of pipelines, manifests and images need (pinned, hashes checked)

.PHONY: pipeline-check
pipeline-check: $(CI_TOOLS)/.installed ## Workflows, Jenkinsfile, shell steps, Dockerfiles, manifests; each check is tried on a fault
	PATH="$(CI_BIN):$$PATH" $(CI_PYTHON) ci/checks/check.py
	PATH="$(CI_BIN):$$PATH" $(CI_PYTHON) ci/checks/faults.py

.PHONY: pipeline-test
pipeline-test: ## The pipelines' own scripts, against a cloud that is a folder
	PYTHONPATH=ci python3 -m unittest discover --start-directory ci/tests

.PHONY: pipeline-targets
pipeline-targets: prerequisites $(CI_TOOLS)/.installed ## The pipelines' other steps, with stand-ins for registry, scanner, cluster and compiler
	ci/tests/targets.sh

.PHONY: pipeline-story
pipeline-story: build $(VENV)/.installed $(CI_TOOLS)/.installed ## The pipelines' steps against the local cloud: deploy, train, load, roll back
	PATH="$(CI_BIN):$$PATH" ci/tests/story.sh $(TARGET)

##@ Images
.PHONY: image-binaries
image-binaries: prerequisites ## Compile train and serve, statically linked
	CARGO_TARGET_$(shell echo $(STATIC_TARGET) | tr a-z- A-Z_)_RUSTFLAGS="-C target-feature=+crt-static" \
	  $(CARGO) build --profile dist --locked --package model --bins --target $(STATIC_TARGET)

.PHONY: image
image: $(if $(BIN_DIR),,image-binaries) ## Build one image (IMAGE=train|infer; IMAGE_BASE=stand-in where no base can be pulled)
	BIN_DIR="$(or $(BIN_DIR),$(STATIC_BIN))" ENVIRONMENT="$(ENV)" ci/image.sh $(IMAGE)

.PHONY: images
images: ## Build both images and say how large they are (IMAGE_BASE=stand-in where no base can be pulled)
	$(MAKE) --no-print-directory image IMAGE=train
	$(MAKE) --no-print-directory image IMAGE=infer $(if $(BIN_DIR),,BIN_DIR="$(STATIC_BIN)")

.PHONY: image-try
image-try: ## Run both images as SageMaker and a pod do: train, then serve what was learnt
	ci/image-try.sh "$${BUILD_ID:-none}"

.PHONY: image-scan
image-scan: ## Scan one image with Trivy; HIGH and CRITICAL stop it (IMAGE=train|infer)
	python3 ci/scan.py $(or $(OUT),target/images)/$(IMAGE).tar

.PHONY: image-push
image-push: ## Push one scanned image as {build-id} and latest-{environment} (IMAGE, ENV, BUILD_ID)
	ENVIRONMENT="$(ENV)" python3 ci/push.py $(IMAGE)

##@ The cluster's manifests
.PHONY: manifests-render
manifests-render: ## Print an environment's manifests (ENV, FORECAST_HOST, ACCESS_LOGS_BUCKET)
	@ci/manifests.sh render $(ENV)

.PHONY: manifests-apply
manifests-apply: ## Apply an environment's manifests; a release that runs stays (ENV, FORECAST_HOST, ACCESS_LOGS_BUCKET)
	ci/manifests.sh apply $(ENV)

.PHONY: manifests-by-hand
manifests-by-hand: ## Say that the manifests changed and that this pipeline can't reach the private cluster (ENV)
	@echo "::warning::the manifests changed, and no runner in the VPC is named by CLUSTER_RUNNER: apply them from there with make manifests-apply ENV=$(ENV)"

##@ A running environment: ask its event chain, and follow what comes of it
.PHONY: follow-image
follow-image: ## Follow what the chain does with the pushed inference image, and report (ENV)
	ENVIRONMENT="$(ENV)" python3 ci/follow.py image target/images/infer.pushed.json

.PHONY: deploy
deploy: ## Ask to deploy the image that the environment has, and follow that (ENV, BUILD_ID, REQUESTED_BY, REASON)
	export ENVIRONMENT="$(ENV)"
	python3 ci/request.py deploy
	python3 ci/follow.py image target/ci/deploy.json

.PHONY: retrain
retrain: ## Ask for a training on the newest accepted data (ENV, BUILD_ID, REQUESTED_BY)
	ENVIRONMENT="$(ENV)" python3 ci/request.py retrain

.PHONY: follow-training
follow-training: ## Follow the training that was asked for, up to its release, and report (ENV)
	ENVIRONMENT="$(ENV)" python3 ci/follow.py training target/ci/retrain.json

.PHONY: release-reports
release-reports: ## Fetch validation and evaluation reports of what was followed (ENV; FOLLOWED=image|training)
	ENVIRONMENT="$(ENV)" python3 ci/reports.py target/ci/follow-$(or $(FOLLOWED),image).json target/ci/reports

.PHONY: load-test-address
load-test-address: ## Say where the load test will reach the API, before anything is deployed (SERVICE_URL, or FORECAST_HOST)
	@address="$${SERVICE_URL:-$${FORECAST_HOST:+https://$${FORECAST_HOST}}}"
	test -n "$$address" || { echo "say where the load test reaches the API: SERVICE_URL=https://…, or FORECAST_HOST where callers outside the network have one" >&2; exit 2; }
	echo "$$address"

.PHONY: load-test
load-test: ## Load the API with 10 users for 300 s and hold it to its limits (SERVICE_URL, or FORECAST_HOST)
	@address="$$($(MAKE) --no-print-directory --silent load-test-address)"
	REPORT=target/ci/load_test_results.json python3 ci/load_test.py "$$address"

.PHONY: rollback
rollback: ## Ask to go back from the followed release, and follow that (ENV, BUILD_ID, REQUESTED_BY, REASON)
	export ENVIRONMENT="$(ENV)" FOLLOW_REPORT=target/ci/follow-image.json
	rm -f target/ci/rollback.json
	python3 ci/request.py rollback
	if [ -e target/ci/rollback.json ]; then python3 ci/follow.py rollback target/ci/rollback.json; fi

.PHONY: notify-failure
notify-failure: ## Tell people that a pipeline run failed (ENV, BUILD_ID, REASON, RUN_URL)
	ENVIRONMENT="$(ENV)" RESULT=failure python3 ci/notify.py
