# `make help` lists the targets: the words after ##@ are a heading, those after ## one target's help.
# Each system has this one; there is no /bin/bash on NixOS and Alpine.
SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The system's Python makes .venv; everything else runs in .venv. Another one: make PYTHON=python3.13 up
PYTHON ?= python3
VENV := .venv/bin
COMMA := ,
export PYTHONPATH := src:services
# nginx and supervisord read paths as UTF-8, whatever the locale is; Python 3.15 does too.
export PYTHONUTF8 := 1
# Variables of the caller that lead Python, pip or Django to another project, or requests to this machine to a proxy.
unexport PYTHONHOME PYTHONSAFEPATH DJANGO_SETTINGS_MODULE PIP_TARGET PIP_PREFIX
export PIP_USER := 0
export no_proxy := localhost,127.0.0.1$(addprefix $(COMMA),$(or $(no_proxy),$(NO_PROXY)))
export NO_PROXY := $(no_proxy)

.PHONY: help
help:
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## /{printf "  make %-18s%s\n", $$1, $$2}' Makefile

##@ Run
.PHONY: up setup clean
up: ## run everything on this machine until Ctrl-C; WEB=3 WS=1 scales, PORT=18081 moves
	@$(PYTHON) -m deploy.local.setup up
	@exec $(VENV)/python -m deploy.local.up

setup: ## install all tools into .venv, for an editor
	@$(PYTHON) -m deploy.local.setup dev

clean: ## remove .venv, the demo's data and all other generated files
	rm -rf .venv var dist .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src services deploy tests loadtest bench capacity examples experiments testkit -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Test
.PHONY: test test-fast test-faults autobahn test-matrix lint
# Where the environment forbids it, each process of each stack would compile the same modules.
test test-fast: export PYTHONDONTWRITEBYTECODE :=
# Twice as many processes as cores, since tests spend half of their time waiting. The tiers that run only on request
# fill a machine by themselves.
WORKERS ?= $(if $(filter faults monitoring newcomer compose k8s,$(TIER)),0,$(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN)))
test: ## run all tests that this machine can run; TIER=browser runs one tier, ARGS='-k name' narrows
	@$(PYTHON) -m deploy.local.setup test
	$(if $(filter monitoring,$(TIER)),@$(PYTHON) -m deploy.local.setup bench)
	$(if $(filter newcomer,$(TIER)),@$(PYTHON) -m deploy.local.setup dist)
	$(if $(filter k8s,$(TIER)),@[ -x "$(KUSTOMIZE)" ] || $(GET_KUSTOMIZE))
	@$(VENV)/python -m pytest -n $(WORKERS) --durations 10 --durations-min 1 $(addprefix --tier ,$(TIER)) $(ARGS)

test-fast: ## run the unit tests, which need no service
	@$(PYTHON) -m deploy.local.setup dev
	@$(VENV)/python -m pytest -n logical --tier unit tests/unit $(ARGS)

test-faults: ## run the tier of faults, which breaks the real stack under load and writes docs/faults.md
	@$(MAKE) test TIER=faults

autobahn: ## run the Autobahn WebSocket suite, direct and through nginx; CASES='1.*' narrows
	@$(PYTHON) -m deploy.local.setup test
	@$(VENV)/python -m tests.autobahn $(CASES)

test-matrix: ## run the library's tests on each supported version and write docs/compatibility.md
	@$(PYTHON) -m deploy.local.setup test
	@$(VENV)/python -m nox $(ARGS)

lint: setup ## check format, types, layers, security, known vulnerabilities, container files and prose
	@$(MAKE) --jobs 2 --keep-going lint/types lint/rest

lint/types:
	@TIDEWIRE_ENVIRONMENT=development $(VENV)/python -m mypy

lint/rest:
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/lint-imports
	@$(VENV)/bandit --quiet -c pyproject.toml -r src services && echo 'bandit: nothing to complain of'
	@$(VENV)/python -m deploy.prose
	@$(VENV)/python -m deploy.local.audit
	@$(VENV)/python -m deploy.compose.lint

##@ Measure
.PHONY: load load-smoke soak bench bench-quick capacity
load: ## load a running `make up` and account for every event; USERS=100 SECONDS=60 SHAPE=ramp
	@$(PYTHON) -m deploy.local.setup dev
	@$(VENV)/python -m loadtest --users $(or $(USERS),100) --seconds $(or $(SECONDS),60) --shape $(or $(SHAPE),ramp) $(ARGS)

load-smoke: ## the same with 200 users on a stack of its own; a lost or repeated event fails it
	@$(PYTHON) -m deploy.local.setup up
	@$(PYTHON) -m deploy.local.setup dev
	@$(VENV)/python -m loadtest --smoke --users $(or $(USERS),200) --seconds $(or $(SECONDS),60) --shape $(or $(SHAPE),ramp) $(ARGS)

soak: ## run the real stack under churn for 20 minutes; growth fails it; writes docs/reliability.md
	@$(PYTHON) -m deploy.local.setup test
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m tests.soak $(ARGS)

bench: ## compare the fan-out with alternatives and write docs/benchmarks.md
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m bench $(ARGS)

bench-quick: ## compare the core of it in two minutes, on the screen only
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m bench --quick $(ARGS)

capacity: ## plan a workload: nodes, CPU, memory, Redis, and the first limit; WORKLOAD=mine.toml
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m capacity plan $(WORKLOAD) $(ARGS)

##@ Deploy
.PHONY: compose-up compose-upgrade compose-rollback compose-backup compose-restore compose-rotate compose-down compose-load
.PHONY: secrets k8s-check
# Where these images are unavailable: make compose-up COMPOSE_PROFILES= (without dashboards, the site's probe and disks)
compose-%: export COMPOSE_PROFILES ?= grafana,probes
compose-up: secrets ## build the images and run the whole product in containers; what runs already is upgraded
	@if [ -n "$$(docker compose ps --quiet web)" ]; then $(PYTHON) -m deploy.compose.upgrade; \
	else $(PYTHON) -m deploy.compose.release && docker compose up --detach --wait $(ARGS); fi
	@echo "tidewire: http://$$(docker compose port nginx 8080)  prometheus: http://$$(docker compose port prometheus 9090)"
	@case "$$COMPOSE_PROFILES" in *grafana*) echo "grafana: http://$$(docker compose port grafana 3000), user admin, password in var/secrets/grafana_password" ;; esac
	@grep -qE '^ +[a-z0-9]+_configs:' "$$($(PYTHON) -m deploy.compose.env_file TIDEWIRE_ALERTMANAGER deploy/compose/alertmanager.yml)" || echo "alerts: none is sent, because Alertmanager has no receiver: docs/monitoring.md, Receivers"
	@echo "the first user: docker compose exec web python services/web/manage.py createsuperuser"

compose-upgrade: export VERSION ?=
compose-upgrade: secrets ## replace web, ws and relay by this tree's version, or VERSION, without a failed page
	@$(PYTHON) -m deploy.compose.upgrade

compose-rollback: ## replace them by the version before
	@$(PYTHON) -m deploy.compose.upgrade back

compose-backup: ## write PostgreSQL's data to var/backups, or to FILE
	@$(PYTHON) -m deploy.compose.backup save $(if $(FILE),"$(FILE)")

compose-restore: ## bring the data of a backup back: FILE=var/backups/...; a failure changes nothing
	@$(PYTHON) -m deploy.compose.backup restore $(if $(FILE),"$(FILE)")

compose-rotate: ## replace a secret without a failed page, and prove it: SECRET=redis or postgres
	@$(PYTHON) -m deploy.compose.rotate $(SECRET)

compose-down: ## stop the containers; ARGS=--volumes deletes their data too
	@docker compose down $(ARGS)

compose-load: export TIDEWIRE_ALLOWED_HOSTS := $(or $(TIDEWIRE_ALLOWED_HOSTS),localhost,127.0.0.1),nginx
compose-load: secrets ## load the product in containers; WORKERS=3 USERS=100 SECONDS=60 SHAPE=ramp
	@export COMPOSE_PROFILES=loadtest LOADTEST_WORKERS=$(or $(WORKERS),3) LOADTEST_USERS=$(or $(USERS),100) \
	    LOADTEST_SECONDS=$(or $(SECONDS),60) LOADTEST_SHAPE=$(or $(SHAPE),ramp); \
	docker compose up --build --detach --scale loadtest-worker=$$LOADTEST_WORKERS loadtest-master loadtest-worker; \
	code=0; docker compose wait loadtest-master || code=$$?; \
	docker compose logs --no-log-prefix --tail 60 loadtest-master; \
	results=var/loadtest/$$(date +%Y-%m-%d-%H%M%S)-compose; mkdir -p var/loadtest; \
	docker compose cp --quiet loadtest-master:/results $$results && echo "report: $$results/report.html"; \
	docker compose rm --force --stop loadtest-master loadtest-worker loadtest-users >/dev/null; \
	exit $$code

secrets: ## write the missing secrets of compose and Kubernetes into var/secrets
	@$(PYTHON) -m deploy.compose.make_secrets

# Where to find kustomize 5, a folder with checkov, and custom resources' schemas (GROUP/KIND_VERSION.json).
export KUSTOMIZE ?= $(CURDIR)/var/bin/kustomize
GET_KUSTOMIZE := GOBIN='$(CURDIR)/var/bin' go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.1
export POLICIES ?= $(CURDIR)/var/k8s/policies
export CRD_SCHEMAS ?= $(CURDIR)/var/k8s/crds
k8s-check: ## build every combination of the Kubernetes manifests and check it without a cluster
	@$(PYTHON) -m deploy.local.setup test
	@[ -x "$(KUSTOMIZE)" ] || $(GET_KUSTOMIZE)
	@[ var/k8s/python -nt deploy/k8s/check/requirements.txt ] || $(VENV)/python -m pip install --quiet --upgrade --no-deps --require-hashes --target var/k8s/python -r deploy/k8s/check/requirements.txt
	@[ var/k8s/policies -nt deploy/k8s/check/policies.txt ] || $(VENV)/python -m pip install --quiet --upgrade --no-deps --require-hashes --target var/k8s/policies -r deploy/k8s/check/policies.txt
	@[ deploy/k8s/check/crds.py -ot "$(CRD_SCHEMAS)" ] || ! command -v go >/dev/null || $(VENV)/python -m deploy.k8s.check.crds "$(CRD_SCHEMAS)"
	@PYTHONPATH=$(PYTHONPATH):var/k8s/python TIDEWIRE_ENVIRONMENT=development $(VENV)/python -m deploy.k8s.check
	@PYTHONPATH=$(PYTHONPATH):var/k8s/python $(VENV)/python -m pytest tests/k8s --ignore tests/k8s/cluster $(ARGS)

##@ Write
.PHONY: format generate docs dist requirements
format: setup ## format the code and fix what ruff can fix
	@$(VENV)/ruff check --fix-only .
	@$(VENV)/ruff format .

generate: setup ## write the files that come from code: .env.example, docs/metrics.md, dashboards, templates
	@$(VENV)/python -m deploy.local.env_example
	@$(VENV)/python -m deploy.prometheus.metrics_page
	@$(VENV)/python -m deploy.docs.reference
	@$(VENV)/python -m deploy.grafana.write
	@$(VENV)/python -m deploy.k8s.monitoring
	@$(VENV)/python -m deploy.kit.generate

docs: ## build the documentation as a site in var/docs/html; a broken link fails it
	@$(PYTHON) -m deploy.local.setup docs
	@TIDEWIRE_ENVIRONMENT=development $(VENV)/python -m sphinx --fail-on-warning --keep-going -b html -d var/docs/doctrees docs var/docs/html

dist: ## build wheel and sdist, try both in empty environments, list packages and licences
	@$(PYTHON) -m deploy.local.setup dist
	@$(VENV)/python -m deploy.release.dist

requirements: setup ## update all pinned requirements together
	@$(VENV)/python -m deploy.local.requirements
