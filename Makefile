# The doors. `make help` lists them; the words after ## are each one's help.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The system's own; whatever it runs first makes .venv, and .venv runs the rest.
PYTHON ?= python3
VENV := .venv/bin
export PYTHONPATH := src:services

.PHONY: help up test test-faults soak lint format requirements env-example bench bench-quick load load-smoke capacity setup clean compose-up compose-down compose-logs compose-test compose-load secrets k8s-check k8s-test autobahn

help: ## list these doors
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-17s%s\n", $$1, $$2}' Makefile

up: ## run everything on this machine until Ctrl-C; WEB=3 WS=1 scales, PORT=18081 moves
	@$(PYTHON) -m deploy.local.setup up
	@exec $(VENV)/python -m deploy.local.up

test: ## run all tests this machine can run; ARGS='-k name' narrows
	@$(PYTHON) -m deploy.local.setup test
	@$(VENV)/python -m pytest $(ARGS)

test-faults: ## break the real stack under load, in full size, and write docs/faults.md; ARGS='-k kill' narrows
	@$(PYTHON) -m deploy.local.setup test
	@TIDEWIRE_FAULTS=full $(VENV)/python -m pytest tests/faults $(ARGS)

soak: ## run the real stack under churn for 20 minutes; fails for what grows, writes docs/soak.svg and docs/reliability.md
	@$(PYTHON) -m deploy.local.setup test
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m tests.soak $(ARGS)

lint: setup ## check format and style (ruff), types (mypy), layers (import-linter), security (bandit, pip-audit), containers (hadolint, gixy)
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@TIDEWIRE_ENVIRONMENT=development $(VENV)/python -m mypy
	@$(VENV)/lint-imports
	@$(VENV)/bandit --quiet -c pyproject.toml -r src services && echo 'bandit: nothing to complain of'
	@$(VENV)/python -m deploy.local.audit
	@$(VENV)/python -m deploy.compose.lint

format: setup ## format the code and mend what ruff can
	@$(VENV)/ruff check --fix-only .
	@$(VENV)/ruff format .

requirements: setup ## renew all pinned requirements together
	@$(VENV)/python -m deploy.local.requirements

env-example: setup ## write .env.example anew from services/dashboard/env.py
	@$(VENV)/python -m deploy.local.env_example

bench: ## measure fan-out beside what tidewire could be replaced with; writes docs/benchmarks.md
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m loadtest.bench $(ARGS)

bench-quick: ## the core of it in two minutes, on the screen alone
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m loadtest.bench --quick $(ARGS)

# Where the image of Grafana cannot be had: make compose-up COMPOSE_PROFILES=
compose-%: export COMPOSE_PROFILES ?= grafana
compose-up: secrets ## build the images and run the whole product in containers, until compose-down
	@TIDEWIRE_REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) docker compose up --build --detach --wait $(ARGS)
	@echo "tidewire: http://$$(docker compose port nginx 8080)  prometheus: http://$$(docker compose port prometheus 9090)"
	@[ -z "$$COMPOSE_PROFILES" ] || echo "grafana: http://$$(docker compose port grafana 3000), user admin, password in var/secrets/grafana_password"
	@echo "the first user: docker compose exec web python services/web/manage.py createsuperuser"

compose-down: ## stop the containers; ARGS=--volumes forgets their data too
	@docker compose down $(ARGS)

compose-logs: ## follow what the containers say; ARGS=ws narrows
	@docker compose logs --follow --tail 100 $(ARGS)

compose-load: export TIDEWIRE_ALLOWED_HOSTS := $(or $(TIDEWIRE_ALLOWED_HOSTS),localhost,127.0.0.1),nginx
compose-load: secrets ## load the product in containers from a master and WORKERS=3; USERS=100 SECONDS=60 SHAPE=ramp
	@export COMPOSE_PROFILES=loadtest LOADTEST_WORKERS=$(or $(WORKERS),3) LOADTEST_USERS=$(or $(USERS),100) \
	    LOADTEST_SECONDS=$(or $(SECONDS),60) LOADTEST_SHAPE=$(or $(SHAPE),ramp); \
	docker compose up --build --detach --scale loadtest-worker=$$LOADTEST_WORKERS loadtest-master loadtest-worker; \
	code=0; docker compose wait loadtest-master || code=$$?; \
	docker compose logs --no-log-prefix --tail 60 loadtest-master; \
	results=var/loadtest/$$(date +%Y-%m-%d-%H%M%S)-compose; mkdir -p var/loadtest; \
	docker compose cp --quiet loadtest-master:/results $$results && echo "report: $$results/report.html"; \
	docker compose rm --force --stop loadtest-master loadtest-worker loadtest-people >/dev/null; \
	exit $$code

compose-test: ## build the images and prove the compose project, under a name and ports of its own
	@$(PYTHON) -m deploy.local.setup test
	@TIDEWIRE_COMPOSE_TEST=1 $(VENV)/python -m pytest tests/compose $(ARGS)

secrets: ## make what compose gives to containers in var/secrets, once
	@$(PYTHON) -m deploy.compose.make_secrets

# Another kustomize 5, another folder with checkov, or one of custom resources' schemas (GROUP/KIND_VERSION.json).
export KUSTOMIZE ?= $(CURDIR)/var/bin/kustomize
export POLICIES ?= $(CURDIR)/var/k8s/policies
export CRD_SCHEMAS ?= $(CURDIR)/var/k8s/crds
k8s-check: ## build every combination of the Kubernetes manifests and check them without a cluster
	@$(PYTHON) -m deploy.local.setup test
	@[ -x "$(KUSTOMIZE)" ] || GOBIN=$(CURDIR)/var/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
	@[ var/k8s/python -nt deploy/k8s/check/requirements.txt ] || $(VENV)/python -m pip install --quiet --upgrade --no-deps --require-hashes --target var/k8s/python -r deploy/k8s/check/requirements.txt
	@[ var/k8s/policies -nt deploy/k8s/check/policies.txt ] || $(VENV)/python -m pip install --quiet --upgrade --no-deps --require-hashes --target var/k8s/policies -r deploy/k8s/check/policies.txt
	@[ deploy/k8s/check/crds.py -ot "$(CRD_SCHEMAS)" ] || ! command -v go >/dev/null || $(VENV)/python -m deploy.k8s.check.crds "$(CRD_SCHEMAS)"
	@PYTHONPATH=$(PYTHONPATH):var/k8s/python TIDEWIRE_ENVIRONMENT=development $(VENV)/python -m deploy.k8s.check
	@PYTHONPATH=$(PYTHONPATH):var/k8s/python $(VENV)/python -m pytest tests/k8s --ignore tests/k8s/cluster $(ARGS)

k8s-test: ## prove the manifests on the cluster that KUBECONFIG names; WEB_IMAGE= and WS_IMAGE= are what its nodes have
	@$(PYTHON) -m deploy.local.setup test
	@[ -x "$(KUSTOMIZE)" ] || GOBIN=$(CURDIR)/var/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
	@TIDEWIRE_K8S_TEST=1 $(VENV)/python -m pytest tests/k8s/cluster $(ARGS)

.PHONY: monitoring test-monitoring
monitoring: setup ## write docs/metrics.md, Grafana's dashboards and the cluster's copies of rules anew from the code
	@$(VENV)/python -m deploy.prometheus.metrics_page
	@$(VENV)/python -m deploy.grafana.write
	@$(VENV)/python -m deploy.k8s.monitoring

test-monitoring: ## see every panel with data and cause every alert that a fault can, on a stack of its own
	@$(PYTHON) -m deploy.local.setup test
	@$(PYTHON) -m deploy.local.setup bench
	@TIDEWIRE_MONITORING=1 $(VENV)/python -m pytest tests/monitoring $(ARGS)

load: ## load a running `make up` and account for every event; USERS=100 SECONDS=60 SHAPE=ramp
	@$(PYTHON) -m deploy.local.setup dev
	@$(VENV)/python -m loadtest --users $(or $(USERS),100) --seconds $(or $(SECONDS),60) --shape $(or $(SHAPE),ramp) $(ARGS)

load-smoke: ## the same with 200 users on a stack of its own; fails on any event lost, doubled or out of order
	@$(PYTHON) -m deploy.local.setup up
	@$(PYTHON) -m deploy.local.setup dev
	@$(VENV)/python -m loadtest --smoke --users $(or $(USERS),200) --seconds $(or $(SECONDS),60) --shape $(or $(SHAPE),ramp) $(ARGS)

capacity: ## plan a workload: nodes, CPU, memory, Redis, and what ends first; WORKLOAD=mine.toml
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m loadtest.capacity plan $(WORKLOAD) $(ARGS)

autobahn: ## run the Autobahn WebSocket suite, direct and through nginx; CASES='1.*' narrows
	@$(PYTHON) -m deploy.local.setup test
	@$(VENV)/python -m tests.autobahn $(CASES)

setup: ## make .venv with all tools, for an editor or for trying things
	@$(PYTHON) -m deploy.local.setup dev

clean: ## remove .venv, the demo's data and everything else that was generated
	rm -rf .venv var dist .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src services deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +
