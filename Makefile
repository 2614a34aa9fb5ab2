# `make demo` and `make test` need Python >= 3.11, Node >= 20 and npm, and install the rest into this folder.

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/installed
CDK := node_modules/.bin/cdk
PYRIGHT := node_modules/.bin/pyright
# What `make test` hands to pytest, such as ARGS="-k retry"; what `make deploy` and `make demo` hand on.
ARGS ?=
# How many runs `make simulate` makes, or the one it replays.
SEEDS ?= 2000
SEED ?=
# What `make deploy` deploys: dev or prod.
STAGE ?= dev

# Bytecode of aws-cdk-lib saves every synthesis about five seconds; settings of another Python must not leak in.
export PYTHONDONTWRITEBYTECODE =
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION = 20
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench simulate mutants backlog soak local down synth deploy docs format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) $(CDK) ## Deploy this app to an embedded AWS engine, run real jobs, show how each ended
	@$(BIN)/python -m demo $(ARGS)

test: $(READY) $(CDK) ## Run the whole test suite, with coverage
	@$(BIN)/coverage run -m pytest -n auto $(ARGS); status=$$?; \
		$(BIN)/coverage combine --quiet; $(BIN)/coverage report; exit $$status

check: $(READY) $(CDK) ## Lint, format, types (mypy; pyright for the public API), import ladder, and the template
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --exclude tests/functions app.py benchmarks demo infra shared tests
	@$(BIN)/mypy
	@$(PYRIGHT) --pythonpath $(BIN)/python
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory synth ARGS=
	@$(BIN)/cfn-lint 'cdk.out/*.template.json'

bench: $(READY) ## Measure the handler and the client
	@$(BIN)/python -m benchmarks $(ARGS)

simulate: $(READY) ## Hunt for broken guarantees: SEEDS=n random runs under faults, or replay one with SEED=n
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

mutants: $(READY) ## Plant faults in a copy, one at a time, and see each one caught
	@$(BIN)/python -m tests.simulation.mutants $(ARGS)

backlog: $(READY) ## Let 200,000 jobs wait at once, at SQS's own quota of messages in flight
	@$(BIN)/python -m tests.simulation.backlog $(ARGS)

soak: $(READY) $(CDK) ## Ask a preloading web server 2,000 things at once, each of which waits for a job of its own
	@$(BIN)/python -m tests.soak $(ARGS)

local: $(READY) $(CDK) ## Deploy this app to an embedded AWS engine that stays up
	@$(BIN)/offload local up $(ARGS)

down: $(READY) ## Stop the engine of `make local`; its state is kept
	@$(BIN)/offload local down $(ARGS)

synth: $(READY) $(CDK) ## Write the CloudFormation templates to cdk.out
	@$(CDK) synth --quiet --no-notices --app '$(BIN)/python app.py' --output cdk.out --context stage=$(STAGE) $(ARGS)

deploy: $(READY) $(CDK) ## Deploy to the AWS account your credentials name
	@$(CDK) deploy --all --app '$(BIN)/python app.py' --context stage=$(STAGE) $(ARGS)

docs: $(READY) ## Write the parts of docs/ again that are made from the code
	@$(BIN)/python -m tests.architecture.generated_docs

format: $(READY) ## Format the code and mend what the linter can
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format

lock: $(READY) ## Resolve the requirements.txt again, with hashes, after a pin in a requirements.in was changed
	@set -e; lock='$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --generate-hashes'; \
	$$lock requirements.in --output-file requirements.txt; \
	$$lock shared/offload/local/engine.in --output-file shared/offload/local/engine.txt; \
	$$lock --no-deps tests/rie/requirements.in --output-file tests/rie/requirements.txt

clean: ## Stop the engine and remove everything these commands made
	@if [ -x $(BIN)/offload ]; then $(BIN)/offload local down >/dev/null 2>&1 || true; fi
	@rm -rf $(VENV) node_modules .offload cdk.out build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.txt pyproject.toml
	@python=; for each in python3.13 python3.12 python3.11 python3 python; do \
		if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$each; break; fi; \
	done; \
	[ -n "$$python" ] || { echo "error: no Python >= 3.11 on PATH: install one (found: $$(python3 --version 2>/dev/null || echo none))" >&2; exit 1; }; \
	echo "installing the packages of requirements.txt into $(VENV) ($$("$$python" --version))" >&2; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV) || { \
		echo "error: $$python cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt
	@$(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python --requirement requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(CDK): package-lock.json
	@node=$$(node --version 2>/dev/null | sed 's/^v//; s/\..*//'); \
	[ -n "$$node" ] || { echo "error: no Node on PATH: install Node 20 or later, the AWS CDK runs on it" >&2; exit 1; }; \
	[ "$$node" -ge 20 ] || { echo "error: Node $$(node --version) is too old: install Node 20 or later" >&2; exit 1; }; \
	command -v npm >/dev/null || { echo "error: no npm on PATH: it comes with Node" >&2; exit 1; }; \
	echo "installing the packages of package-lock.json into node_modules" >&2
	@npm ci --no-audit --no-fund --loglevel=error >&2
	@touch $@
